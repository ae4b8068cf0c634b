package doctor

import (
	"strings"
	"testing"
)

func TestSubjects(t *testing.T) {
	for _, c := range []struct {
		text, url, name string
		https, http     uint16
		socket          bool
	}{
		{"chat.example.com", "https://chat.example.com/", "chat.example.com", 443, 80, false},
		{"Chat.Example.COM.", "https://chat.example.com/", "chat.example.com", 443, 80, false},
		{"bücher.example", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, 80, false},
		{"chat.example.com:8443", "https://chat.example.com:8443/", "chat.example.com", 8443, 80, false},
		{"https://chat.example.com/chat?x=1#y", "https://chat.example.com/chat?x=1", "chat.example.com", 443, 80, false},
		{"http://chat.example.com:8080/chat", "https://chat.example.com/chat", "chat.example.com", 443, 8080, false},
		{"wss://chat.example.com/ws", "https://chat.example.com/ws", "chat.example.com", 443, 80, true},
		{"ws://chat.example.com:81/ws", "https://chat.example.com/ws", "chat.example.com", 443, 81, true},
		{"https://me:secret@chat.example.com/", "https://chat.example.com/", "chat.example.com", 443, 80, false},
		{"192.0.2.7", "https://192.0.2.7/", "192.0.2.7", 443, 80, false},
		{"2001:db8::7", "https://[2001:db8::7]/", "2001:db8::7", 443, 80, false},
		{"https://[2001:db8::7]:8443/", "https://[2001:db8::7]:8443/", "2001:db8::7", 8443, 80, false},
	} {
		s, err := ParseSubject(c.text, 80)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if s.URL.String() != c.url || s.Name != c.name || s.HTTPS != c.https || s.HTTP != c.http || s.Socket != c.socket {
			t.Errorf("%s: %s %+v", c.text, s.URL, s)
		}
	}
	for text, want := range map[string]string{
		"":                               "is not a domain name",
		"no name":                        "neither a name nor an address",
		"*.example.com":                  "such as www.example.com",
		"ftp://example.com":              "not for browsers",
		"a..b":                           "is not a domain name",
		"https://chat.example.com:0/":    "1 to 65535",
		"https://chat.example.com:70000": "1 to 65535",
		strings.Repeat("a", 3000):        "2048",
	} {
		if _, err := ParseSubject(text, 80); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// What is taken for a subject can be written down and is taken for the same
// again.
func FuzzSubject(f *testing.F) {
	for _, seed := range []string{"chat.example.com", "https://a:1/x?y#z", "ws://[::1]:80", "bücher.example", "::1", "http://x/%zz", "//", "https://a%2eb/", "\xd30"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSubject(text, 80)
		if err != nil {
			return
		}
		again, err := ParseSubject(s.URL.String(), s.HTTP)
		if err != nil || again.URL.String() != s.URL.String() || again.Name != s.Name || again.HTTPS != s.HTTPS {
			t.Errorf("%q is %s, and that is %v (%v)", text, s.URL, again.URL, err)
		}
	})
}

func TestWhoIsReservedAndPublic(t *testing.T) {
	for name, want := range map[string]bool{
		"chat.test": true, "localhost": true, "a.b.local": true, "box.home.arpa": true, "intranet": true,
		"chat.example.com": false, "test.example.org": false, "home.arpa.example.com": false,
	} {
		if reserved(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	for _, a := range addresses(here, here6) {
		if !public(a) {
			t.Errorf("%s is not public", a)
		}
	}
	for _, text := range []string{"10.0.0.1", "127.0.0.1", "::1", "fe80::1", "fd00::1", "100.64.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0"} {
		if s, err := ParseSubject(text, 80); err != nil || public(s.Addr) {
			t.Errorf("%s is public (%v)", text, err)
		}
	}
}
