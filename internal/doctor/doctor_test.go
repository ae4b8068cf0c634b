package doctor_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/doctor"
	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
	"github.com/albion-lb/albion/sockjs"
)

// site is a server with a certificate for chat.example.com, and a plain one.
type site struct {
	secure, plain *httptest.Server
	cfg           doctor.Config
	subject       doctor.Subject
}

// newSite serves secure over HTTPS and plain over HTTP, at a path of the subject.
// httptest's certificate is for example.com, *.example.com and loopback.
func newSite(t *testing.T, path string, secure, plain http.Handler) *site {
	t.Helper()
	s := &site{secure: httptest.NewUnstartedServer(secure), plain: httptest.NewServer(plain)}
	s.secure.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are part of looking
	s.secure.StartTLS()
	t.Cleanup(s.secure.Close)
	t.Cleanup(s.plain.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.secure.Certificate())
	names, err := resolve.New(resolve.Config{Servers: []string{"127.0.0.1:1"}, Timeout: time.Second, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = doctor.Config{Names: names, Roots: roots, From: netip.MustParseAddr("127.0.0.1")}
	s.cfg.CAs = []doctor.CA{authority(t, `{"meta": {"caaIdentities": ["ca.example"]}}`)}
	if s.subject, err = doctor.ParseSubject("https://chat.example.com:"+port(t, s.secure.URL)+path, 80); err != nil {
		t.Fatal(err)
	}
	s.subject.HTTP = number(t, port(t, s.plain.URL))
	return s
}

// authority is a CA that says of itself what it is told to.
func authority(t *testing.T, directory string) doctor.CA {
	t.Helper()
	ca := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, directory) }))
	t.Cleanup(ca.Close)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw})
	return doctor.CA{Directory: ca.URL + "/directory", Roots: string(root)}
}

func port(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func number(t *testing.T, port string) uint16 {
	t.Helper()
	a, err := netip.ParseAddrPort("127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// examine returns the codes of what is not in order, and of what is.
func (s *site) examine(t *testing.T) (r *doctor.Report, bad, good []string) {
	t.Helper()
	r = doctor.Examine(t.Context(), s.subject, s.cfg)
	for _, f := range r.Findings {
		if f.Topic == doctor.Names {
			continue // nobody is asked for names here
		}
		if f.Grade == doctor.OK {
			good = append(good, f.Code)
		} else {
			bad = append(bad, f.Code)
		}
	}
	return r, bad, good
}

// want holds findings against those that are expected, in any order.
func want(t *testing.T, r *doctor.Report, got []string, codes ...string) {
	t.Helper()
	got, codes = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(codes))
	if !slices.Equal(got, codes) {
		t.Errorf("findings are %q, want %q:\n%+v", got, codes, r.Findings)
	}
}

// secured adds what a good server does.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		h.ServeHTTP(w, r)
	})
}

// redirected sends everybody to HTTPS.
func redirected(to *string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, *to+r.URL.Path, http.StatusMovedPermanently)
	})
}

// chat is a SockJS endpoint at /chat and a page at /.
func chat(t *testing.T, page string) http.Handler {
	t.Helper()
	server := sockjs.New("/chat", sockjs.Options{}, func(s *sockjs.Session) {
		for {
			if _, err := s.Recv(context.WithoutCancel(t.Context())); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/chat/", server)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	return mux
}

func TestAGoodSite(t *testing.T) {
	handler := chat(t, `<script>new SockJS("/chat"); new WebSocket("wss://" + location.host + "/chat/websocket")</script>`)
	var to string
	s := newSite(t, "/", secured(handler), redirected(&to))
	to = "https://chat.example.com:" + port(t, s.secure.URL)
	var said []string
	s.cfg.Say = func(doing string) { said = append(said, doing) }
	r, bad, good := s.examine(t)
	want(t, r, bad)
	want(t, r, good, "open", "open", "challenge-path", "clock", "certificate", "tls", "answers", "redirected", "hsts", "no-mixed-content", "websocket", "sockjs", "sticky")
	if len(said) < 3 {
		t.Errorf("it said %q only", said)
	}
}

func TestTheStorysPage(t *testing.T) {
	page := chat(t, "<script>\nvar sock = new SockJS('http://talk.example.net/chat');\n</script><img src='http://talk.example.net/logo.png'>")
	s := newSite(t, "/", secured(page), http.NotFoundHandler())
	r, bad, _ := s.examine(t)
	want(t, r, bad, "mixed-socket", "mixed-passive", "http-refused")
	f := r.Findings[slices.IndexFunc(r.Findings, func(f doctor.Finding) bool { return f.Code == "mixed-socket" })]
	if !slices.Contains(f.Detail, `the page:2: new SockJS("http://talk.example.net/chat")`) || !strings.Contains(f.Next, "albion up --domain talk.example.net") {
		t.Errorf("%+v", f)
	}
	if !strings.HasPrefix(r.Summary, "One thing stands between you and a working https:// and wss:// at chat.example.com") {
		t.Error(r.Summary)
	}
}

// A chat on another host has a certificate of its own, and lets the page in or not.
func TestAChatElsewhere(t *testing.T) {
	handler := chat(t, "")
	talk := newSite(t, "/", handler, http.NotFoundHandler())
	page := func(host string) http.Handler {
		h := chat(t, fmt.Sprintf("<script>new SockJS('https://%s:%s/chat')</script>", host, port(t, talk.secure.URL)))
		return secured(h)
	}
	s := newSite(t, "/", page("127.0.0.1"), http.NotFoundHandler())
	r, bad, good := s.examine(t)
	want(t, r, bad, "http-refused")
	if !slices.Contains(good, "cors") || !slices.Contains(good, "sockjs") {
		t.Errorf("%+v", r.Findings)
	}
	s = newSite(t, "/", page("localhost"), http.NotFoundHandler()) // the certificate has no such name
	r, bad, _ = s.examine(t)
	want(t, r, bad, "http-refused", "socket-certificate")
}

// A page that is on plain HTTP still is judged as on HTTPS, where it has to go.
func TestAPageThatIsNotOnHTTPSYet(t *testing.T) {
	page := chat(t, `<script src="app.js"></script><script>new SockJS("http://talk.example.net/chat")</script>`)
	s := newSite(t, "/", http.NotFoundHandler(), page)
	s.secure.Close()
	r, bad, _ := s.examine(t)
	want(t, r, bad, "closed", "mixed-socket", "unread")
}

// What lies between a SockJS server and its clients, and what is said of it.
func TestWhatIsBetween(t *testing.T) {
	other := chat(t, "")
	for name, c := range map[string]struct {
		between func(http.Handler) http.Handler
		want    []string
	}{
		"nothing": {func(h http.Handler) http.Handler { return h }, nil},
		"a proxy that knows no WebSockets": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Upgrade")
				h.ServeHTTP(w, r)
			})
		}, []string{"sockjs-websocket"}},
		"a proxy that buffers": {buffering, []string{"buffered"}},
		"a balancer that is not sticky": {func(h http.Handler) http.Handler {
			var n atomic.Uint64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/xhr_send") && n.Add(1)%2 == 0 {
					other.ServeHTTP(w, r)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, []string{"not-sticky"}},
		"a balancer that needs a cookie": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "AWSALB", Value: "1"})
				if _, err := r.Cookie("AWSALB"); err != nil && strings.HasSuffix(r.URL.Path, "/xhr_send") {
					other.ServeHTTP(w, r)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, []string{"sticky-by-cookie"}},
	} {
		t.Run(name, func(t *testing.T) {
			handler := chat(t, "")
			s := newSite(t, "/chat", secured(c.between(handler)), http.NotFoundHandler())
			s.cfg.Patience = 2 * time.Second
			r, bad, _ := s.examine(t)
			want(t, r, bad, append(c.want, "http-refused")...)
		})
	}
}

// buffering holds answers back until they end, as some proxies do.
func buffering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, stream := range []string{"/xhr_streaming", "/eventsource", "/htmlfile"} {
			if strings.HasSuffix(r.URL.Path, stream) {
				h.ServeHTTP(unflushed{httptest.NewRecorder()}, r) // until the client has had enough
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// unflushed is an answer of which nothing goes out.
type unflushed struct{ *httptest.ResponseRecorder }

func (unflushed) SetWriteDeadline(time.Time) error { return nil }

func TestRedirectsInACircle(t *testing.T) {
	var to string
	s := newSite(t, "/", redirected(&to), redirected(&to))
	to = s.subject.URL.Scheme + "://" + s.subject.URL.Host
	r, bad, _ := s.examine(t)
	want(t, r, bad, "redirect-loop", "challenge-loop")
}

// Whoever answers the token of the running server is that server.
func TestWhoIsReached(t *testing.T) {
	s := newSite(t, "/", http.NotFoundHandler(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/acme-challenge/token" {
			fmt.Fprint(w, "answer")
		}
	}))
	s.cfg.Known = doctor.Known{Running: true, Token: "token", Answer: "answer"}
	r, _, good := s.examine(t)
	if !slices.Contains(good, "reaches-us") {
		t.Errorf("%+v", r.Findings)
	}
	s.cfg.Known.Answer = "another"
	r, bad, _ := s.examine(t)
	if !slices.Contains(bad, "reaches-other") {
		t.Errorf("%+v", r.Findings)
	}
}

func TestWhatSpeaksNoTLS(t *testing.T) {
	s := newSite(t, "/", http.NotFoundHandler(), http.NotFoundHandler())
	subject, err := doctor.ParseSubject("https://chat.example.com:"+port(t, s.plain.URL), 80)
	if err != nil {
		t.Fatal(err)
	}
	subject.HTTP = s.subject.HTTP
	s.subject = subject
	r, bad, _ := s.examine(t)
	if !slices.Contains(bad, "plain-on-https") {
		t.Errorf("%+v", r.Findings)
	}
}

func TestOldVersions(t *testing.T) {
	s := newSite(t, "/", secured(http.NotFoundHandler()), http.NotFoundHandler())
	s.secure.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, Certificates: s.secure.TLS.Certificates}
	old.StartTLS()
	t.Cleanup(old.Close)
	subject, err := doctor.ParseSubject("https://chat.example.com:"+port(t, old.URL), s.subject.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	s.subject = subject
	if r, bad, _ := s.examine(t); !slices.Contains(bad, "old-tls-accepted") {
		t.Errorf("%+v", r.Findings)
	}
}

// Looking ends when its time is up, and says so.
func TestTimeIsUp(t *testing.T) {
	reached := make(chan struct{}, 16)
	s := newSite(t, "/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	}), http.NotFoundHandler())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *doctor.Report, 1)
	go func() { done <- doctor.Examine(ctx, s.subject, s.cfg) }()
	<-reached
	cancel()
	if r := <-done; !slices.ContainsFunc(r.Unseen, func(u string) bool { return strings.Contains(u, "--timeout") }) {
		t.Errorf("unseen is %q", r.Unseen)
	}
}

const zone = `
@        A     127.0.0.1
chat     A     127.0.0.1
pages    CNAME me.github.io.
*.wild   A     127.0.0.1
_acme-challenge.chat CNAME x7.other.example.org.
*.eaten  CNAME me.github.io.
eaten    A     127.0.0.1
left     A     127.0.0.1
_acme-challenge.left TXT old
empty    TXT   "no address"
circle   CNAME circle2
circle2  CNAME circle
caa      A     127.0.0.1
caa      CAA   0 issue "elsewhere.example"
dns      A     127.0.0.1
dns      CAA   0 issue "ca.example; validationmethods=dns-01"
`

// What name servers say, asked of BIND.
func TestNames(t *testing.T) {
	net := resolvetest.New(t,
		resolvetest.Zone{Name: "example.com", Servers: 2, Text: zone},
		resolvetest.Zone{Name: "bogus.com", Text: "@ A 127.0.0.1\n", Bogus: true},
		resolvetest.Zone{Name: "github.io", Text: "me A 127.0.0.1\n"},
		resolvetest.Zone{Name: "example.org", Text: "x7.other TXT proof\n"},
	)
	names, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	unchecked, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port, Unchecked: true})
	if err != nil {
		t.Fatal(err)
	}
	ca := authority(t, `{"meta": {"caaIdentities": ["ca.example"]}}`)
	for name, c := range map[string]struct {
		want []string
		http doctor.Verdict
	}{
		"chat.example.com":   {[]string{"private-lead", "challenge-delegated"}, doctor.Cannot},
		"pages.example.com":  {[]string{"elsewhere"}, doctor.Cannot},
		"a.wild.example.com": {[]string{"private-lead", "wildcard"}, doctor.Cannot},
		"eaten.example.com":  {[]string{"private-lead", "challenge-swallowed"}, doctor.Cannot},
		"left.example.com":   {[]string{"private-lead", "challenge-leftover"}, doctor.Cannot},
		"empty.example.com":  {[]string{"no-address"}, doctor.Cannot},
		"none.example.com":   {[]string{"no-such-name"}, doctor.Cannot},
		"circle.example.com": {[]string{"name-servers-fail"}, doctor.Cannot},
		"bogus.com":          {[]string{"dnssec"}, doctor.Cannot},
		"caa.example.com":    {[]string{"private-lead", "caa-forbids"}, doctor.Cannot},
		"dns.example.com":    {[]string{"private-lead", "caa-methods"}, doctor.Cannot},
		"example.com":        {[]string{"private-lead"}, doctor.Cannot},
	} {
		t.Run(name, func(t *testing.T) {
			subject, err := doctor.ParseSubject(name, 80)
			if err != nil {
				t.Fatal(err)
			}
			r := doctor.Examine(t.Context(), subject, doctor.Config{Names: names, Unchecked: unchecked, CAs: []doctor.CA{ca}, Dial: onlyTo(ca)})
			var got []string
			for _, f := range r.Findings {
				if f.Grade != doctor.OK && (f.Topic == doctor.Names || f.Topic == doctor.Authorities) {
					got = append(got, f.Code)
				}
			}
			want(t, r, got, c.want...)
			if len(r.Methods) == 0 || r.Methods[0].Works != c.http {
				t.Errorf("methods are %+v", r.Methods)
			}
		})
	}
}

// An IPv6 address that nobody listens at fails who prefers it, as CAs do.
func TestIPv6ThatNobodyListensAt(t *testing.T) {
	net := resolvetest.New(t, resolvetest.Zone{Name: "example.com", Text: "chat A 127.0.0.1\nchat AAAA ::1\n"})
	s := newSite(t, "/", secured(http.NotFoundHandler()), http.NotFoundHandler())
	names, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port})
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Names, s.cfg.From = names, netip.Addr{}
	r, bad, _ := s.examine(t)
	want(t, r, bad, "partly-open", "partly-open", "not-found", "http-refused")
	if f := r.Findings[0]; !strings.Contains(f.Next, "delete the AAAA record of chat.example.com") {
		t.Errorf("%+v", f)
	}
}

// onlyTo connects to a CA and finds every other port closed.
func onlyTo(ca doctor.CA) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if !strings.Contains(ca.Directory, address) {
			address = "127.0.0.1:1" // tcpmux, which nobody serves
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}
