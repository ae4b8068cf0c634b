package sockjs

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestDecodeMessagesTakesArraysOfStringsAlone(t *testing.T) {
	for _, c := range []struct {
		body string
		want []string
		err  error
	}{
		{body: `["a"]`, want: []string{"a"}},
		{body: "  [ \"a\" , \"\\u00e9\" ]\n", want: []string{"a", "é"}},
		{body: `[]`, want: []string{}},
		{body: `[""]`, want: []string{""}},
		{body: `["\ud83d\ude00"]`, want: []string{"😀"}},
		{body: `["\ud800"]`, want: []string{"\ufffd"}},
		{body: "[\"\xff\"]", want: []string{"\ufffd"}},
		{body: ``, err: errNoPayload},
		{body: `null`, err: errNoPayload},
		{body: `"a"`, err: errNoPayload},
		{body: `{"a":"b"}`, err: errNoPayload},
		{body: `["a`, err: errBrokenJSON},
		{body: `["a"]]`, err: errBrokenJSON},
		{body: `[1]`, err: errBrokenJSON},
		{body: `[null]`, err: errBrokenJSON},
		{body: `[["a"]]`, err: errBrokenJSON},
		{body: ` `, err: errBrokenJSON},
	} {
		got, err := decodeMessages([]byte(c.body))
		if !errors.Is(err, c.err) || !slices.Equal(got, c.want) {
			t.Errorf("decodeMessages(%q) = %q, %v; want %q, %v", c.body, got, err, c.want, c.err)
		}
	}
}

func TestDecodeFrameTakesALoneStringToo(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string
		err  error
	}{
		{data: ``},
		{data: `"a"`, want: []string{"a"}},
		{data: `["a","b"]`, want: []string{"a", "b"}},
		{data: `"a`, err: errBrokenJSON},
		{data: `["a`, err: errBrokenJSON},
		{data: `1`, err: errNoPayload},
	} {
		got, err := decodeFrame(c.data)
		if !errors.Is(err, c.err) || !slices.Equal(got, c.want) {
			t.Errorf("decodeFrame(%q) = %q, %v; want %q, %v", c.data, got, err, c.want, c.err)
		}
	}
}

func TestFramesOfTheProtocol(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{goAway().frame(), `c[3000,"Go away!"]`},
		{stillOpen().frame(), `c[2010,"Another connection still open"]`},
		{interrupted().frame(), `c[1002,"Connection interrupted"]`},
		{closing{-1, "\"\n"}.frame(), `c[-1,"\"\n"]`},
		{messageFrame([]string{"a"}), `a["a"]`},
		{messageFrame([]string{"", "\x00\b\f\n\r\t\x1f\"\\/"}), `a["","\u0000\b\f\n\r\t\u001f\"\\/"]`},
		{messageFrame([]string{"\u200b\u200c\u200f\u2010"}), "a[\"\u200b\\u200c\\u200f\u2010\"]"},
		{messageFrame([]string{"\ufeff\uffef\ufff0\uffff\U00010000"}), "a[\"\ufeff\uffef\\ufff0\\uffff\U00010000\"]"},
		{messageFrame([]string{"a\xffb\xed\xa0\x80"}), `a["a\ufffdb\ufffd\ufffd\ufffd"]`},
	} {
		if c.got != c.want {
			t.Errorf("frame %q; want %q", c.got, c.want)
		}
	}
}

// message draws any text, with those characters often that need care.
func message(t *rapid.T) string {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringOf(rapid.RuneFrom([]rune("\x00\x1f\"\\/<>&-!\u200b\u200c\u2028\u2029\u206f\ufeff\ufff0\uffff\U0001f600a"))),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	).Draw(t, "message")
}

// checkFrame holds for every message frame: it is UTF-8 without anything
// that a browser mangles, and JSON that means the messages.
func checkFrame(t interface{ Fatalf(string, ...any) }, msgs []string) string {
	frame := messageFrame(msgs)
	if !utf8.ValidString(frame) {
		t.Fatalf("frame %q is not UTF-8", frame)
	}
	for _, r := range frame {
		if r < ' ' || mangled(r) {
			t.Fatalf("frame %q has %U", frame, r)
		}
	}
	var got []string
	if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "a")), &got); err != nil {
		t.Fatalf("frame %q: %v", frame, err)
	}
	if len(got) != len(msgs) {
		t.Fatalf("frame %q has %d messages; want %d", frame, len(got), len(msgs))
	}
	for i, m := range msgs {
		if want := replaceInvalid(m); got[i] != want {
			t.Fatalf("message %q came back as %q", want, got[i])
		}
	}
	return frame
}

// replaceInvalid replaces each byte that is not UTF-8, as ranging does.
func replaceInvalid(s string) string { return string([]rune(s)) }

// checkScript holds for every frame inside a script: JavaScript reads the
// frame from it, and the HTML around cannot end there.
func checkScript(t interface{ Fatalf(string, ...any) }, frame string) {
	script := string(appendScript(nil, frame))
	var got string
	if err := json.Unmarshal([]byte(script), &got); err != nil || got != frame {
		t.Fatalf("script %q means %q, %v; want %q", script, got, err, frame)
	}
	if strings.ContainsAny(script, "<>&\n\r\u2028\u2029") {
		t.Fatalf("script %q can end its element or its line", script)
	}
}

func TestEveryMessageArrivesAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := rapid.SliceOfN(rapid.Custom(message), 1, 4).Draw(t, "messages")
		checkScript(t, checkFrame(t, msgs))
	})
}

// What a client writes with the same rules is what the server reads.
func TestEncodedMessagesDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := rapid.SliceOfN(rapid.Custom(message), 1, 4).Draw(t, "messages")
		got, err := decodeFrame(strings.TrimPrefix(messageFrame(msgs), "a"))
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range msgs {
			if got[i] != replaceInvalid(m) {
				t.Fatalf("message %q decodes as %q", m, got[i])
			}
		}
	})
}

func TestEveryReasonArrivesAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := closing{rapid.Int().Draw(t, "code"), message(t)}
		frame := end.frame()
		var got []any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "c")), &got); err != nil || len(got) != 2 {
			t.Fatalf("frame %q: %v", frame, err)
		}
		if got[1] != replaceInvalid(end.reason) {
			t.Fatalf("reason %q came back as %q", end.reason, got[1])
		}
		checkScript(t, frame)
	})
}

func FuzzMessageFrame(f *testing.F) {
	f.Add("", "a")
	f.Add("\x00\x1f\"\\", "</script><!--")
	f.Add("\u2028\u200c\uffff", "\xff\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, a, b string) {
		checkScript(t, checkFrame(t, []string{a, b}))
	})
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{``, `["a"]`, `"a"`, `["\ud800"]`, `[null]`, `null`, ` [`, `{"d":1}`, "[\"\xff\"]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		msgs, err := decodeMessages([]byte(data))
		if err != nil && !errors.Is(err, errNoPayload) && !errors.Is(err, errBrokenJSON) {
			t.Fatalf("error %v is not the protocol's", err)
		}
		var want []any
		if json.Unmarshal([]byte(data), &want) == nil && want != nil {
			for _, w := range want {
				if _, ok := w.(string); !ok {
					want = nil
					break
				}
			}
		}
		if err == nil && len(msgs) != len(want) {
			t.Fatalf("%q holds %q; want %q", data, msgs, want)
		}
		for i, m := range msgs {
			if m != want[i] {
				t.Fatalf("%q holds %q; want %q", data, m, want[i])
			}
		}
		if framed, ferr := decodeFrame(data); err == nil && (ferr != nil || !slices.Equal(framed, msgs)) {
			t.Fatalf("%q is %q in a request and %q, %v in a WebSocket", data, msgs, framed, ferr)
		}
	})
}

func FuzzFormPayload(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "d=%5B%22x%22%5D")
	f.Add("text/plain", `["x"]`)
	f.Add("application/x-www-form-urlencoded; charset=UTF-8", "a=b&d=%zz&d=1;2")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		if got := formPayload(contentType, []byte(body)); len(got) > len(body) {
			t.Fatalf("payload %q is longer than %q", got, body)
		}
	})
}

func FuzzCallbackName(f *testing.F) {
	for _, seed := range []string{"callback", "_jp.a1b2", "a(b", "", "<script>", "a\nb", strings.Repeat("x", maxCallback+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !callbackName(name) {
			return
		}
		if name == "" || len(name) > maxCallback || strings.ContainsAny(name, "()[]{}<>\"'`;,:=+*/\\%&|!?~^@# \t\r\n") {
			t.Fatalf("%q may stand in a script", name)
		}
	})
}
