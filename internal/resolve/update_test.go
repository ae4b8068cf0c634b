package resolve_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
)

func TestUpdatesExactlyOneRecord(t *testing.T) {
	r, net := ask(t, resolvetest.Zone{Name: "example.test", Text: "_acme-challenge TXT somebody-elses"})
	u := resolve.Update{
		Server: net.Server(0), Zone: "example.test", Name: "_acme-challenge.example.test", TTL: time.Minute,
		Key: resolve.Key{Name: resolvetest.KeyName, Algorithm: strings.ToUpper(resolvetest.KeyAlgorithm), Secret: resolvetest.KeySecret},
	}
	expect := func(when string, want ...string) {
		t.Helper()
		all, err := r.Everywhere(t.Context(), u.Name, "TXT")
		if err != nil || len(all) != 1 || all[0].Err != nil {
			t.Fatalf("%s: %+v, %v", when, all, err)
		}
		got := all[0].Answer.Of("TXT")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", when, got, want)
		}
	}
	for _, value := range []string{`one "two" \ three`, `one "two" \ three`, "second"} {
		u.Value = value
		if err := r.AddTXT(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	expect("added, one of them twice", `one "two" \ three`, "second", "somebody-elses")
	for range 2 {
		if err := r.RemoveTXT(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	expect("removed, twice", `one "two" \ three`, "somebody-elses")
}

func TestSaysWhyAnUpdateIsRefused(t *testing.T) {
	r, net := ask(t, resolvetest.Zone{Name: "example.test"})
	good := resolve.Update{
		Server: net.Server(0), Zone: "example.test", Name: "a.example.test", Value: "v",
		Key: resolve.Key{Name: resolvetest.KeyName, Algorithm: resolvetest.KeyAlgorithm, Secret: resolvetest.KeySecret},
	}
	for name, test := range map[string]struct {
		spoil func(*resolve.Update)
		kind  resolve.Kind
		says  string
	}{
		"unknown key":     {func(u *resolve.Update) { u.Key.Name = "other" }, resolve.Refused, "does not know a key"},
		"wrong secret":    {func(u *resolve.Update) { u.Key.Secret = "AAAA" }, resolve.Refused, "secret is not the one"},
		"wrong algorithm": {func(u *resolve.Update) { u.Key.Algorithm = "hmac-sha512" }, resolve.Refused, "does not know a key"},
		"no such method":  {func(u *resolve.Update) { u.Key.Algorithm = "hmac-md5" }, resolve.Refused, "HMAC-SHA256"},
		"not base64":      {func(u *resolve.Update) { u.Key.Secret = "?" }, resolve.Refused, "base64"},
		"not its zone":    {func(u *resolve.Update) { u.Zone, u.Name = "other.test", "a.other.test" }, resolve.Lame, "not the primary server of other.test"},
		"outside":         {func(u *resolve.Update) { u.Name = "a.other.test" }, resolve.Lame, "not the primary server"},
		"too long":        {func(u *resolve.Update) { u.Value = strings.Repeat("x", 256) }, resolve.BadName, "255"},
		"nobody there":    {func(u *resolve.Update) { u.Server = "127.0.0.9:1" }, resolve.Unreachable, "127.0.0.9"},
	} {
		u := good
		test.spoil(&u)
		err := r.AddTXT(t.Context(), u)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %v", name, err, test.kind)
		}
		if err != nil && len(u.Key.Secret) > 8 && strings.Contains(err.Error(), u.Key.Secret) {
			t.Errorf("%s: the secret is shown", name)
		}
	}

	late, err := resolve.New(resolve.Config{Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := late.AddTXT(t.Context(), good); !errors.Is(err, resolve.Refused) || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a clock that is an hour late: %v", err)
	}
}
