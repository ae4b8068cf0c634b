package room

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"ada", "ada"}, {"  Ada   L. ", "Ada L."}, {"O'Neill-2", "O'Neill-2"}, {"지은", "지은"}, {"Zoë", "Zoë"}, {"é", "é"},
		{"", ""}, {"   ", ""}, {"-_-", ""}, {"a/b", ""}, {"<b>", ""}, {"a\u202eb", ""}, {"a\u200bb", ""}, {"\x00a", ""},
		{"a\u0301\u0301", "a\u0301\u0301"}, {"a\u0301\u0301\u0301", ""}, {"\u0301a", ""}, {"a\xff", ""},
		{strings.Repeat("é", 24), strings.Repeat("é", 24)}, {strings.Repeat("a", 25), ""},
	} {
		got, ok := cleanName(c.in)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("cleanName(%q) = %q, %v, want %q", c.in, got, ok, c.want)
		}
	}
}

func TestRooms(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Lobby", "lobby"}, {"my room", "my-room"}, {"대화", "대화"}, {"a_b.c", "a_b.c"},
		{"", ""}, {"#x", ""}, {"a/b", ""}, {"...", ""}, {strings.Repeat("a", 33), ""},
	} {
		got, ok := cleanRoom(c.in)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("cleanRoom(%q) = %q, %v, want %q", c.in, got, ok, c.want)
		}
	}
}

func TestNamesThatDifferOnlyInCaseAreOne(t *testing.T) {
	for _, c := range [][2]string{{"ada", "ADA"}, {"Zoë", "zoË"}, {"ς", "Σ"}} {
		if personKey("lobby", c[0]) != personKey("lobby", c[1]) {
			t.Errorf("%q and %q are two", c[0], c[1])
		}
	}
}

func TestCommands(t *testing.T) {
	key := strings.Repeat("k", 16)
	for _, c := range []struct{ in, code string }{
		{`{"type":"join","room":"Lobby","name":"ada","key":"` + key + `"}`, ""},
		{`{"type":"join","room":"lobby","name":"ada","key":"short"}`, "bad-key"},
		{`{"type":"join","room":"lobby","name":"","key":"` + key + `"}`, "bad-name"},
		{`{"type":"join","room":"","name":"ada","key":"` + key + `"}`, "bad-room"},
		{`{"type":"join","room":"lobby","name":"ada","key":"` + key + `","after":-1}`, "bad-message"},
		{`{"type":"post","room":"lobby","text":" \n "}`, "bad-text"},
		{`{"type":"post","room":"lobby","text":"` + strings.Repeat("é", maxText) + `"}`, ""},
		{`{"type":"post","room":"lobby","text":"` + strings.Repeat("é", maxText+1) + `"}`, "bad-text"},
		{`{"type":"post","room":"lobby","text":"hi","ref":"a b"}`, "bad-ref"},
		{`{"type":"shout"}`, "bad-type"}, {`null`, "bad-type"}, {`{}`, "bad-type"},
		{`[]`, "bad-message"}, {`{"type":7}`, "bad-message"}, {``, "bad-message"}, {`{"type":"ping"}x`, "bad-message"},
		{`{"type":"ping"}`, ""}, {`{"type":"rooms"}`, ""},
	} {
		_, err := parseCommand(c.in)
		got := ""
		if f := (*fault)(nil); errors.As(err, &f) {
			got = f.Code
		}
		if got != c.code || (err == nil) != (c.code == "") {
			t.Errorf("%s: %v, want %q", c.in, err, c.code)
		}
	}
}

// FuzzCommand holds what every command that is accepted promises.
func FuzzCommand(f *testing.F) {
	f.Add(`{"type":"join","room":"Lobby","name":" ada  l. ","key":"kkkkkkkkkkkkkkkkkk","after":7}`)
	f.Add(`{"type":"post","room":"lobby","text":"hi\r\n\u0000there","ref":"r-1"}`)
	f.Add(`{"type":"rename","room":"대화","name":"지은"}`)
	f.Add(`{"type":"leave","room":"\ud800"}`)
	f.Add(`{"type":"ping"}`)
	f.Fuzz(func(t *testing.T, in string) {
		c, err := parseCommand(in)
		if !json.Valid([]byte(faultFrame(c, err))) {
			t.Fatalf("the answer to %q is not JSON", in)
		}
		if err != nil || c.Type == cmdRooms || c.Type == cmdPing {
			return
		}
		if again, ok := cleanRoom(c.Room); !ok || again != c.Room {
			t.Errorf("room %q is not clean", c.Room)
		}
		if c.Type == cmdPost {
			if again, ok := cleanText(c.Text); !ok || again != c.Text || utf8.RuneCountInString(c.Text) > maxText {
				t.Errorf("text %q is not clean", c.Text)
			}
		}
		if c.Type != cmdJoin && c.Type != cmdRename {
			return
		}
		if again, ok := cleanName(c.Name); !ok || again != c.Name {
			t.Errorf("name %q is not clean", c.Name)
		}
		if strings.ContainsFunc(c.Name, func(r rune) bool { return unicode.IsControl(r) || r == '/' || r == '<' }) {
			t.Errorf("name %q", c.Name)
		}
		if room, name, ok := strings.Cut(strings.TrimPrefix(personKey(c.Room, c.Name), personPrefix), "/"); !ok || room != c.Room || name != fold(c.Name) {
			t.Errorf("the key of %q in %q cannot be read back", c.Name, c.Room)
		}
	})
}
