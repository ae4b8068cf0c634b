package sockjstest

import (
	"regexp"
	"strconv"
	"strings"
)

func (p *probe) equal(what, got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: got %.300q, want %.300q", what, got, want)
	}
}

func (p *probe) status(a *answer, want int) {
	p.t.Helper()
	if a.status != want {
		p.t.Fatalf("status %d, want %d; body %.200q", a.status, want, a.body)
	}
}

// is checks status and body.
func (p *probe) is(a *answer, status int, body string) {
	p.t.Helper()
	p.status(a, status)
	p.equal("body", a.body, body)
}

func (p *probe) absent(a *answer, names ...string) {
	p.t.Helper()
	for _, name := range names {
		if v := a.get(name); v != "" {
			p.t.Errorf("header %s is %q; want none", name, v)
		}
	}
}

func (p *probe) present(a *answer, names ...string) {
	p.t.Helper()
	for _, name := range names {
		if a.get(name) == "" {
			p.t.Errorf("header %s is missing", name)
		}
	}
}

// says checks an answer with an error's text somewhere in it.
func (p *probe) says(a *answer, status int, text string) {
	p.t.Helper()
	p.status(a, status)
	if !strings.Contains(a.body, text) {
		p.t.Errorf("body %.200q does not say %q", a.body, text)
	}
}

// contentType compares without regard to spaces.
func (p *probe) contentType(a *answer, want string) {
	p.t.Helper()
	p.equal("Content-Type", strings.ReplaceAll(a.get("Content-Type"), " ", ""), want)
}

// cors checks that a page of origin may read the answer, cookies included.
func (p *probe) cors(a *answer, origin string) {
	p.t.Helper()
	if origin == "" || origin == "null" {
		origin = "*"
	}
	p.equal("Access-Control-Allow-Origin", a.get("Access-Control-Allow-Origin"), origin)
	p.equal("Access-Control-Allow-Credentials", a.get("Access-Control-Allow-Credentials"), "true")
}

func (p *probe) notCached(a *answer) {
	p.t.Helper()
	p.equal("Cache-Control", a.get("Cache-Control"), "no-store, no-cache, must-revalidate, max-age=0")
	p.absent(a, "Expires", "Last-Modified")
}

// cached checks for a life of months at least.
func (p *probe) cached(a *answer) {
	p.t.Helper()
	control := a.get("Cache-Control")
	if !strings.Contains(control, "public") || !regexp.MustCompile(`max-age=[1-9][0-9]{6}`).MatchString(control) {
		p.t.Errorf("Cache-Control %q does not let everybody keep it for long", control)
	}
	p.present(a, "Expires")
}

// refusesMethod checks a 405.
func (p *probe) refusesMethod(a *answer) {
	p.t.Helper()
	p.is(a, 405, "")
	p.absent(a, "Content-Type")
	p.present(a, "Allow")
}

// preflight checks the answers to OPTIONS for pages of three kinds.
func (p *probe) preflight(path, methods string) {
	p.t.Helper()
	for _, origin := range []string{"", "test", "null"} {
		var h header
		if origin != "" {
			h = header{"Origin: " + origin}
		}
		a := p.do("OPTIONS", path, "", h)
		p.is(a, 204, "")
		p.cached(a)
		age, err := strconv.Atoi(a.get("Access-Control-Max-Age"))
		if err != nil || age <= 1000000 {
			p.t.Errorf("Access-Control-Max-Age is %q; want more than a million", a.get("Access-Control-Max-Age"))
		}
		p.equal("Access-Control-Allow-Methods", a.get("Access-Control-Allow-Methods"), methods)
		p.cors(a, origin)
	}
}

// cookie checks for JSESSIONID with that value, for the whole host.
func (p *probe) cookie(a *answer, value string) {
	p.t.Helper()
	parts := strings.Split(a.get("Set-Cookie"), ";")
	if len(parts) < 2 {
		p.t.Fatalf("Set-Cookie is %q", a.get("Set-Cookie"))
	}
	p.equal("cookie", strings.TrimSpace(parts[0]), "JSESSIONID="+value)
	p.equal("cookie's path", strings.ToLower(strings.TrimSpace(parts[1])), "path=/")
}
