package sockjs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"
)

// year is for how long the protocol wants what never changes to be cached.
const year = 365 * 24 * time.Hour

// notCached is the Cache-Control of everything else; the protocol wants it
// word for word.
const notCached = "no-store, no-cache, must-revalidate, max-age=0"

func serveGreeting(w http.ResponseWriter, _ *http.Request, _ string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, _ = w.Write([]byte("Welcome to SockJS!\n")) // a client that has gone needs no greeting
}

// serveInfo answers with what the client has to know before it begins. The
// number is a help for browsers that cannot make random ones.
func (s *Server) serveInfo(w http.ResponseWriter, _ *http.Request, _ string) {
	var entropy [4]byte
	_, _ = rand.Read(entropy[:]) // never fails
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("Cache-Control", notCached)
	_, _ = fmt.Fprintf(w, `{"websocket":%t,"origins":["*:*"],"cookie_needed":%t,"entropy":%d}`,
		!s.opts.DisableWebSocket, s.opts.Cookie, binary.BigEndian.Uint32(entropy[:]))
}

// iframeBody is given by the protocol to the letter, but for the address.
const iframeBody = `<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script>
    document.domain = document.domain;
    _sockjs_onload = function(){SockJS.bootstrap_iframe();};
  </script>
  <script src="%s"></script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>`

// page is a document that does not change.
type page struct {
	body []byte
	etag string
}

func iframePage(clientURL string) page {
	body := fmt.Appendf(nil, iframeBody, html.EscapeString(clientURL))
	sum := sha256.Sum256(body)
	return page{body, `"` + hex.EncodeToString(sum[:16]) + `"`}
}

func (p page) serve(w http.ResponseWriter, r *http.Request, _ string) {
	h := w.Header()
	cacheForever(h)
	h.Set("ETag", p.etag)
	if p.known(r.Header.Values("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "text/html; charset=UTF-8")
	_, _ = w.Write(p.body) // a client that has gone needs no page
}

// known reports whether an If-None-Match names this page (RFC 9110 §13.1.2).
func (p page) known(ifNoneMatch []string) bool {
	for _, line := range ifNoneMatch {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == p.etag || tag == "*" {
				return true
			}
		}
	}
	return false
}

func cacheForever(h http.Header) {
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(year.Seconds())))
	h.Set("Expires", time.Now().Add(year).UTC().Format(http.TimeFormat))
}

// allowOrigin lets a page of any origin read the answer, with its cookies;
// which origins may is decided before. A page from a file has the origin
// "null", which browsers do not accept back.
func allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "null" {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Add("Vary", "Origin")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
}

// preflight answers OPTIONS, for a year.
func preflight(w http.ResponseWriter, r *http.Request, method string) {
	h := w.Header()
	allowOrigin(h, r)
	cacheForever(h)
	h.Set("Access-Control-Max-Age", fmt.Sprint(int(year.Seconds())))
	h.Set("Access-Control-Allow-Methods", "OPTIONS, "+method)
	w.WriteHeader(http.StatusNoContent)
}

// refuseMethod answers 405, with neither body nor type.
func refuseMethod(w http.ResponseWriter, e endpoint) {
	allow := e.method
	if e.page {
		allow += ", HEAD"
	}
	if e.cors {
		allow = "OPTIONS, " + allow
	}
	w.Header().Set("Allow", allow)
	w.WriteHeader(http.StatusMethodNotAllowed)
}

// sessionHeaders are on every answer of a session: even POST has to say that
// it is not cached, for the sake of iOS 6.
func (s *Server) sessionHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", notCached)
	h.Set("X-Content-Type-Options", "nosniff")
	if !s.opts.Cookie {
		return
	}
	value := "dummy"
	if c, err := r.Cookie("JSESSIONID"); err == nil && c.Value != "" {
		value = c.Value
	}
	http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: value, Path: "/"})
}
