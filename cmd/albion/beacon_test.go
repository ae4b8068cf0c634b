package main

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBeaconAnswersItsOwnTokens(t *testing.T) {
	one, err := newBeacon()
	if err != nil {
		t.Fatal(err)
	}
	other, err := newBeacon()
	if err != nil {
		t.Fatal(err)
	}
	token, answer := one.token()
	if got, ok := one.answer(token); !ok || got != answer || !strings.HasPrefix(answer, token+".") {
		t.Errorf("%q is answered with %q (%t), want %q", token, got, ok, answer)
	}
	if again, _ := one.token(); again == token {
		t.Error("the same token twice")
	}
	if got, ok := other.answer(token); ok {
		t.Errorf("another process answers %q", got)
	}
	// What was answered is no token, so that an echo proves nothing.
	if got, ok := one.answer(answer); ok {
		t.Errorf("an answer is answered with %q", got)
	}
}

func TestBeaconAnswersNothingElse(t *testing.T) {
	b, err := newBeacon()
	if err != nil {
		t.Fatal(err)
	}
	token, _ := b.token()
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		c := rapid.SampledFrom([]byte("abcdef0123456789-_.")).Draw(t, "byte")
		changed := token[:i] + string(c) + token[i+1:]
		if _, ok := b.answer(changed); ok != (changed == token) {
			t.Errorf("%q: %t", changed, ok)
		}
		if text := rapid.String().Draw(t, "text"); text != token {
			if _, ok := b.answer(text); ok {
				t.Errorf("%q is answered", text)
			}
		}
	})
}
