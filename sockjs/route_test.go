package sockjs

import (
	"net/url"
	"strings"
	"testing"
)

func TestRoute(t *testing.T) {
	long := strings.Repeat("x", maxSessionID)
	for _, c := range []struct {
		prefix, path string
		want         place
		ok           bool
	}{
		{"/echo", "/echo", place{name: "greeting"}, true},
		{"/echo", "/echo/", place{name: "greeting"}, true},
		{"", "", place{name: "greeting"}, true},
		{"", "/", place{name: "greeting"}, true},
		{"/echo", "/echo//", place{}, false},
		{"/echo", "/echoes", place{}, false},
		{"/echo", "/other", place{}, false},
		{"/echo", "/echo/info", place{name: "info"}, true},
		{"/echo", "/echo/info/", place{name: "info"}, true},
		{"/echo", "/echo/info//", place{}, false},
		{"", "/websocket", place{name: "websocket"}, true},
		{"/echo", "/echo/iframe.html", place{name: "iframe"}, true},
		{"/echo", "/echo/iframe-0.1.2abc_dirty.html", place{name: "iframe"}, true},
		{"/echo", "/echo/iframe.htm", place{}, false},
		{"/echo", "/echo/iframeX.html", place{}, false},
		{"/echo", "/echo/iframe%2e.html", place{}, false},
		{"/echo", "/echo/000/abc/xhr", place{"xhr", "abc"}, true},
		{"/echo", "/echo/000/abc/xhr/", place{"xhr", "abc"}, true},
		{"/echo", "/echo/000/a%20b/xhr", place{"xhr", "a b"}, true},
		{"/echo", "/echo/000/%61/xhr", place{"xhr", "a"}, true},
		{"/echo", "/echo/000/" + long + "/xhr", place{"xhr", long}, true},
		{"/echo", "/echo/000/" + long + "x/xhr", place{}, false},
		{"/echo", "/echo/000//xhr", place{}, false},
		{"/echo", "/echo//abc/xhr", place{}, false},
		{"/echo", "/echo/0.0/abc/xhr", place{}, false},
		{"/echo", "/echo/000/a.b/xhr", place{}, false},
		{"/echo", "/echo/000/a%2eb/xhr", place{}, false},
		{"/echo", "/echo/000/a%2fb/xhr", place{}, false},
		{"/echo", "/echo/000/%zz/xhr", place{}, false},
		{"/echo", "/echo/000/abc/def/xhr", place{}, false},
		{"/echo", "/echo/000/abc", place{}, false},
		{"/echo", "/echo/000/abc//", place{}, false},
	} {
		got, ok := route(c.prefix, c.path)
		if got != c.want || ok != c.ok {
			t.Errorf("route(%q, %q) = %+v, %t; want %+v, %t", c.prefix, c.path, got, ok, c.want, c.ok)
		}
	}
}

// Whatever is found has a bounded, clean session id, and the server part
// plays no role.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{"/e", "/e/", "/e/info", "/e/iframe-1.html", "/e/0/s/xhr", "/e/0/%2f/xhr", "/e//s/xhr", "/e/0/a.b/xhr/", "/e/0/0//", "//", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := route("/e", path)
		if !ok {
			if got != (place{}) {
				t.Fatalf("route(%q) = %+v, and not found", path, got)
			}
			return
		}
		if got.session == "" {
			switch got.name {
			case "greeting", "info", "iframe", "websocket":
				return
			}
			t.Fatalf("route(%q) = %+v", path, got)
		}
		if len(got.session) > maxSessionID || strings.ContainsAny(got.session, "./") {
			t.Fatalf("route(%q) = %+v", path, got)
		}
		again, ok := route("/e", "/e/other/"+url.PathEscape(got.session)+"/"+got.name)
		if !ok || again != got {
			t.Fatalf("route(%q) = %+v, but %+v by its parts", path, got, again)
		}
	})
}
