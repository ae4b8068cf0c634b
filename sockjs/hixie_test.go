package sockjs

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestHixieKey(t *testing.T) {
	for _, c := range []struct {
		key  string
		want uint32
		ok   bool
	}{
		// The examples of the draft, §1.2 and §1.3.
		{"4 @1  46546xW%0l 1 5", 829309203, true},
		{"12998 5 Y3 1  .P00", 259970620, true},
		{"18x 6]8vM;54 *(5:  {   U1]8  z [  8", 155712099, true},
		{"1_ tx7X d  <  nw  334J702) 7]o}` 0", 173347027, true},
		{"12", 0, false},
		{"1 ", 1, true},
		{"1  ", 0, false},
		{" ", 0, true},
		{"", 0, false},
		{"4294967295 ", 1<<32 - 1, true},
		{"4294967296 ", 0, false},
		{strings.Repeat("9", 100) + " ", 0, false},
	} {
		got, ok := hixieKey(c.key)
		if got != c.want || ok != c.ok {
			t.Errorf("hixieKey(%q) = %d, %t; want %d, %t", c.key, got, ok, c.want, c.ok)
		}
	}
}

func TestReadHixie(t *testing.T) {
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{in: "\x00a\xff", want: "a"},
		{in: "\x00\xff", want: ""},
		{in: "\x0012345678\xff", want: "12345678"},
		{in: "\x00123456789\xff", err: errHixie},
		{in: "\x00a\xc3(\xff", want: "a\ufffd("},
		{in: "\xff\x00", err: io.EOF},
		{in: "\x80\x01a", err: errHixie},
		{in: "\x01a\xff", err: errHixie},
		{in: "\x00a", err: io.EOF},
		{in: "", err: io.EOF},
	} {
		got, err := readHixie(bufio.NewReader(strings.NewReader(c.in)), 8)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("readHixie(%q) = %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func TestHixieFramesArriveAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := rapid.SliceOf(rapid.String()).Draw(t, "messages")
		var wire strings.Builder
		for _, m := range msgs {
			wire.Write(hixieFrame(m))
		}
		in := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(wire.String())), 16)
		for _, m := range msgs {
			if got, err := readHixie(in, wire.Len()); err != nil || got != m {
				t.Fatalf("message %q came back as %q, %v", m, got, err)
			}
		}
	})
}

func FuzzReadHixie(f *testing.F) {
	for _, seed := range []string{"\x00a\xff\x00b\xff", "\xff\x00", "\x80\x81\x01aa", "\x00" + strings.Repeat("x", 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 32
		in := bufio.NewReaderSize(strings.NewReader(string(data)), 16)
		for {
			msg, err := readHixie(in, limit)
			if err != nil {
				return
			}
			if len(msg) > 3*limit || strings.ToValidUTF8(msg, "") != msg {
				t.Fatalf("message %q", msg)
			}
		}
	})
}

func FuzzHixieKey(f *testing.F) {
	f.Add("4 @1  46546xW%0l 1 5")
	f.Add("")
	f.Fuzz(func(t *testing.T, key string) {
		n, ok := hixieKey(key)
		if spaces := uint64(strings.Count(key, " ")); ok && (spaces == 0 || uint64(n)*spaces > 1<<32-1) {
			t.Fatalf("key %q hides %d", key, n)
		}
	})
}
