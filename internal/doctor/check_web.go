package doctor

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// checkRedirects judges where http:// and https:// lead.
func checkRedirects(s *sight) []Finding {
	all := checkWalk(s, s.secure, "https")
	if s.plain == nil {
		return all
	}
	if s.secure == nil || !s.secure.loop && !s.secure.endless {
		all = append(all, checkWalk(s, s.plain, "http")...)
	}
	last := s.plain.last()
	switch {
	case !s.plain.arrived() || last == nil:
	case last.url.Scheme == "https":
		all = append(all, Finding{OK, Web, "redirected", "http:// is redirected to https://", nil, ""})
	case s.secure.arrived() && last.status >= 400:
		all = append(all, Finding{Note, Web, "http-refused", fmt.Sprintf("http:// is answered with %d, and not redirected to https://", last.status), nil, "redirect port 80 (in albion.yaml: `redirect: https`; `albion up` does)"})
	case s.secure.arrived():
		all = append(all, Finding{
			Warning, Web, "not-redirected", "http:// is answered without a redirect: who types the name without https:// stays in the clear", hopLines(s.plain),
			"redirect port 80 (in albion.yaml: `redirect: https`; `albion up` does)",
		})
	}
	return all
}

// checkWalk judges one way through redirects.
func checkWalk(s *sight, w *walkSeen, scheme string) []Finding {
	if w == nil {
		return nil
	}
	switch {
	case w.loop || w.endless:
		f := Finding{Problem, Web, "redirect-loop", fmt.Sprintf("%s:// is redirected in a circle, so browsers give up", scheme), hopLines(w), "take the redirect away on the server that the balancer forwards to, or let it believe X-Forwarded-Proto"}
		if downgraded(w) {
			if h, ok := s.elsewhere(); ok && h.cdn {
				f.Next = fmt.Sprintf("let %s ask the server over HTTPS: while it asks over HTTP, it is redirected to itself for ever", h.name)
			}
		}
		if w.endless {
			f.Code, f.Says = "too-many-redirects", fmt.Sprintf("%s:// is redirected more than %d times, so browsers give up", scheme, maxRedirects)
		}
		return []Finding{f}
	case w.err != nil && len(w.hops) == 0:
		return []Finding{{Problem, Web, "no-answer", fmt.Sprintf("a connection to %s:// is taken and not answered", scheme), []string{w.err.Error()}, "look at what listens there: `albion status` shows Albion's own listeners"}}
	case w.err != nil:
		return []Finding{{Problem, Web, "redirect-broken", fmt.Sprintf("%s:// is redirected to where nothing answers", scheme), append(hopLines(w), w.err.Error()), "correct the address that is redirected to"}}
	}
	if downgraded(w) {
		return []Finding{{Problem, Web, "downgrade", "https:// is redirected to http://", hopLines(w), "let the server behind believe X-Forwarded-Proto, so that it makes https:// addresses"}}
	}
	return checkStatus(s, w, scheme)
}

// downgraded says whether the way leaves HTTPS.
func downgraded(w *walkSeen) bool {
	for i := 1; i < len(w.hops); i++ {
		if w.hops[i-1].url.Scheme == "https" && w.hops[i].url.Scheme == "http" {
			return true
		}
	}
	return false
}

// checkStatus judges the answer itself.
func checkStatus(s *sight, w *walkSeen, scheme string) []Finding {
	h := w.last()
	if scheme == "http" && s.secure != nil {
		return nil // the same is said of https
	}
	switch {
	case h.status == http.StatusBadGateway || h.status == http.StatusServiceUnavailable || h.status == http.StatusGatewayTimeout:
		return []Finding{{Problem, Web, "server-down", fmt.Sprintf("the balancer answers, and the server behind it does not (%d)", h.status), hopLines(w), "start the server; `albion status` says what its health check got"}}
	case h.status >= 500:
		return []Finding{{Problem, Web, "server-error", fmt.Sprintf("the server fails (%d)", h.status), hopLines(w), "look at the log of the server"}}
	case h.status == http.StatusNotFound && s.subject.URL.Path == "/":
		return []Finding{{Note, Web, "not-found", fmt.Sprintf("there is nothing at %s (404), so no page could be looked at", h.url), nil, "name the page, or the endpoint: `albion doctor https://" + s.subject.URL.Host + "/chat`"}}
	case h.status >= 400:
		return []Finding{{Note, Web, "refused", fmt.Sprintf("%s answers %d, so no page could be looked at", h.url, h.status), nil, ""}}
	}
	return []Finding{{OK, Web, "answers", fmt.Sprintf("%s:// answers (%d)", h.url.Scheme, h.status), nil, ""}}
}

// halfYear is what the usual tests of servers ask of HSTS; a year is what the
// preload list asks (hstspreload.org, "Submission Requirements").
const (
	halfYear = 15768000
	oneYear  = 31536000
)

// checkHSTS judges Strict-Transport-Security (RFC 6797).
func checkHSTS(s *sight) []Finding {
	h := s.secure.last()
	if h == nil || !s.secure.arrived() || s.subject.Addr.IsValid() || h.url.Scheme != "https" {
		return nil
	}
	text := h.header.Get("Strict-Transport-Security")
	if text == "" {
		return []Finding{{
			Note, Web, "hsts-missing", "nothing tells browsers to keep to https:// (no Strict-Transport-Security)", nil,
			"once all works, have the server add `Strict-Transport-Security: max-age=31536000`",
		}}
	}
	p := readHSTS(text)
	line := []string{"Strict-Transport-Security: " + printable(text[:min(len(text), 200)])}
	switch {
	case p.age < 0:
		return []Finding{{Warning, Web, "hsts-broken", "the Strict-Transport-Security header cannot be read, so browsers pass over it", line, "write it so: `Strict-Transport-Security: max-age=31536000`"}}
	case p.preload && (!p.below || p.age < oneYear):
		return []Finding{{Warning, Web, "hsts-preload", "the header asks for the preload list and does not fulfil its terms (a year, includeSubDomains)", line, "leave `preload` out, unless every name below is HTTPS for good"}}
	case p.preload:
		return []Finding{{Note, Web, "hsts-preload", "the header asks for the preload list: whoever submits the name puts every name below it on HTTPS, and undoing that takes months", line, "leave `preload` out, unless that is meant"}}
	case p.age < halfYear:
		return []Finding{{Note, Web, "hsts-short", fmt.Sprintf("browsers keep to https:// for %s only", days(time.Duration(p.age)*time.Second)), line, "once all works, raise max-age to 31536000"}}
	}
	return []Finding{{OK, Web, "hsts", "browsers are told to keep to https://", line, ""}}
}

// policy is what a Strict-Transport-Security header says.
type policy struct {
	age            int // seconds; negative: it cannot be read
	below, preload bool
}

func readHSTS(text string) policy {
	p := policy{age: -1}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "max-age":
			if n, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(value), `"`), 10, 64); err == nil && n >= 0 {
				p.age = int(min(n, 100*oneYear))
			}
		case "includesubdomains":
			p.below = true
		case "preload":
			p.preload = true
		}
	}
	return p
}
