package albion_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
)

func TestValuesHaveOneForm(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		kind        albion.RecordType
		value, want string // "": refused
	}{
		{albion.TypeA, "192.0.2.1", "192.0.2.1"},
		{albion.TypeA, " 192.0.2.1 ", "192.0.2.1"},
		{albion.TypeA, "192.0.2.01", ""},
		{albion.TypeA, "2001:db8::1", ""},
		{albion.TypeA, "", ""},
		{albion.TypeAAAA, "2001:DB8:0::1", "2001:db8::1"},
		{albion.TypeAAAA, "::ffff:192.0.2.1", ""},
		{albion.TypeAAAA, "fe80::1%eth0", ""},
		{albion.TypeCNAME, "WWW.Example.com", "www.example.com."},
		{albion.TypeCNAME, "a b", ""},
		{albion.TypeCNAME, ".", ""},
		{albion.TypeCNAME, "*.example.com.", ""},
		{albion.TypeCNAME, strings.Repeat("a", 64) + ".example.com", ""},
		{albion.TypeCNAME, strings.Repeat("a.", 128), ""},
		{albion.TypePTR, "0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa."},
		{albion.TypeMX, "10  mail.example.com", "10 mail.example.com."},
		{albion.TypeMX, "0 .", "0 ."},
		{albion.TypeMX, "65536 mail.example.com", ""},
		{albion.TypeMX, "mail.example.com", ""},
		{albion.TypeSRV, "1 2 5269 chat.example.com", "1 2 5269 chat.example.com."},
		{albion.TypeSRV, "1 2 chat.example.com", ""},
		{albion.TypeSRV, "-1 2 3 chat.example.com", ""},
		{albion.TypeCAA, `0 issue "ca.example.net"`, `0 issue "ca.example.net"`},
		{albion.TypeCAA, `128 IssueWild ";"`, `128 issuewild ";"`},
		{albion.TypeCAA, `0 issue ca.example.net`, ""},
		{albion.TypeCAA, `256 issue "a"`, ""},
		{albion.TypeCAA, `0 is-sue "a"`, ""},
		{albion.TypeCAA, `0 issue "a" "b"`, ""},
		{albion.TypeSOA, `ns.example.com a\.b.example.com 1 2 3 4 5`, `ns.example.com. a\.b.example.com. 1 2 3 4 5`},
		{albion.TypeSOA, "ns.example.com a.example.com 1 2 3 4", ""},
		{albion.TypeSOA, "ns.example.com a.example.com 1 2 3 4 2147483648", ""},
		{albion.TypeTXT, "v=spf1 -all", `"v=spf1 -all"`},
		{albion.TypeTXT, `"a" "b;\" \\ \200"`, `"a" "b;\" \\ \200"`},
		{albion.TypeTXT, `"a"   "b"`, `"a" "b"`},
		{albion.TypeTXT, `"\097"`, `"a"`},
		{albion.TypeTXT, `"\256"`, ""},
		{albion.TypeTXT, `"\2"`, ""},
		{albion.TypeTXT, `"no end`, ""},
		{albion.TypeTXT, `"a"b"`, ""},
		{albion.TypeTXT, "é", `"\195\169"`},
		{albion.TypeTXT, "", `""`},
		{albion.TypeTXT, long, `"` + long[:255] + `" "` + long[255:] + `"`},
		{albion.TypeTXT, `"` + long + `"`, `"` + long[:255] + `" "` + long[255:] + `"`},
		{albion.TypeTXT, strings.Repeat("x", 4001), ""},
		{"NAPTR", "1", ""},
		{"", "1", ""},
	} {
		got, err := c.kind.Canonical(c.value)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && albion.CodeOf(err) == "" {
			t.Errorf("%s %q: got %q, %v", c.kind, c.value, got, err)
		}
	}
}

// The one form of a value is its own, whatever it was before.
func FuzzCanonicalValues(f *testing.F) {
	for i, seed := range []string{"192.0.2.1", "2001:db8::1", `0 issue "a"`, "www.example.com", "1 mail", "ns", "host", `ns a\.b. 1 2 3 4 5`, "1 2 3 a", `"a" "\001"`} {
		f.Add(uint8(i), seed)
	}
	types := albion.RecordTypes()
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		kind := types[int(which)%len(types)]
		once, err := kind.Canonical(value)
		if err != nil {
			return
		}
		if twice, err := kind.Canonical(once); err != nil || twice != once {
			t.Fatalf("%s %q became %q, and that %q, %v", kind, value, once, twice, err)
		}
		if strings.ContainsFunc(once, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%s %q became %q", kind, value, once)
		}
	})
}

func TestNamesAreWholeOrOfTheirZone(t *testing.T) {
	z := &albion.HostedZone{ID: "Z1", Name: "example.com."}
	for name, want := range map[string]string{
		"": "example.com.", "@": "example.com.", "www": "www.example.com.", "WWW.Example.com.": "www.example.com.",
		"*": "*.example.com.", "*.a": "*.a.example.com.", "_dmarc": "_dmarc.example.com.",
		"www.example.net.": "", "notexample.com.": "", "a.*": "", "a..b": "", "*a": "", ".": "", "é": "", "a b": "", `a\.b`: "",
	} {
		got, err := z.Within(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
}

// A text comes back from its quotes as it was, in pieces of at most 255 bytes.
func TestTextsKeepTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "text"))
		if strings.HasPrefix(strings.TrimSpace(text), `"`) {
			text = "." + text
		}
		got, err := albion.TypeTXT.Canonical(text)
		if err != nil {
			t.Fatal(err)
		}
		var back []byte
		piece := 0
		for s := got[1 : len(got)-1]; s != ""; {
			switch {
			case strings.HasPrefix(s, `" "`):
				s, piece = s[3:], 0
				continue
			case s[0] == '\\' && s[1] >= '0' && s[1] <= '9':
				back, s = append(back, 100*(s[1]-'0')+10*(s[2]-'0')+s[3]-'0'), s[4:]
			case s[0] == '\\':
				back, s = append(back, s[1]), s[2:]
			default:
				back, s = append(back, s[0]), s[1:]
			}
			if piece++; piece > 255 {
				t.Fatalf("a piece is longer than 255 bytes: %s", got)
			}
		}
		if string(back) != text {
			t.Fatalf("%q came back as %q by %s", text, back, got)
		}
	})
}
