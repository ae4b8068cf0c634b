package wire_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
)

func TestCharsFollowTheGrammars(t *testing.T) {
	const (
		digits  = "0123456789"
		letters = "abcdefghijklmnopqrstuvwxyz"
		alnum   = digits + letters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	)
	for i := range 256 {
		c := byte(i)
		is := func(set string) bool { return c < 0x80 && strings.IndexByte(set, c) >= 0 }
		token := is(alnum + "!#$%&'*+-.^_`|~")
		for name, one := range map[string]struct {
			set  wire.Chars
			want bool
		}{
			"TokenChar":  {wire.TokenChar, token},
			"PlainChar":  {wire.PlainChar, is(alnum + "-")},
			"ValueChar":  {wire.ValueChar, c == '\t' || c >= ' ' && c != 0x7f},
			"TargetChar": {wire.TargetChar, c > ' ' && c != 0x7f && c != '#'},
			"HostChar":   {wire.HostChar, is(alnum + "-._~!$&'()*+,;=")},
			"HexChar":    {wire.HexChar, is(digits + "abcdefABCDEF")},
			"MethodChar": {wire.MethodChar, token && !is(letters)},
		} {
			if got := one.set.Is(c); got != one.want {
				t.Errorf("%s.Is(%q) = %v, want %v", name, c, got, one.want)
			}
		}
	}
	if wire.TokenChar.All(nil) || !wire.TokenChar.All([]byte("X-a")) || wire.TokenChar.All([]byte("a b")) {
		t.Error("All: want at least one byte, and each of them in the set")
	}
}

func TestNamesAreKnownInAnyCase(t *testing.T) {
	names := map[string]wire.Name{
		"Host": wire.Host, "Content-Length": wire.ContentLength, "Transfer-Encoding": wire.TransferEncoding,
		"Connection": wire.Connection, "Keep-Alive": wire.KeepAlive, "Proxy-Connection": wire.ProxyConnection,
		"Proxy-Authenticate": wire.ProxyAuthenticate, "Proxy-Authorization": wire.ProxyAuthorization, "TE": wire.TE,
		"Trailer": wire.Trailer, "Upgrade": wire.Upgrade, "Expect": wire.Expect, "Cookie": wire.Cookie,
		"Set-Cookie": wire.SetCookie, "Date": wire.Date, "Server": wire.Server, "Origin": wire.Origin,
		"User-Agent": wire.UserAgent, "X-Forwarded-For": wire.XForwardedFor, "X-Forwarded-Proto": wire.XForwardedProto,
		"X-Forwarded-Port": wire.XForwardedPort, "X-Amzn-Trace-Id": wire.XAmznTraceID,
	}
	if len(names) != int(wire.XAmznTraceID) {
		t.Fatalf("the table has %d names, the package %d", len(names), wire.XAmznTraceID)
	}
	for name, id := range names {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := wire.NameOf([]byte(spelled)); got != id {
				t.Errorf("NameOf(%q) = %d, want %d", spelled, got, id)
			}
		}
		// Every name that differs in one byte is another name.
		for i := range name {
			for c := range 128 {
				other := []byte(name)
				other[i] = byte(c)
				if !wire.TokenChar.Is(byte(c)) || strings.EqualFold(string(other), name) {
					continue
				}
				if got := wire.NameOf(other); got == id {
					t.Errorf("NameOf(%q) = %q's", other, name)
				}
			}
		}
	}
	for _, name := range []string{"", "a", "x-forwarded-foo", "content-lengths", "hosts", strings.Repeat("x", 20)} {
		if got := wire.NameOf([]byte(name)); got != wire.Other {
			t.Errorf("NameOf(%q) = %d, want Other", name, got)
		}
	}
}

func TestEqualFoldKnowsASCIIOnly(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"Chunked", "cHUNKED", true}, {"", "", true}, {"a", "ab", false}, {"@", "`", false}, {"[", "{", false},
		{"\u017f", "s", false}, {"K", "\u212a", false},
	} {
		if got := wire.EqualFold(c.a, []byte(c.b)); got != c.want {
			t.Errorf("EqualFold(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestTrailersCannotChangeTheRequest(t *testing.T) {
	for name, want := range map[string]bool{
		"grpc-status": true, "Server-Timing": true, "ETag": true, "Digest": true, "X-Checksum": true,
		"Content-Length": false, "Transfer-Encoding": false, "Host": false, "Authorization": false, "Cookie": false,
		"Set-Cookie": false, "X-Forwarded-For": false, "X-Forwarded-Host": false, "X-Amzn-Oidc-Data": false,
		"Content-Type": false, "content-encoding": false, "Cache-Control": false, "If-Match": false, "TE": false,
		"Trailer": false, "Connection": false, "Upgrade": false, "Expect": false, "Forwarded": false, "Date": false,
	} {
		f := wire.Field{Name: []byte(name), ID: wire.NameOf([]byte(name))}
		if got := f.InTrailer(); got != want {
			t.Errorf("%s in a trailer section: %v, want %v", name, got, want)
		}
	}
}

func TestAuthority(t *testing.T) {
	for _, c := range []struct{ in, host, port string }{
		{"example.com", "example.com", ""},
		{"example.com:", "example.com", ""},
		{"example.com:8080", "example.com", "8080"},
		{"a_b~c!$&'()*+,;=-.d", "a_b~c!$&'()*+,;=-.d", ""},
		{"caf%C3%A9.example", "caf%C3%A9.example", ""},
		{"127.0.0.1:1", "127.0.0.1", "1"},
		{"[::1]", "[::1]", ""},
		{"[2001:db8::7]:65535", "[2001:db8::7]", "65535"},
		{"[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]", "443"},
	} {
		host, port, ok := wire.SplitAuthority([]byte(c.in))
		if !ok || string(host) != c.host || string(port) != c.port {
			t.Errorf("SplitAuthority(%q) = %q, %q, %v", c.in, host, port, ok)
		}
	}
	for _, in := range []string{
		"", ":80", "user@example.com", "user:pass@example.com", "a b", "example.com:65536", "example.com:123456",
		"example.com:8x", "example.com:-1", "a:b:c", "::1", "[::1", "[]", "[::1]x", "[::1]:x", "[fe80::1%25eth0]",
		"[fe80::1%eth0]", "[127.0.0.1]", "[v1.a]", "a/b", "a?b", "a#b", "a\x00b", "a\\b", "a%b", "a%4", "a%zz", "<a>",
		"caf\u00e9", strings.Repeat("a", 256),
	} {
		if host, port, ok := wire.SplitAuthority([]byte(in)); ok {
			t.Errorf("SplitAuthority(%q) = %q, %q", in, host, port)
		}
	}
}

// What is accepted as an authority can be written into a Host field and a URI.
func FuzzSplitAuthority(f *testing.F) {
	for _, s := range []string{"example.com:80", "[::1]:443", "a%41", "[", ":", "a:b:c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		host, port, ok := wire.SplitAuthority(in)
		if !ok {
			return
		}
		again := string(host)
		if port != nil {
			again += ":" + string(port)
		}
		if again != string(in) {
			t.Fatalf("%q became %q", in, again)
		}
		if strings.ContainsAny(again, " \t\r\n\x00/?#@\\<>\"") || len(host) == 0 {
			t.Fatalf("accepted %q", in)
		}
	})
}
