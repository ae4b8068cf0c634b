package doctor

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

func address(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// answered is a way of one answer.
func answered(t testing.TB, at string, status int, header http.Header) *walkSeen {
	if header == nil {
		header = http.Header{}
	}
	return &walkSeen{hops: []hop{{url: address(t, at), status: status, header: header, at: now}}}
}

// way is one through redirects; the last answers.
func way(t testing.TB, urls ...string) *walkSeen {
	w := &walkSeen{}
	for i, u := range urls {
		status := 301
		if i == len(urls)-1 {
			status = 200
		}
		w.hops = append(w.hops, hop{url: address(t, u), status: status, header: http.Header{}, at: now})
	}
	return w
}

func TestPorts(t *testing.T) {
	judge(t, checkPorts,
		view{"both answer", ports(map[uint16]reach{443: open, 80: open}), []string{"ok open", "ok open"}, ""},
		view{"nobody listens", ports(map[uint16]reach{443: closed, 80: closed}), []string{"problem closed", "warning closed"}, "albion up --domain chat.example.com --to HOST:PORT"},
		view{"packets are dropped", ports(map[uint16]reach{443: filtered, 80: open}), []string{"problem filtered", "ok open"}, "security group"},
		view{"no way there", ports(map[uint16]reach{443: noWay, 80: open}), []string{"note no-way", "ok open"}, ""},
		view{"the listener has failed", func(s *sight) {
			ports(map[uint16]reach{443: closed, 80: open})(s)
			s.known.Listeners = []Listener{{Port: 443, Problem: "port 443 is in use"}}
		}, []string{"problem closed", "ok open"}, "port 443 is in use"},
		view{"something between refuses", func(s *sight) {
			ports(map[uint16]reach{443: closed, 80: open})(s)
			s.known.Listeners = []Listener{{Port: 443, Serving: true}}
		}, []string{"problem closed", "ok open"}, "router"},
		view{"IPv4 only", func(s *sight) {
			s.ports = []portSeen{{netip.AddrPortFrom(here, 443), open}, {netip.AddrPortFrom(here6, 443), closed}, {netip.AddrPortFrom(here, 80), open}}
		}, []string{"problem partly-open", "ok open"}, "delete the AAAA record"},
		view{"nothing was tried", func(*sight) {}, nil, ""},
	)
}

func TestWhoAnswersACA(t *testing.T) {
	token := func(w *walkSeen, body, want string) func(*sight) {
		return func(s *sight) {
			w.body = []byte(body)
			s.token = &tokenSeen{walk: *w, want: want}
		}
	}
	const at = "http://chat.example.com/.well-known/acme-challenge/x"
	judge(t, checkToken,
		view{"this Albion", token(answered(t, at, 200, nil), "answer\n", "answer"), []string{"ok reaches-us"}, ""},
		view{"another", token(answered(t, at, 404, http.Header{"Server": {"nginx"}}), "", "answer"), []string{"warning reaches-other"}, "“nginx”"},
		view{"somebody, while none runs here", token(answered(t, at, 404, nil), "", ""), []string{"ok challenge-path"}, ""},
		view{"who asks for a password", token(answered(t, at, 401, nil), "", ""), []string{"warning challenge-denied"}, ""},
		view{"another name", token(way(t, at, "https://other.example.com/x"), "", ""), []string{"warning challenge-redirected"}, "other.example.com"},
		view{"the same name over HTTPS", token(way(t, at, "https://chat.example.com/x"), "", ""), []string{"ok challenge-path"}, ""},
		view{"nobody in the end", func(s *sight) {
			w := way(t, at, at)
			w.loop = true
			token(w, "", "")(s)
		}, []string{"problem challenge-loop"}, ""},
		view{"nobody", func(s *sight) { s.token = &tokenSeen{} }, nil, ""},
	)
}

func TestClock(t *testing.T) {
	ca := func(all ...time.Duration) func(*sight) {
		return func(s *sight) {
			for _, d := range all {
				s.cas = append(s.cas, caSeen{CA: CA{Directory: letsEncrypt}, date: now.Add(d)})
			}
		}
	}
	judge(t, checkClock,
		view{"right", ca(2 * time.Second), []string{"ok clock"}, ""},
		view{"behind", ca(10 * time.Minute), []string{"warning clock"}, "10m0s behind"},
		view{"far ahead", ca(-48 * time.Hour), []string{"problem clock"}, "ahead of"},
		view{"one of two says so", ca(-48*time.Hour, time.Second), []string{"ok clock"}, ""},
		view{"nobody says", func(*sight) {}, nil, ""},
		view{"the server says", func(s *sight) {
			s.secure = answered(t, "https://chat.example.com/", 200, nil)
			s.secure.hops[0].date = now.Add(time.Hour)
		}, []string{"problem clock"}, "chat.example.com"},
		view{"a CA counts for more", func(s *sight) {
			ca(0)(s)
			s.secure = answered(t, "https://chat.example.com/", 200, nil)
			s.secure.hops[0].date = now.Add(time.Hour)
		}, []string{"ok clock"}, ""},
	)
}

func TestRedirects(t *testing.T) {
	const plain, secure = "http://chat.example.com/", "https://chat.example.com/"
	both := func(p, s *walkSeen) func(*sight) { return func(x *sight) { x.plain, x.secure = p, s } }
	ok := func() *walkSeen { return way(t, secure) }
	loop := func(w *walkSeen) *walkSeen { w.loop = true; return w }
	judge(t, checkRedirects,
		view{"as it should be", both(way(t, plain, secure), ok()), []string{"ok answers", "ok redirected"}, ""},
		view{"none", both(way(t, plain), ok()), []string{"ok answers", "warning not-redirected"}, "redirect: https"},
		view{"no HTTPS to redirect to", both(way(t, plain), nil), []string{"ok answers"}, ""},
		view{"nothing there", both(answered(t, plain, 404, nil), ok()), []string{"ok answers", "note http-refused"}, "404"},
		view{"a circle whichever way", both(loop(way(t, plain, secure)), loop(way(t, secure, secure))), []string{"problem redirect-loop"}, ""},
		view{"a circle", both(nil, loop(way(t, secure, secure))), []string{"problem redirect-loop"}, "X-Forwarded-Proto"},
		view{"a circle through a CDN", func(s *sight) {
			s.secure = loop(way(t, secure, plain))
			s.secure.hops[0].header.Set("Server", "cloudflare")
		}, []string{"problem redirect-loop"}, "let Cloudflare ask the server over HTTPS"},
		view{"too many", func(s *sight) {
			s.secure = way(t, secure, secure)
			s.secure.endless = true
		}, []string{"problem too-many-redirects"}, ""},
		view{"away from HTTPS", both(nil, way(t, secure, plain)), []string{"problem downgrade"}, ""},
		view{"to nobody", func(s *sight) {
			s.secure = way(t, secure)
			s.secure.err = errors.New("https://gone.example.com/: connection refused")
		}, []string{"problem redirect-broken"}, "gone.example.com"},
		view{"no answer at all", func(s *sight) { s.secure = &walkSeen{err: errors.New("no answer in time")} }, []string{"problem no-answer"}, ""},
		view{"the server is down", both(nil, answered(t, secure, 502, nil)), []string{"problem server-down"}, "502"},
		view{"the server fails", both(nil, answered(t, secure, 500, nil)), []string{"problem server-error"}, ""},
		view{"there is no page", both(nil, answered(t, secure, 404, nil)), []string{"note not-found"}, ""},
		view{"one has to sign in", both(nil, answered(t, secure, 401, nil)), []string{"note refused"}, ""},
	)
}

func TestHSTS(t *testing.T) {
	says := func(text string) func(*sight) {
		return func(s *sight) {
			s.secure = answered(t, "https://chat.example.com/", 200, http.Header{})
			if text != "" {
				s.secure.hops[0].header.Set("Strict-Transport-Security", text)
			}
		}
	}
	judge(t, checkHSTS,
		view{"none", says(""), []string{"note hsts-missing"}, ""},
		view{"a year", says("max-age=31536000"), []string{"ok hsts"}, ""},
		view{"quoted, with more", says(`includeSubDomains; Max-Age="31536000"`), []string{"ok hsts"}, ""},
		view{"an hour", says("max-age=3600"), []string{"note hsts-short"}, "1 hour"},
		view{"no age", says("includeSubDomains"), []string{"warning hsts-broken"}, ""},
		view{"an age that is none", says("max-age=-1"), []string{"warning hsts-broken"}, ""},
		view{"preload, as it is meant", says("max-age=63072000; includeSubDomains; preload"), []string{"note hsts-preload"}, ""},
		view{"preload, halfway", says("max-age=31536000; preload"), []string{"warning hsts-preload"}, ""},
		view{"an answer over HTTP", func(s *sight) { s.secure = way(t, "https://chat.example.com/", "http://chat.example.com/") }, nil, ""},
	)
}
