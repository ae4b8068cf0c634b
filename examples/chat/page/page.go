// Package page serves the chat's page: HTML, CSS and JavaScript that need
// nothing from anywhere else.
//
//	h, err := page.New(page.Config{Prefix: "/chat"})
//
// The files work as they are on any other static web server too; there the
// chat is named by ?server=URL or by data-server in index.html.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// files is written by the compiler only.
//
//go:embed index.html chat.css chat.js items.js sockjs.js icon.svg
var files embed.FS

// Config says how the page finds the chat.
type Config struct {
	Prefix       string // of the SockJS endpoint, such as /chat
	ClientOrigin string // one more origin for scripts, such as https://cdn.example.com; may be empty
}

type file struct {
	name, kind, tag string
	body            []byte
}

// New returns the handler of the page and its files. It fails when
// ClientOrigin is not an origin.
func New(c Config) (http.Handler, error) {
	policy, err := policy(c.ClientOrigin)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
		".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	served := make(map[string]file)
	for _, e := range entries {
		body, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("page: %w", err)
		}
		at := "/" + e.Name()
		if e.Name() == "index.html" {
			at = "/"
			body = bytes.Replace(body, []byte(`data-prefix="/chat"`), []byte(`data-prefix="`+html.EscapeString(c.Prefix)+`"`), 1)
		}
		sum := sha256.Sum256(body)
		served[at] = file{name: e.Name(), kind: kinds[path.Ext(e.Name())], tag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "The page can only be read.", http.StatusMethodNotAllowed)
			return
		}
		f.serve(w, r, policy)
	}), nil
}

func (f file) serve(w http.ResponseWriter, r *http.Request, policy string) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // kept, but asked about: the tag answers
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
}

// policy is the Content-Security-Policy: nothing but the page's own files, and
// connections to any chat server, because ?server= may name one elsewhere.
func policy(clientOrigin string) (string, error) {
	scripts := "'self'"
	if clientOrigin != "" {
		u, err := url.Parse(clientOrigin)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" ||
			clientOrigin != u.Scheme+"://"+u.Host || strings.ContainsAny(clientOrigin, " ;,'\"*") {
			return "", fmt.Errorf("page: client origin %q: want an origin such as https://cdn.example.com", clientOrigin)
		}
		scripts += " " + clientOrigin
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src " + scripts, "style-src 'self'", "img-src 'self'",
		"connect-src http: https: ws: wss:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; "), nil
}
