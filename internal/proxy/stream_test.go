package proxy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/coder/websocket"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
)

// secure is a balancer's HTTPS listener that speaks HTTP/2.
type secure struct {
	*balancer
	config *tls.Config // of clients
}

func newSecure(t testing.TB, targets ...string) *secure {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	s := &secure{config: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}}}
	s.balancer = newBalancer(t, func(v *proxy.View) { v.Protocol, v.Port = albion.HTTPS, 443 }, targets...)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				shaken := conn.(*tls.Conn)
				if shaken.Handshake() != nil {
					shaken.Close()
					return
				}
				state := shaken.ConnectionState()
				s.live.Serve(proxy.Client{
					Conn: shaken, Remote: conn.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: conn.LocalAddr().(*net.TCPAddr).AddrPort(),
					TLS: &proxy.TLS{Version: state.Version, Cipher: state.CipherSuite}, HTTP2: state.NegotiatedProtocol == "h2",
				})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.lines()
		serving.Wait()
	})
	return s
}

func (s *secure) client() *http.Client {
	transport := &http.Transport{TLSClientConfig: s.config, ForceAttemptHTTP2: true}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *secure) send(c *http.Client, method, path string, body io.Reader) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, "https://"+s.address+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != 2 {
		s.t.Fatalf("%s: %v", res.Proto, err)
	}
	return res, string(got)
}

func TestStreamsAreForwarded(t *testing.T) {
	target := web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Saw", r.Proto+" "+r.Host+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("Cookie"))
		switch r.URL.Path {
		case "/echo":
			w.Header().Set("Trailer", "X-Sum")
			http.NewResponseController(w).EnableFullDuplex()
			io.Copy(w, r.Body)
			w.Header().Set("X-Sum", "7")
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "late")
		default:
			io.WriteString(w, r.Method+" "+r.URL.String())
		}
	})
	s := newSecure(t, target)
	c := s.client()
	res, body := s.send(c, "GET", "/a?b=c", nil)
	if body != "GET /a?b=c" || res.Header.Get("X-Saw") != "HTTP/1.1 127.0.0.1 https" {
		t.Errorf("%q %v", body, res.Header)
	}
	if res, body = s.send(c, "HEAD", "/a", nil); res.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
	large := strings.Repeat("0123456789", 200_000)
	if _, body = s.send(c, "POST", "/echo", strings.NewReader(large)); body != large {
		t.Errorf("a sized echo: %d bytes", len(body))
	}
	res, body = s.send(c, "POST", "/echo", io.MultiReader(strings.NewReader(large)))
	if body != large || res.Trailer.Get("X-Sum") != "7" {
		t.Errorf("a streamed echo: %d bytes, trailers %v", len(body), res.Trailer)
	}
	if _, body = s.send(c, "GET", "/early", nil); body != "late" {
		t.Errorf("after an interim answer: %q", body)
	}
	for _, line := range s.lines() {
		if !strings.HasPrefix(line, "h2 ") || !strings.Contains(line, " HTTP/2.0\" ") {
			t.Errorf("logged as %s", line)
		}
	}
}

// The balancer's own answers, to streams.
func TestStreamsGetOurOwnAnswers(t *testing.T) {
	s := newSecure(t)
	c := s.client()
	if res, body := s.send(c, "GET", "/", nil); res.StatusCode != 503 || !strings.Contains(body, "503") || res.Header.Get("Server") != "albion" {
		t.Errorf("no target: %d %q", res.StatusCode, body)
	}
	if res, _ := s.send(c, "TRACE", "/", nil); res.StatusCode != 405 {
		t.Errorf("TRACE: %d", res.StatusCode)
	}
	if res, _ := s.send(c, "GET", "/"+strings.Repeat("x", 17<<10), nil); res.StatusCode != 414 {
		t.Errorf("a long target: %d", res.StatusCode)
	}
	s.register("127.0.0.1:1")
	if res, _ := s.send(c, "POST", "/", strings.NewReader("x")); res.StatusCode != 502 {
		t.Errorf("a target that refuses: %d", res.StatusCode)
	}
}

// A client that resets its stream is gone: the target notices at once, and the
// log says so.
func TestAStreamThatIsResetIsAborted(t *testing.T) {
	asked, aborted := make(chan struct{}), make(chan struct{})
	target := web(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(aborted)
	})
	s := newSecure(t, target)
	p := s.peer()
	p.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	<-asked
	p.WriteRSTStream(1, http2.ErrCodeCancel)
	<-aborted
	p.conn.Close()
	if lines := s.lines(); len(lines) != 1 || !strings.Contains(lines[0], " 460 ") || !strings.Contains(lines[0], "ClientClosed") {
		t.Errorf("logged %q", lines)
	}
}

// framed is a client that writes frames.
type framed struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
}

func (s *secure) peer() *framed {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.address, s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, http2.ClientPreface)
	p := &framed{Framer: http2.NewFramer(conn, conn), conn: conn}
	p.enc = hpack.NewEncoder(&p.block)
	p.WriteSettings()
	return p
}

func (p *framed) request(id uint32, end bool, pairs ...string) {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: end, BlockFragment: p.block.Bytes()})
}

// A WebSocket begins with an extended CONNECT (RFC 8441), reaches a target that
// knows HTTP/1.1 only, and is logged as one.
func TestWebSocketOverAStream(t *testing.T) {
	target := web(t, func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		for {
			kind, data, err := ws.Read(r.Context())
			if err != nil || ws.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	s := newSecure(t, target)
	p := s.peer()
	p.request(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/chat",
		"sec-websocket-version", "13", "sec-websocket-key", "of no use here") // RFC 8441 §5
	var got []byte
	for sent := false; len(got) < 6; {
		frame, err := p.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				t.Fatal("the tunnel was refused")
			}
			if !sent { // a masked text frame that says "ping" (RFC 6455 §5.7), the mask being zero
				sent = true
				p.WriteData(1, false, []byte("\x81\x84\x00\x00\x00\x00ping"))
			}
		case *http2.DataFrame:
			got = append(got, f.Data()...)
		}
	}
	if string(got) != "\x81\x04ping" {
		t.Errorf("%q came back", got)
	}
	p.WriteData(1, true, nil)
	p.conn.Close()
	if lines := s.lines(); len(lines) != 1 || !strings.HasPrefix(lines[0], "wss ") {
		t.Errorf("logged %q", lines)
	}
}

// A drain lets a stream finish and the connection end.
func TestDrainOfStreams(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	target := web(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, "whole")
	})
	s := newSecure(t, target)
	var all sync.WaitGroup
	all.Go(func() {
		if _, body := s.send(s.client(), "GET", "/", nil); body != "whole" {
			t.Errorf("%q", body)
		}
	})
	<-asked
	all.Go(func() { s.lines() })
	close(release)
	all.Wait()
}
