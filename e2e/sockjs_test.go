package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/sockjs/sockjstest"
)

// The whole definition of the protocol, asked of a server directly, through
// Albion's HTTP listener, and through its HTTPS listener: no case may tell the
// difference.
func TestSockJSThroughAlbion(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	p := newSockJSPath(t)
	for _, way := range p.ways {
		t.Run(way.name, func(t *testing.T) { sockjstest.Suite{Base: way.base, TLS: p.trust}.Run(t) })
	}
	t.Run("frame by frame", p.compare)
}

// sockJSPath is a SockJS server and the ways to it.
type sockJSPath struct {
	trust *tls.Config
	ways  []sockJSWay // the first one is direct
}

type sockJSWay struct{ name, base string }

func newSockJSPath(t *testing.T) *sockJSPath {
	t.Helper()
	// Some cases name their sessions: each way has a server of its own.
	direct, first, second := sockJSTarget(t), sockJSTarget(t), sockJSTarget(t)
	dir, plain, secure := t.TempDir(), freePort(t), freePort(t)
	file := filepath.Join(dir, "albion.yaml")
	replace(t, file, fmt.Appendf(nil, `certificates:
  local: {domains: [127.0.0.1], issuer: local}
target_groups:
  first: {port: 80, targets: [%q], stickiness: sockjs, health_check: {path: /echo, interval: 5s}}
  second: {port: 80, targets: [%q], stickiness: sockjs, health_check: {path: /echo, interval: 5s}}
load_balancers:
  web:
    addresses: [127.0.0.1]
    attributes: {preserve_host_header: true}
    listeners:
      - {port: %d, protocol: HTTP, forward: first}
      - {port: %d, protocol: HTTPS, certificates: [local], forward: second}
`, first[len("http://"):], second[len("http://"):], plain, secure))
	s := &stage{t: t, dir: dir, albion: filepath.Join(buildPrograms(t), "albion")}
	start(t, s.albion, "serve", "-c", file, "--data", s.data(), "--admin", "off", "--grace", "2s", "--log-format", "text").says(`msg=(ready)`)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.status().Authority)) {
		t.Fatal("the status shows no CA")
	}
	return &sockJSPath{
		trust: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ways: []sockJSWay{
			{"direct", direct},
			{"HTTP listener", fmt.Sprintf("http://127.0.0.1:%d", plain)},
			{"HTTPS listener", fmt.Sprintf("https://127.0.0.1:%d", secure)},
		},
	}
}

// sockJSTarget is a SockJS server that the protocol's cases ask.
func sockJSTarget(t *testing.T) (base string) {
	service := sockjstest.Endpoints()
	web := httptest.NewServer(service)
	t.Cleanup(func() {
		// The sessions end first: answers that never end would keep the server.
		if err := service.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return web.URL
}

// compare holds the same conversations by every transport, each way, and wants
// the same bytes and fields each time.
func (p *sockJSPath) compare(t *testing.T) {
	for name, hold := range map[string]func(*sockJSTalk){
		"info":          func(c *sockJSTalk) { c.whole("GET", "/echo/info", "") },
		"preflight":     func(c *sockJSTalk) { c.whole("OPTIONS", "/echo/000/"+c.session+"/xhr", "") },
		"unknown":       func(c *sockJSTalk) { c.whole("GET", "/echo/a/b/c/d", "") },
		"iframe":        func(c *sockJSTalk) { c.whole("GET", "/echo/iframe.html", "") },
		"xhr":           pollTalk("POST", "/xhr", "/xhr_send"),
		"jsonp":         pollTalk("GET", "/jsonp?c=cb", "/jsonp_send"),
		"xhr-streaming": streamTalk("POST", "/xhr_streaming"),
		"eventsource":   streamTalk("GET", "/eventsource"),
		"htmlfile":      streamTalk("GET", "/htmlfile?c=cb"),
		"websocket":     webSocketTalk,
	} {
		t.Run(name, func(t *testing.T) {
			var direct string
			for i, way := range p.ways {
				c := &sockJSTalk{t: t, base: way.base, trust: p.trust, session: fmt.Sprintf("%s-%d", name, i)}
				hold(c)
				c.close()
				got := c.transcript()
				if i == 0 {
					direct = got
				} else if got != direct {
					t.Errorf("%s differs:\n%s\ndirectly:\n%s", way.name, got, direct)
				}
			}
			if direct == "" {
				t.Error("nothing was said")
			}
		})
	}
}

// sockJSTalk is one conversation, and the transcript of what came back.
type sockJSTalk struct {
	t       *testing.T
	base    string
	trust   *tls.Config
	session string
	conns   []net.Conn
	got     bytes.Buffer
}

// transcript is what came back, without what names the session or the moment:
// the info's entropy is a number of any length.
func (c *sockJSTalk) transcript() string {
	got := strings.ReplaceAll(c.got.String(), c.session, "SESSION")
	entropy := regexp.MustCompile(`"entropy":\d+`)
	if !entropy.MatchString(got) {
		return got
	}
	length := regexp.MustCompile(`(?m)^(Content-Length: )?7\d`)
	return length.ReplaceAllString(entropy.ReplaceAllString(got, `"entropy":N`), "${1}N")
}

func (c *sockJSTalk) path(end string) string { return "/echo/000/" + c.session + end }

// ask opens a connection, asks, notes the head of the answer, and returns what
// comes after it, without its framing.
func (c *sockJSTalk) ask(method, path, body, kind string) (*bufio.Reader, net.Conn) {
	c.t.Helper()
	conn := c.dial()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: chat.test\r\nOrigin: https://page.test\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		method, path, kind, len(body), body)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	c.head(res)
	return bufio.NewReader(res.Body), conn
}

func (c *sockJSTalk) dial() net.Conn {
	c.t.Helper()
	host := c.base[strings.Index(c.base, "//")+2:]
	conn, err := (&net.Dialer{}).DialContext(c.t.Context(), "tcp", host)
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.HasPrefix(c.base, "https:") {
		config := c.trust.Clone()
		config.ServerName = "127.0.0.1"
		conn = tls.Client(conn, config)
	}
	c.conns = append(c.conns, conn)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// head notes status and fields; those that a balancer may write itself stay out.
func (c *sockJSTalk) head(res *http.Response) {
	fmt.Fprintf(&c.got, "HTTP/1.1 %s\n", res.Status)
	var fields []string
	for name, values := range res.Header {
		if !slices.Contains([]string{"Date", "Connection", "Expires"}, textproto.CanonicalMIMEHeaderKey(name)) {
			fields = append(fields, fmt.Sprintf("%s: %s\n", name, strings.Join(values, ", ")))
		}
	}
	slices.Sort(fields)
	fmt.Fprintf(&c.got, "%s%d %v\n", strings.Join(fields, ""), res.ContentLength, res.TransferEncoding)
}

// whole notes an answer with all of its body.
func (c *sockJSTalk) whole(method, path, body string) {
	c.t.Helper()
	kind := "text/plain"
	if strings.Contains(path, "jsonp_send") {
		kind = "application/x-www-form-urlencoded"
	}
	in, _ := c.ask(method, path, body, kind)
	rest, err := io.ReadAll(in)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	fmt.Fprintf(&c.got, "%s\n", rest)
}

// until notes what comes, up to a mark.
func (c *sockJSTalk) until(in *bufio.Reader, mark string) {
	c.t.Helper()
	var piece []byte
	for !bytes.HasSuffix(piece, []byte(mark)) {
		b, err := in.ReadByte()
		if err != nil {
			c.t.Fatalf("%q, and then %v", piece, err)
		}
		piece = append(piece, b)
	}
	c.got.Write(piece)
}

func (c *sockJSTalk) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// pollTalk opens a session, says something, gets it back, and is refused twice.
func pollTalk(method, poll, send string) func(*sockJSTalk) {
	return func(c *sockJSTalk) {
		body := `["one","two \u0000 \u2028 ü"]`
		if strings.HasPrefix(send, "/jsonp") {
			body = "d=" + strings.NewReplacer("%", "%25", `\`, "%5C", `"`, "%22", " ", "+", "ü", "%C3%BC").Replace(body)
		}
		c.whole(method, c.path(poll), "")
		c.whole("POST", c.path(send), body)
		c.whole(method, c.path(poll), "")
		c.whole("POST", c.path(send), `["broken`)
		c.whole("POST", "/echo/000/nobody"+send, `["x"]`)
	}
}

// streamTalk is the same in one answer that never ends, which the client then
// cuts: the server has to know at once.
func streamTalk(method, path string) func(*sockJSTalk) {
	return func(c *sockJSTalk) {
		in, conn := c.ask(method, c.path(path), "", "text/plain")
		c.until(in, "o")
		for i := range 3 {
			c.whole("POST", c.path("/xhr_send"), fmt.Sprintf(`["message %d","ü"]`, i))
			c.until(in, fmt.Sprintf("message %d", i))
		}
		c.until(in, "]")
		conn.Close()
		c.interrupted()
	}
}

// interrupted asks for the session until the server has noticed that its client
// is gone: until then it answers that another connection is still open.
func (c *sockJSTalk) interrupted() {
	c.t.Helper()
	late := time.Now().Add(3 * time.Second)
	for {
		before := c.got.Len()
		c.whole("POST", c.path("/xhr"), "")
		if bytes.Contains(c.got.Bytes()[before:], []byte(`c[1002,"Connection interrupted"]`)) {
			return
		}
		if time.Now().After(late) {
			c.t.Fatalf("the server does not notice that its client is gone: %s", c.got.Bytes()[before:])
		}
		c.got.Truncate(before)
	}
}

// webSocketTalk opens a socket, says three things and closes.
func webSocketTalk(c *sockJSTalk) {
	c.t.Helper()
	in, conn := c.upgrade()
	c.webSocketFrame(in)
	for i := range 3 {
		text := fmt.Sprintf(`["message %d"]`, i)
		conn.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
		c.webSocketFrame(in) // before the next, lest both come back in one
	}
	conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8}) // close, 1000
	c.webSocketFrame(in)
	rest, err := io.ReadAll(in)
	fmt.Fprintf(&c.got, "%q %v\n", rest, err)
}

func (c *sockJSTalk) upgrade() (*bufio.Reader, net.Conn) {
	c.t.Helper()
	conn := c.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", c.path("/websocket"))
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, &http.Request{Method: "GET"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.head(res)
	return in, conn
}

// webSocketFrame notes one frame: RFC 6455 §5.2, unmasked and short.
func (c *sockJSTalk) webSocketFrame(in *bufio.Reader) {
	c.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil || head[1] > 125 {
		c.t.Fatalf("frame %x: %v, after:\n%s", head, err, &c.got)
	}
	payload := make([]byte, head[1])
	if _, err := io.ReadFull(in, payload); err != nil {
		c.t.Fatal(err)
	}
	fmt.Fprintf(&c.got, "%x %q\n", head, payload)
}
