package page_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/albion-lb/albion/examples/chat/page"
)

func ask(t *testing.T, c page.Config, method, path string, head map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for k, v := range head {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	for path, kind := range map[string]string{
		"/": "text/html", "/chat.css": "text/css", "/chat.js": "text/javascript", "/items.js": "text/javascript", "/sockjs.js": "text/javascript", "/icon.svg": "image/svg+xml",
	} {
		w := ask(t, page.Config{Prefix: "/chat"}, http.MethodGet, path, nil)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
		tag := w.Header().Get("ETag")
		if again := ask(t, page.Config{Prefix: "/chat"}, http.MethodGet, path, map[string]string{"If-None-Match": tag}); again.Code != 304 {
			t.Errorf("%s with its tag: %d", path, again.Code)
		}
		if head := ask(t, page.Config{Prefix: "/chat"}, http.MethodHead, path, nil); head.Code != 200 || head.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d, %d bytes", path, head.Code, head.Body.Len())
		}
		if w := ask(t, page.Config{Prefix: "/chat"}, http.MethodPost, path, nil); w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/index.html", "/page.go", "/../page.go", "/chat"} {
		if w := ask(t, page.Config{Prefix: "/chat"}, http.MethodGet, path, nil); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestPolicyAllowsNothingInline(t *testing.T) {
	w := ask(t, page.Config{Prefix: "/chat"}, http.MethodGet, "/", nil)
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src http: https: ws: wss:", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%q is not in %q", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if found := regexp.MustCompile(`(?i)<script>|<style|\son\w+=|\sstyle=|javascript:`).FindString(w.Body.String()); found != "" {
		t.Errorf("the page has %q, which the policy forbids", found)
	}
	w = ask(t, page.Config{Prefix: "/chat", ClientOrigin: "https://cdn.example.com"}, http.MethodGet, "/", nil)
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self' https://cdn.example.com;") {
		t.Errorf("policy %q", policy)
	}
}

// What others wrote goes into the page as text.
func TestScriptsWriteNoMarkup(t *testing.T) {
	for _, path := range []string{"/chat.js", "/items.js", "/sockjs.js"} {
		body := ask(t, page.Config{Prefix: "/chat"}, http.MethodGet, path, nil).Body.String()
		if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function`).FindString(body); found != "" {
			t.Errorf("%s uses %s", path, found)
		}
	}
}

func TestPrefixIsWrittenIntoThePage(t *testing.T) {
	w := ask(t, page.Config{Prefix: `/a"b`}, http.MethodGet, "/", nil)
	if !strings.Contains(w.Body.String(), `data-prefix="/a&#34;b"`) {
		t.Error("the prefix is missing, or not quoted")
	}
}

func TestBadClientOrigins(t *testing.T) {
	for _, origin := range []string{"cdn.example.com", "https://", "https://a/b", "https://a b", "https://a;script-src", "ftp://a", "https://*.a", "https://a'"} {
		if _, err := page.New(page.Config{ClientOrigin: origin}); err == nil {
			t.Errorf("%q was taken", origin)
		}
	}
}
