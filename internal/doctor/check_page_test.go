package doctor

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/resolve"
)

// page is a page with these scripts and this HTML.
func paged(t testing.TB, html string, scripts ...string) *pageSeen {
	base := address(t, "https://chat.example.com/index.html")
	doc := scanHTML(base, []byte(html))
	read := doc.inline
	for _, s := range scripts {
		read = append(read, readScript("app.js", 1, s))
	}
	refs, uses := connections(doc.base, read)
	return &pageSeen{url: base, refs: append(doc.refs, refs...), upgrade: doc.upgrade, sockjs: uses || doc.sockjs, secure: map[string]bool{}}
}

func TestMixedContent(t *testing.T) {
	page := func(html string, scripts ...string) func(*sight) {
		return func(s *sight) { s.page = paged(t, html, scripts...) }
	}
	judge(t, checkPage,
		view{"none", page(`<script src="/app.js"></script><img src="//cdn.example.com/x.png">`), []string{"ok no-mixed-content"}, ""},
		view{"the story's SockJS", page("", `var sock = new SockJS("http://192.0.2.9/chat");`), []string{"problem mixed-socket"}, `app.js:1: new SockJS("http://192.0.2.9/chat")`},
		view{"its way out", page("", `var sock = new SockJS("http://192.0.2.9:8080/chat");`), []string{"problem mixed-socket"}, "albion up --domain chat.YOURDOMAIN --to 127.0.0.1:8080"},
		view{"a name keeps its name", page("", `new WebSocket("ws://talk.example.net/x")`), []string{"problem mixed-socket"}, "--domain talk.example.net"},
		view{"a script", page(`<script src="http://cdn.example.com/x.js"></script>`), []string{"problem mixed-content"}, "index.html:1: http://cdn.example.com/x.js"},
		view{"an image", page(`<img src="http://cdn.example.com/x.png">`), []string{"warning mixed-passive"}, ""},
		view{"a form", page(`<form action="http://chat.example.com/login">`), []string{"warning mixed-passive"}, ""},
		view{"all at once", page(`<img src="http://a.example/x.png"><iframe src="http://b.example/">`, `new WebSocket("ws://c.example/")`), []string{"problem mixed-socket", "problem mixed-content", "warning mixed-passive"}, ""},
		view{"the browser's own machine", page("", `fetch("http://localhost:3000/api")`), []string{"warning loopback"}, "app.js:1"},
		view{"a host that answers securely", func(s *sight) {
			page("", `new SockJS("http://talk.example.net/chat")`)(s)
			s.page.secure["talk.example.net"] = true
		}, []string{"problem mixed-socket"}, "write https:// at app.js:1: talk.example.net answers"},
		view{"upgraded, and answered", func(s *sight) {
			page(`<meta http-equiv="content-security-policy" content="upgrade-insecure-requests"><script src="http://cdn.example.com/x.js"></script>`)(s)
			s.page.secure["cdn.example.com"] = true
		}, []string{"note mixed-content-upgraded"}, ""},
		view{"upgraded in vain", page(`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests"><script src="http://cdn.example.com/x.js"></script>`), []string{"problem mixed-content"}, ""},
		view{"a script that cannot be read", func(s *sight) {
			page("")(s)
			s.page.unread = []string{"app.js: it is answered with 404"}
		}, []string{"note unread", "ok no-mixed-content"}, "app.js"},
		view{"an address made of parts", page("", `new SockJS("http://" + host + "/chat")`), []string{"problem mixed-socket"}, "write https:// at app.js:1"},
		view{"no page", func(*sight) {}, nil, ""},
	)
}

func TestServersReachedAroundTheBalancer(t *testing.T) {
	around := func(how reach) func(*sight) {
		return func(s *sight) {
			s.around = []aroundSeen{{"127.0.0.1:8080", netip.AddrPortFrom(here, 8080), how}}
		}
	}
	judge(t, checkAround,
		view{"one is", around(open), []string{"warning around"}, "close port 8080"},
		view{"none is", around(closed), []string{"ok not-around"}, ""},
		view{"none is known", func(*sight) {}, nil, ""},
	)
}

func TestWebSockets(t *testing.T) {
	socket := func(status int, opened bool, err error) func(*sight) {
		return func(s *sight) {
			s.sockets = []socketSeen{{address(t, "https://chat.example.com/ws"), status, opened, err, nil}}
		}
	}
	judge(t, checkSockets,
		view{"opens", socket(101, true, nil), []string{"ok websocket"}, "wss://chat.example.com/ws"},
		view{"is not there", socket(404, false, nil), []string{"problem websocket-refused"}, "path"},
		view{"is forbidden", socket(403, false, nil), []string{"problem websocket-refused"}, "origin"},
		view{"is not passed on", socket(400, false, nil), []string{"problem websocket-refused"}, "Upgrade"},
		view{"breaks off", socket(0, false, errors.New("EOF")), []string{"problem websocket-fails"}, "EOF"},
		view{"answers nonsense", socket(101, false, errors.New("Sec-WebSocket-Accept")), []string{"problem websocket-fails"}, ""},
		view{"is somewhere in the scripts", func(s *sight) { s.page = paged(t, "", "new SockJS(where())") }, []string{"note endpoint-unknown"}, "albion doctor https://chat.example.com/chat"},
		view{"is plain, which is said already", func(s *sight) { s.page = paged(t, "", `new SockJS("http://192.0.2.9/chat")`) }, nil, ""},
	)
}

// endpointSeen is an endpoint where all is well.
func endpointSeen(t testing.TB) sockjsSeen {
	u := address(t, "https://chat.example.com/chat")
	k := sockjsSeen{url: u, origin: origin(u), info: infoSeen{status: 200, websocket: true}, frame: frameSeen{status: 200}}
	for _, name := range []string{"websocket", "xhr_streaming", "xhr", "eventsource", "htmlfile", "jsonp"} {
		k.transports = append(k.transports, transportSeen{name: name, status: 200, opened: true, began: true, took: time.Millisecond})
	}
	k.sticky = []stickySeen{{cookies: true, asked: 6}, {asked: 6}}
	return k
}

func TestSockJS(t *testing.T) {
	with := func(change func(*sockjsSeen)) func(*sight) {
		return func(s *sight) {
			k := endpointSeen(t)
			change(&k)
			s.sockjs = []sockjsSeen{k}
		}
	}
	fail := func(k *sockjsSeen, status int, err error, names ...string) {
		for i := range k.transports {
			for _, name := range names {
				if t := &k.transports[i]; t.name == name {
					t.opened, t.status, t.err = false, status, err
				}
			}
		}
	}
	foreign := func(k *sockjsSeen) { k.origin = "https://me.example.org" }
	judge(t, checkSockets,
		view{"at a host that browsers do not trust", with(func(k *sockjsSeen) { k.trust = errors.New("x509: expired") }), []string{"problem socket-certificate", "ok sockjs", "ok sticky"}, "x509: expired"},
		view{"all is well", with(func(*sockjsSeen) {}), []string{"ok sockjs", "ok sticky"}, "websocket, xhr_streaming, xhr, eventsource, htmlfile, jsonp"},
		view{"no endpoint", with(func(k *sockjsSeen) { k.info.status = 404 }), []string{"problem sockjs-info"}, "404"},
		view{"something else", with(func(k *sockjsSeen) { k.info.err = errors.New("what is answered there is not SockJS") }), []string{"problem sockjs-info"}, ""},
		view{"another origin", with(func(k *sockjsSeen) {
			foreign(k)
			k.info.allow, k.info.creds = k.origin, true
		}), []string{"ok cors", "ok sockjs", "ok sticky"}, ""},
		view{"another origin, not let in", with(foreign), []string{"problem cors", "ok sockjs", "ok sticky"}, "no Access-Control-Allow-Origin"},
		view{"any origin, and credentials", with(func(k *sockjsSeen) {
			foreign(k)
			k.info.allow, k.info.creds = "*", true
		}), []string{"problem cors", "ok sockjs", "ok sticky"}, "Access-Control-Allow-Origin: *"},
		view{"no WebSockets", with(func(k *sockjsSeen) { fail(k, 400, nil, "websocket") }), []string{"warning sockjs-websocket", "ok sticky"}, "falls back to xhr_streaming"},
		view{"switched off", with(func(k *sockjsSeen) {
			k.info.websocket = false
			fail(k, 404, nil, "websocket")
		}), []string{"note sockjs-no-websocket", "ok sockjs", "ok sticky"}, ""},
		view{"nothing opens", with(func(k *sockjsSeen) {
			fail(k, 500, nil, "websocket", "xhr_streaming", "xhr", "eventsource", "htmlfile", "jsonp")
			k.sticky = nil
		}), []string{"problem sockjs-fails"}, "xhr: answered with 500"},
		view{"streams are held back", with(func(k *sockjsSeen) {
			fail(k, 200, errors.New("no answer in time"), "xhr_streaming", "eventsource", "htmlfile")
		}), []string{"warning buffered", "ok sticky"}, "proxy_buffering off"},
		view{"streams are late", with(func(k *sockjsSeen) { k.transports[1].took = 5 * time.Second }), []string{"warning buffered", "ok sticky"}, ""},
		view{"an old transport is missing", with(func(k *sockjsSeen) { fail(k, 404, nil, "htmlfile") }), []string{"note sockjs-transports", "ok sticky"}, "not over htmlfile"},
		view{"several servers", with(func(k *sockjsSeen) { k.sticky[0].lost, k.sticky[1].lost = 3, 3 }), []string{"ok sockjs", "problem not-sticky"}, "stickiness: sockjs"},
		view{"one server by a cookie", with(func(k *sockjsSeen) { k.sticky[1].lost = 3 }), []string{"ok sockjs", "warning sticky-by-cookie"}, "another site"},
		view{"sessions were not tried", with(func(k *sockjsSeen) { k.sticky = []stickySeen{{}, {}} }), []string{"ok sockjs"}, ""},
		view{"no iframe", with(func(k *sockjsSeen) { k.frame.status = 404 }), []string{"ok sockjs", "note iframe-missing", "ok sticky"}, ""},
		view{"an iframe that may not be one", with(func(k *sockjsSeen) { k.frame.options = "deny" }), []string{"ok sockjs", "note iframe-denied", "ok sticky"}, "X-Frame-Options"},
		view{"an iframe with a plain client", with(func(k *sockjsSeen) {
			k.frame.scripts = scanHTML(k.url, []byte(`<script src="http://cdn.example.com/sockjs.js"></script>`)).refs
		}), []string{"ok sockjs", "warning iframe-mixed", "ok sticky"}, ""},
	)
}

func TestMethods(t *testing.T) {
	type verdicts [4]Verdict // http, tls-alpn, dns-delegated, dns-manual
	both := ports(map[uint16]reach{443: open, 80: open})
	for _, c := range []struct {
		name string
		see  func(*sight)
		want verdicts
		why  string
	}{
		{"all is open", both, verdicts{Works, Unsure, Works, Works}, "port 80 answers"},
		{"this Albion answers", func(s *sight) {
			both(s)
			s.token = &tokenSeen{walk: walkSeen{body: []byte("a")}, want: "a"}
		}, verdicts{Works, Unsure, Works, Works}, "reaches this Albion"},
		{"its certificate is shown", func(s *sight) {
			both(s)
			leaf := server(t, nil, nil).cert
			s.tls = []tlsSeen{{chain: []*x509.Certificate{leaf}}}
			s.known.Certificates = []Shown{{Serial: colons(leaf.SerialNumber.Bytes())}}
		}, verdicts{Works, Works, Works, Works}, "certificate of this Albion"},
		{"GitHub Pages", func(s *sight) {
			both(s)
			s.names.chain = []string{"me.github.io"}
		}, verdicts{Cannot, Cannot, Works, Works}, "GitHub Pages, which answers 404"},
		{"a CDN", func(s *sight) {
			both(s)
			s.names.chain = []string{"x.cloudfront.net"}
		}, verdicts{Unsure, Cannot, Works, Works}, "ends TLS itself"},
		{"nothing listens", ports(map[uint16]reach{443: closed, 80: closed}), verdicts{Unsure, Unsure, Works, Works}, "nothing listens"},
		{"packets are dropped", ports(map[uint16]reach{443: filtered, 80: filtered}), verdicts{Cannot, Cannot, Works, Works}, "does not answer"},
		{"a private address", func(s *sight) { s.names.a = addresses(inside) }, verdicts{Cannot, Cannot, Works, Works}, "private address"},
		{"elsewhere", func(s *sight) {
			both(s)
			s.names.a = addresses(there)
		}, verdicts{Unsure, Unsure, Works, Works}, "arrives at this machine"},
		{"nowhere", func(s *sight) { s.names.a = nil }, verdicts{Cannot, Cannot, Works, Works}, "nowhere yet"},
		{"delegated already", func(s *sight) {
			both(s)
			s.names.challenge.chain = []string{"x.acme.example.net"}
		}, verdicts{Works, Unsure, Unsure, Cannot}, "x.acme.example.net"},
		{"only by DNS", caaMethods("dns-01", both), verdicts{Cannot, Cannot, Works, Works}, "by dns-01 only"},
		{"only by HTTP", caaMethods("http-01", both), verdicts{Works, Cannot, Cannot, Cannot}, ""},
		{"a loop", func(s *sight) {
			both(s)
			s.token = &tokenSeen{walk: walkSeen{loop: true}}
		}, verdicts{Cannot, Unsure, Works, Works}, "without end"},
		{"another port", func(s *sight) { s.subject.HTTP, s.subject.HTTPS = 8080, 8443 }, verdicts{Unsure, Unsure, Works, Works}, "port 80 only"},
	} {
		s := usual(t)
		c.see(s)
		var got verdicts
		var why []string
		for i, m := range methods(s) {
			got[i] = m.Works
			why = append(why, m.Name+" "+m.Why)
		}
		if got != c.want || !strings.Contains(strings.Join(why, "\n"), c.why) {
			t.Errorf("%s: %v, want %v with %q\n%s", c.name, got, c.want, c.why, strings.Join(why, "\n"))
		}
	}
	s := usual(t)
	s.subject.Name = "chat.test"
	if got := methods(s); got != nil {
		t.Errorf("a name for private use can be proved by %v", got)
	}
}

func caaMethods(methods string, then func(*sight)) func(*sight) {
	return func(s *sight) {
		then(s)
		s.cas = []caSeen{{CA: CA{Directory: letsEncrypt}, identities: []string{"letsencrypt.org"}}}
		s.names.caa.Records = append(s.names.caa.Records, resolve.CAA{Tag: "issue", Value: "letsencrypt.org; validationmethods=" + methods})
	}
}

func TestSummary(t *testing.T) {
	judged := func(see func(*sight)) *Report {
		s := usual(t)
		see(s)
		return s.report(false)
	}
	good := func(s *sight) {
		ports(map[uint16]reach{443: open, 80: open})(s)
		s.secure = answered(t, "https://chat.example.com/", 200, http.Header{"Strict-Transport-Security": {"max-age=31536000"}})
		s.plain = way(t, "http://chat.example.com/", "https://chat.example.com/")
	}
	for _, c := range []struct {
		name string
		see  func(*sight)
		want string
	}{
		{"all is well", good, "Nothing stands between you and a working https://chat.example.com."},
		{"with sockets", func(s *sight) {
			good(s)
			s.sockjs = []sockjsSeen{endpointSeen(t)}
		}, "Nothing stands between you and a working https:// and wss:// at chat.example.com."},
		{"one problem", ports(map[uint16]reach{443: filtered, 80: open}), "One thing stands between you and a working https://chat.example.com/: port 443 at 192.0.2.7 does not answer at all, so no browser gets https:// or wss://."},
		{"the first of two", func(s *sight) {
			good(s)
			s.page = paged(t, `<script src="http://a.example/x.js"></script>`, `new WebSocket("ws://b.example/")`)
		}, "2 things stand between you and a working https://chat.example.com/; first of all, the page opens its socket over plain HTTP, and browsers block that on a page from https://."},
		{"a warning", func(s *sight) {
			good(s)
			s.plain = way(t, "http://chat.example.com/")
		}, "Nothing stands between you and a working https://chat.example.com/, and one thing may hurt: http:// is answered without a redirect: who types the name without https:// stays in the clear."},
		{"nothing to be seen", ports(map[uint16]reach{443: noWay, 80: noWay}), "Whether anything stands between you and a working https://chat.example.com/ cannot be told from here."},
	} {
		if got := judged(c.see).Summary; got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}
