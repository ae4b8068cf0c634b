package route_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/wire"
)

func redirection(t testing.TB, r albion.Redirect) *route.Decision {
	t.Helper()
	table, err := route.Compile(albion.Action{Redirect: &r}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table.Match(&wire.Request{})
}

func TestLocation(t *testing.T) {
	https := albion.Redirect{Protocol: "HTTPS", Port: "443", Status: 301}
	for _, c := range []struct {
		name              string
		redirect          albion.Redirect
		host, path, query string
		want              string
	}{
		{"to HTTPS", https, "chat.example.com", "/chat/info", "t=1", "https://chat.example.com/chat/info?t=1"},
		{"to HTTPS, port named by the client", https, "chat.example.com:80", "/", "", "https://chat.example.com/"},
		{"to HTTPS on another port", albion.Redirect{Protocol: "HTTPS", Port: "8443"}, "h", "/a", "", "https://h:8443/a"},
		{"to HTTPS, port as it was", albion.Redirect{Protocol: "HTTPS"}, "h", "/a", "", "https://h:80/a"},
		{"as by default", albion.DefaultRedirect(), "h", "/a", "b", "http://h/a?b"},
		{"empty parts are the defaults", albion.Redirect{Host: "www.#{host}"}, "example.com", "/a", "b=c", "http://www.example.com/a?b=c"},
		{"every placeholder in the path", albion.Redirect{Path: "/#{host}/#{port}/#{path}"}, "h", "/a/b", "", "http://h/h/80/a/b"},
		{"every placeholder in the query", albion.Redirect{Host: "login.example.com", Path: "/", Query: "to=#{protocol}://#{host}:#{port}/#{path}&#{query}"},
			"h", "/a", "x=1", "http://login.example.com/?to=http://h:80/a&x=1"},
		{"a query that is gone leaves its text", albion.Redirect{Path: "/x", Query: "from=#{path}&#{query}"}, "h", "/a", "", "http://h/x?from=a&"},
		{"IPv6", https, "[2001:db8::1]:80", "/", "", "https://[2001:db8::1]/"},
		{"OPTIONS *", https, "h", "*", "", "https://h/"},
		{"two slashes stay behind the host", https, "h", "//evil.example", "", "https://h//evil.example"},
		{"escapes stay", https, "h", "/a%2Fb%20c", "d=%0a", "https://h/a%2Fb%20c?d=%0a"},
		{"what a URI cannot hold is escaped", https, "h", "/a b\r\nX: y\x00\xff\"<>#", "\\^`{|}\t\x7f", "https://h/a%20b%0D%0AX:%20y%00%FF%22%3C%3E%23?%5C%5E%60%7B%7C%7D%09%7F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &wire.Request{Host: []byte(c.host), Path: []byte(c.path), Query: []byte(c.query)}
			got, ok := redirection(t, c.redirect).Location([]byte("Location: "), r, "http", 80)
			if !ok || string(got) != "Location: "+c.want {
				t.Errorf("got %q, %v, want %q", got, ok, c.want)
			}
		})
	}
}

func TestLocationIsRefused(t *testing.T) {
	https := albion.Redirect{Protocol: "HTTPS", Port: "443"}
	repeating := albion.Redirect{Path: "/" + strings.Repeat("#{path}", 18)}
	for _, c := range []struct {
		name     string
		redirect albion.Redirect
		host     string
		path     string
	}{
		{"without a host", https, "", "/"},
		{"with a host that is none", https, "a b\r\n", "/"},
		{"with user information", https, "user@h", "/"},
		{"with a name around an IPv6 address", albion.Redirect{Host: "www.#{host}"}, "[::1]", "/"},
		{"over 8 KiB", https, "h", "/" + strings.Repeat("a", 8<<10)},
		{"over 8 KiB when escaped", https, "h", "/" + strings.Repeat(" ", 4<<10)},
		{"over 8 KiB by repetition", repeating, "h", "/" + strings.Repeat("a", 16<<10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &wire.Request{Host: []byte(c.host), Path: []byte(c.path)}
			got, ok := redirection(t, c.redirect).Location([]byte("kept"), r, "http", 80)
			if ok || string(got) != "kept" {
				t.Errorf("got %.60q, %v", got, ok)
			}
		})
	}
	t.Run("another action", func(t *testing.T) {
		if got, ok := compile(t).Match(request("h", "/")).Location(nil, request("h", "/"), "http", 80); ok || got != nil {
			t.Errorf("got %q", got)
		}
	})
}

func TestLocationOfExactly8KiBIsGiven(t *testing.T) {
	d := redirection(t, albion.Redirect{Protocol: "HTTPS", Port: "443"})
	r := request("h", "/"+strings.Repeat("a", 8<<10-len("https://h/")))
	if got, ok := d.Location(nil, r, "http", 80); !ok || len(got) != 8<<10 {
		t.Errorf("got %d bytes, %v", len(got), ok)
	}
	r.Path = append(r.Path, 'a')
	if _, ok := d.Location(nil, r, "http", 80); ok {
		t.Error("one byte more was given too")
	}
}

func TestLocationDoesNotAllocate(t *testing.T) {
	d := redirection(t, albion.Redirect{Protocol: "HTTPS", Port: "443", Path: "/a-text-that-is-longer-than-thirty-two-bytes/#{path}"})
	r := request("chat.example.com", "/chat/info")
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { d.Location(buf, r, "http", 80) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzLocation sends hostile requests through redirects: whatever comes out is
// one header value and an absolute URL, whose host is the request's or the
// rule's.
func FuzzLocation(f *testing.F) {
	f.Add("chat.example.com:80", "/a\r\nSet-Cookie: x", "b\x00", "", "", "")
	f.Add("[::1]:80", "//h", "?", "www.#{host}", "/#{path}", "x=#{query}")
	f.Add("a%41", "/%", "%zz", "example.org", "/#{host}:#{port}", "#{protocol}")
	f.Add("h\\@evil", "/\\", "#", "#{host}", "/", "#{query}#{query}")
	f.Fuzz(func(t *testing.T, host, path, query, toHost, toPath, toQuery string) {
		if strings.ContainsAny(toHost, "/?#@:[]\\%") && toHost != "#{host}" || len(toHost+toPath+toQuery) > 384 {
			return // not a redirect that Validate accepts
		}
		table, err := route.Compile(albion.Action{Redirect: &albion.Redirect{Host: toHost, Path: toPath, Query: toQuery, Protocol: "HTTPS"}}, nil)
		if err != nil {
			return
		}
		r := &wire.Request{Host: []byte(host), Path: []byte(path), Query: []byte(query)}
		loc, ok := table.Match(r).Location(nil, r, "http", 8080)
		if !ok {
			return
		}
		if len(loc) > 8<<10 {
			t.Fatalf("%d bytes", len(loc))
		}
		if i := bytes.IndexFunc(loc, func(c rune) bool { return c <= ' ' || c >= 0x7f }); i >= 0 {
			t.Fatalf("byte %#x in %q", loc[i], loc)
		}
		if toHost != "" && toHost != "#{host}" {
			return
		}
		rest, found := strings.CutPrefix(string(loc), "https://")
		authority, _, slash := strings.Cut(rest, "/")
		want, _, _ := wire.SplitAuthority([]byte(host))
		if !found || !slash || authority != string(want)+":8080" {
			t.Fatalf("%q: authority %q, want %q", loc, authority, want)
		}
		if u, err := url.Parse("https://h/" + strings.ReplaceAll(strings.SplitN(rest, "/", 2)[1], "%", "")); err != nil || u.Host != "h" {
			t.Fatalf("%q: %v", loc, err)
		}
	})
}
