package sockjstest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds every exchange. It is shorter than the time after which a
// server forgets a session, so that no case passes by waiting.
const patience = 4 * time.Second

// probe is one case's view of the service.
type probe struct {
	t   *testing.T
	url *url.URL
	tls *tls.Config
}

// header is a list of header lines, "Name: value".
type header []string

// answer is the head of a response, and its body where it has been read.
type answer struct {
	proto  string // "1.0" or "1.1"
	status int
	header textproto.MIMEHeader
	body   string
}

func (a *answer) get(name string) string { return a.header.Get(name) }

func (a *answer) has(name string) bool {
	_, ok := a.header[textproto.CanonicalMIMEHeaderKey(name)]
	return ok
}

// wire is a connection to the service.
type wire struct {
	p    *probe
	conn net.Conn
	in   *bufio.Reader
	body io.Reader // of the last response
}

func (p *probe) dial() *wire {
	p.t.Helper()
	port := p.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.url.Scheme]
	}
	dialer := &net.Dialer{Timeout: patience}
	addr := net.JoinHostPort(p.url.Hostname(), port)
	conn, err := dialer.DialContext(p.t.Context(), "tcp", addr)
	if err == nil && p.url.Scheme == "https" {
		conn = tls.Client(conn, p.clientTLS())
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		p.t.Fatalf("connect to %s: %v", addr, err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return &wire{p: p, conn: conn, in: bufio.NewReader(conn)}
}

func (p *probe) clientTLS() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.tls != nil {
		c = p.tls.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = p.url.Hostname()
	}
	c.NextProtos = []string{"http/1.1"}
	return c
}

func (w *wire) write(data string) {
	w.p.t.Helper()
	if err := w.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		w.p.t.Fatalf("set deadline: %v", err)
	}
	if _, err := io.WriteString(w.conn, data); err != nil {
		w.p.t.Fatalf("write: %v", err)
	}
}

// ask writes a request. POST always says how long its body is.
func (w *wire) ask(method, path, proto, body string, h header) {
	w.p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s HTTP/%s\r\nHost: %s\r\n", method, w.p.url.Path, path, proto, w.p.url.Host)
	for _, line := range h {
		b.WriteString(line + "\r\n")
	}
	if method == "POST" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	w.write(b.String() + "\r\n" + body)
}

// head reads the head of a response and makes its body ready to be read.
func (w *wire) head() (*answer, error) {
	text := textproto.NewReader(w.in)
	line, err := text.ReadLine()
	if err != nil {
		return nil, fmt.Errorf("read status line: %w", err)
	}
	a := &answer{}
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	if a.status, err = strconv.Atoi(code); err != nil {
		return nil, fmt.Errorf("status line %q", line)
	}
	a.proto = strings.TrimPrefix(proto, "HTTP/")
	if a.header, err = text.ReadMIMEHeader(); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	return a, w.frameBody(a)
}

// frameBody finds the end of the body: RFC 9112 §6.3.
func (w *wire) frameBody(a *answer) error {
	switch {
	case a.status == 101 || a.status == 204 || a.status == 304:
		w.body = strings.NewReader("")
	case strings.EqualFold(a.get("Transfer-Encoding"), "chunked"):
		w.body = httputil.NewChunkedReader(w.in)
	case a.has("Content-Length"):
		n, err := strconv.ParseInt(a.get("Content-Length"), 10, 64)
		if err != nil {
			return err
		}
		w.body = io.LimitReader(w.in, n)
	default:
		w.body = w.in
	}
	return nil
}

// whole reads a response with all of its body.
func (w *wire) whole() (*answer, error) {
	a, err := w.head()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(w.body)
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	a.body = string(body)
	return a, nil
}

// do asks on a connection of its own and reads the whole answer.
func (p *probe) do(method, path, body string, h header) *answer {
	p.t.Helper()
	w := p.dial()
	w.ask(method, path, "1.1", body, h)
	a, err := w.whole()
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	_ = w.conn.Close()
	return a
}

func (p *probe) get(path string, h ...string) *answer {
	p.t.Helper()
	return p.do("GET", path, "", h)
}

func (p *probe) post(path, body string, h ...string) *answer {
	p.t.Helper()
	return p.do("POST", path, body, h)
}

// open asks on a connection of its own and reads the head of the answer; the
// body is read as it comes.
func (p *probe) open(method, path string) (*answer, *wire) {
	p.t.Helper()
	w := p.dial()
	w.ask(method, path, "1.1", "", nil)
	return w.mustHead(), w
}

func (w *wire) mustHead() *answer {
	w.p.t.Helper()
	a, err := w.head()
	if err != nil {
		w.p.t.Fatal(err)
	}
	return a
}

// read reads exactly n bytes of the body.
func (w *wire) read(n int) string {
	w.p.t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(w.body, b); err != nil {
		w.p.t.Fatalf("body ends with %q: %v", b[:got], err)
	}
	return string(b)
}

// expect reads what the body has to continue with.
func (w *wire) expect(want string) {
	w.p.t.Helper()
	if got := w.read(len(want)); got != want {
		w.p.t.Fatalf("body continues with %.200q; want %.200q", got, want)
	}
}

// readPast reads the body until mark has come, and returns what was before.
func (w *wire) readPast(mark string) string {
	w.p.t.Helper()
	var b bytes.Buffer
	for !strings.HasSuffix(b.String(), mark) {
		b.WriteString(w.read(1))
	}
	return strings.TrimSuffix(b.String(), mark)
}

// ended checks that the body has ended.
func (w *wire) ended() {
	w.p.t.Helper()
	rest, err := io.ReadAll(w.body)
	if err != nil || len(rest) > 0 {
		w.p.t.Fatalf("body goes on with %.200q, %v; want its end", rest, err)
	}
}

// closed checks that the server has closed the connection.
func (w *wire) closed() {
	w.p.t.Helper()
	if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
		w.p.t.Fatalf("connection goes on with %.200q, %v; want its end", rest, err)
	}
}

// cut closes the connection in the middle of whatever is going on.
func (w *wire) cut() { _ = w.conn.Close() }
