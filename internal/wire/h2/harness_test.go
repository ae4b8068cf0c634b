package h2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server accepts TLS connections and serves them with h2.
type server struct {
	addr   string
	roots  *x509.CertPool
	cfg    h2.Config
	shared *h2.Shared

	mu    sync.Mutex // guards conns and ends
	conns map[*h2.Conn]struct{}
	ends  chan error // what Serve returned, of every connection, in the order of their ends
	all   sync.WaitGroup

	writes atomic.Int64 // to all connections
}

// counted counts the writes to a connection.
type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// serve starts a server that lives as long as the test.
func serve(t testing.TB, cfg h2.Config) *server {
	t.Helper()
	cert, roots := certificate(t)
	cfgTLS := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		addr: listener.Addr().String(), roots: roots, cfg: cfg, shared: h2.NewShared(),
		conns: map[*h2.Conn]struct{}{}, ends: make(chan error, 4096),
	}
	s.all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { s.one(tls.Server(&counted{Conn: conn, writes: &s.writes}, cfgTLS)) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Cut()
		}
		s.mu.Unlock()
		s.all.Wait()
	})
	return s
}

func (s *server) one(conn *tls.Conn) {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if conn.Handshake() != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		conn.Close()
		return
	}
	conn.SetDeadline(time.Time{})
	c := h2.New(conn, s.cfg, s.shared)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	err := c.Serve()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.ends <- err
}

func (s *server) tls() *tls.Config {
	return &tls.Config{RootCAs: s.roots, ServerName: "localhost", NextProtos: []string{"h2"}}
}

func field(name, value string) wire.Field {
	return wire.Field{Name: []byte(name), Value: []byte(value), ID: wire.NameOf([]byte(name))}
}

// answer sends a whole answer of a known length.
func answer(s *h2.Stream, status int, body string, fields ...wire.Field) {
	fields = append(fields, field("Content-Length", strconv.Itoa(len(body))))
	head := string(s.Request().Method) == "HEAD"
	if s.WriteHead(&wire.Response{Status: status, Fields: fields}, nil, head) == nil && !head {
		s.Finish([]byte(body), nil)
	}
}

// app answers as its path says.
func app(s *h2.Stream) {
	if status, reason := s.Refused(); status != 0 {
		answer(s, status, reason)
		return
	}
	r := s.Request()
	switch path := string(r.Path); path {
	case "/echo":
		echo(s)
	case "/head":
		var b strings.Builder
		b.WriteString(string(r.Method) + " " + string(r.Target) + " " + string(r.Host) + "\n")
		for _, f := range r.Fields {
			b.WriteString(string(f.Name) + ": " + string(f.Value) + "\n")
		}
		answer(s, 200, b.String())
	case "/count":
		n, err := io.Copy(io.Discard, s)
		if err != nil {
			s.Reset()
			return
		}
		answer(s, 200, strconv.FormatInt(n, 10))
	case "/big":
		bulk(s, string(r.Query))
	case "/early":
		answer(s, 403, "no")
	case "/interim":
		s.WriteHead(&wire.Response{Status: 103, Fields: []wire.Field{field("Link", "</a.css>")}}, nil, false)
		answer(s, 200, "final")
	case "/hang":
		<-s.Gone()
	case "/nothing":
	default:
		if _, err := io.Copy(io.Discard, s); err != nil {
			s.Reset()
			return
		}
		answer(s, 200, "hello", field("Content-Type", "text/plain"), field("Connection", "x"))
	}
}

// echo sends back what it gets, as it gets it, and the trailers.
func echo(s *h2.Stream) {
	if s.WriteHead(&wire.Response{Status: 200}, nil, false) != nil {
		return
	}
	buf := make([]byte, 8<<10)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			s.Finish(nil, s.Trailers())
			return
		}
		if err != nil {
			return
		}
	}
}

// bulk sends as many bytes as asked for.
func bulk(s *h2.Stream, size string) {
	left, err := strconv.Atoi(size)
	if err != nil || s.WriteHead(&wire.Response{Status: 200}, nil, false) != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for left > len(buf) {
		if _, err := s.Write(buf); err != nil {
			return
		}
		left -= len(buf)
	}
	s.Finish(buf[:left], nil)
}
