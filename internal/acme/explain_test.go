package acme_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestProblemsAreExplained(t *testing.T) {
	const http, alpn, dns, none = albion.ChallengeHTTP, albion.ChallengeALPN, albion.ChallengeDNS, albion.Challenge("")
	for _, c := range []struct {
		problem, detail string
		status          int
		challenge       albion.Challenge
		kind            albion.SetbackKind
		sentence        string
		advice          string
	}{
		{"connection", "timeout", 400, http, albion.SetbackName, "could not reach chat.example.com on port 80", "open port 80"},
		{"connection", "refused", 400, alpn, albion.SetbackName, "on port 443", "open port 443"},
		{"unauthorized", "Invalid response: 404", 403, http, albion.SetbackName, "got the answer of somebody else", "A and AAAA"},
		{"unauthorized", "During secondary validation: 404", 403, http, albion.SetbackName, "somebody else", "several places"},
		{"unauthorized", "Incorrect TXT record", 403, dns, albion.SetbackName, "right TXT record", "authoritative server"},
		{"tls", "remote error", 400, alpn, albion.SetbackName, "is not this Albion", "http challenge"},
		{"dns", "NXDOMAIN", 400, http, albion.SetbackName, "no usable address", "A (or AAAA) record"},
		{"caa", "CAA record for example.com prevents issuance", 403, http, albion.SetbackName, "a CAA record forbids", "add the CA"},
		{"rateLimited", "too many certificates, retry after 2026-06-03 10:00:00 UTC: see https://x", 429, none, albion.SetbackLimited, "limits", "wait until 2026-06-03 10:00 UTC"},
		{"rejectedIdentifier", "policy", 400, none, albion.SetbackRefused, "does not issue for chat.example.com", "issuer: local"},
		{"unsupportedIdentifier", "", 400, none, albion.SetbackRefused, "does not issue for", "spelling"},
		{"accountDoesNotExist", "", 400, none, albion.SetbackAccount, "does not know our account", "by itself"},
		{"externalAccountRequired", "", 403, none, albion.SetbackAccount, "on its web page", "letsencrypt"},
		{"invalidContact", "", 400, none, albion.SetbackAccount, "e-mail address", "another one"},
		{"unsupportedContact", "", 400, none, albion.SetbackAccount, "e-mail address", "another one"},
		{"userActionRequired", "", 403, none, albion.SetbackAccount, "terms of service", "request the certificate again"},
		{"invalidProfile", "", 400, none, albion.SetbackRefused, "profile", "leave the profile out"},
		{"badCSR", "", 400, none, albion.SetbackRefused, "kind of key", "another key type"},
		{"badPublicKey", "", 400, none, albion.SetbackRefused, "kind of key", "another key type"},
		{"orderNotReady", "", 403, none, albion.SetbackGone, "holds the order back", "by itself"},
		{"serverInternal", "", 500, none, albion.SetbackUnavailable, "out of order", "by itself"},
		{"somethingNew", "paused: see https://unpause", 403, none, albion.SetbackRefused, "the CA said no (ordering)", "its own words"},
		{"somethingNew", "", 502, none, albion.SetbackUnavailable, "said no", "its own words"},
		{"somethingNew", "", 400, http, albion.SetbackName, "said no", "its own words"},
	} {
		s := setback(t, acme.Explain(c.problem, c.detail, c.status, "chat.example.com", c.challenge, noon))
		if s.Kind != c.kind || !strings.Contains(s.Sentence, c.sentence) || !strings.Contains(s.Advice, c.advice) || s.Words != c.detail && c.kind != albion.SetbackGone {
			t.Errorf("%s: %+v", c.problem, s)
		}
	}
}

func TestACAThatCannotBeReachedIsExplained(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
	for want, change := range map[string]func(*acme.Config){
		"does not trust":      func(c *acme.Config) { c.Roots = "" },
		"cannot be found":     func(c *acme.Config) { c.Directory = "https://ca.invalid/dir" },
		"cannot be reached":   func(c *acme.Config) { c.Directory = "https://127.0.0.1:1/dir" },
		"cannot be reached (": func(c *acme.Config) { c.Directory = strings.Replace(c.Directory, "https:", "http:", 1) },
	} {
		config := a.config
		change(&config)
		c, err := acme.New(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.About(a.context())
		if s := setback(t, err); s.Kind != albion.SetbackUnavailable || !strings.Contains(s.Sentence, want) || !s.Ours {
			t.Errorf("%+v, want %q", s, want)
		}
		c.Close()
	}
	if _, err := acme.New(acme.Config{Directory: a.ca.Directory, Roots: "none"}); err == nil {
		t.Error("roots that are none are taken")
	}
}

// Once the CA has asked to be left alone, nothing more is asked of it, whatever
// the library tries.
func TestRetryAfterIsHeard(t *testing.T) {
	for status, kind := range map[int]albion.SetbackKind{429: albion.SetbackLimited, 503: albion.SetbackUnavailable} {
		a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
		a.register()
		a.ca.Fail(acmetest.NewOrder, status, "3600", "rateLimited", "slow down")
		c := a.client()
		for range 3 {
			s := setback(t, a.advance(c))
			if left := time.Until(s.Until); s.Kind != kind || left < 58*time.Minute || left > time.Hour || s.Words != "slow down" {
				t.Errorf("%d: %+v", status, s)
			}
		}
		if n := a.ca.Asked(acmetest.NewOrder); n != 1 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
}

func TestTheWindowIsAsked(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
	a.register()
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	w, err := a.client().Window(a.context(), a.leaf())
	if err != nil || !w.End.After(w.Start) || w.Check.Before(time.Now()) {
		t.Errorf("%+v, %v", w, err)
	}
	if ahead, known := a.client().Skew(); known || ahead != 0 {
		t.Error("a clock is known that nobody told")
	}
	c := a.client()
	a.ca.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		return false
	})
	if _, err := c.Window(a.context(), a.leaf()); err != nil {
		t.Error(err)
	}
	if ahead, known := c.Skew(); !known || ahead < 59*time.Minute {
		t.Errorf("ahead by %s", ahead)
	}
	a.ca.Fail(acmetest.Renewal, 500, "", "serverInternal", "")
	began := time.Now()
	if _, err := a.client().Window(a.context(), a.leaf()); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestWindows(t *testing.T) {
	const good = `{"suggestedWindow":{"start":"2026-06-10T00:00:00Z","end":"2026-06-11T00:00:00Z"},"explanationURL":"https://ca.example.com/why"}`
	w, err := acme.ParseWindow([]byte(good), "21600", noon)
	if err != nil || w.Start.Day() != 10 || w.Explanation != "https://ca.example.com/why" || !w.Check.Equal(noon.Add(6*time.Hour)) {
		t.Errorf("%+v, %v", w, err)
	}
	for retry, want := range map[string]time.Duration{"": 6 * time.Hour, "1": time.Minute, "99999999": 24 * time.Hour, "soon": 6 * time.Hour, "-5": 6 * time.Hour} {
		if w, err := acme.ParseWindow([]byte(good), retry, noon); err != nil || !w.Check.Equal(noon.Add(want)) {
			t.Errorf("%q: %s, %v", retry, w.Check, err)
		}
	}
	if _, err := acme.ParseWindow([]byte(strings.Replace(good, "-11T00:00:00Z", "-10T00:00:01Z", 1)), "", noon); err != nil {
		t.Errorf("a second: %v", err)
	}
	for _, bad := range []string{"", "{}", "[", strings.Replace(good, "06-11", "06-09", 1), strings.Replace(good, "06-11", "06-10", 1), strings.Replace(good, "2026-06-11", "9999-12-31", 1), "<html>"} {
		if w, err := acme.ParseWindow([]byte(bad), "", noon); err == nil {
			t.Errorf("%q: %+v", bad, w)
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add([]byte(`{"suggestedWindow":{"start":"2026-06-10T00:00:00Z","end":"2026-06-11T00:00:00Z"},"explanationURL":"https://ca.example.com/why"}`), "21600")
	f.Add([]byte(`{"suggestedWindow":{"start":"0001-01-01T00:00:00Z","end":"9999-12-31T23:59:59+14:00"}}`), "Mon, 01 Jun 2026 12:00:00 GMT")
	f.Add([]byte(`{`), "-1")
	f.Fuzz(func(t *testing.T, body []byte, retry string) {
		w, err := acme.ParseWindow(body, retry, noon)
		if err != nil {
			return
		}
		if !w.End.After(w.Start) || w.Check.Before(noon.Add(time.Minute)) || w.Check.After(noon.Add(24*time.Hour)) || strings.ContainsAny(w.Explanation, "\r\n\x1b") {
			t.Errorf("%+v", w)
		}
		if _, err := w.Start.MarshalJSON(); err != nil {
			t.Error(err)
		}
		if _, err := w.End.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzExplain(f *testing.F) {
	f.Add("rateLimited", "retry after 2026-06-03 10:00:00 UTC", 429, "3600")
	f.Add("unauthorized", "\x1b[31mred\r\n\u202eesrever", 403, "Mon, 01 Jun 2026 12:00:00 GMT")
	f.Add("caa", strings.Repeat("x", 5000), 403, "99999999999999999999")
	f.Fuzz(func(t *testing.T, kind, detail string, status int, retry string) {
		var s *albion.Setback
		if !errors.As(acme.Explain(kind, detail, status, detail, albion.ChallengeHTTP, noon), &s) || s.Kind == "" || s.Sentence == "" || s.Advice == "" {
			t.Fatalf("%+v", s)
		}
		for _, text := range []string{s.Sentence, s.Advice, s.Words} {
			if strings.ContainsAny(text, "\x00\x1b\r\n\u202e") || !utf8.ValidString(text) || len(text) > 2048+512 {
				t.Errorf("%q", text)
			}
		}
		if s.Until.After(noon.Add(9 * 24 * time.Hour)) {
			t.Errorf("until %s", s.Until)
		}
		if at, ok := acme.RetryAfter(retry, noon); ok && at.After(noon.Add(9*24*time.Hour)) {
			t.Errorf("%q: %s", retry, at)
		}
	})
}
