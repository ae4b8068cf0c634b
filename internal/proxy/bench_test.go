package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/proxy"
)

const (
	question = "GET /chat/info?t=1234 HTTP/1.1\r\nHost: chat.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nAccept-Language: en\r\n\r\n"
	reply    = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jun 2026 12:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 128\r\n\r\n"
)

// swift is a target that reads requests without a body and answers 128 bytes,
// at the least possible cost, so that what is measured is the balancer's.
func swift(t testing.TB) (address string) {
	answer := append([]byte(reply), bytes.Repeat([]byte{'x'}, 128)...)
	return raw(t, func(conn net.Conn) {
		buf, have := make([]byte, 4096), 0
		for {
			n, err := conn.Read(buf[have:])
			if err != nil {
				return
			}
			if have += n; !bytes.HasSuffix(buf[:have], []byte("\r\n\r\n")) {
				continue
			}
			have = 0
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	})
}

// asker asks the same on one connection again and again, without allocating.
type asker struct {
	conn net.Conn
	r    *bufio.Reader
	ask  []byte
	body []byte
}

func (a *asker) once(t testing.TB) {
	if _, err := a.conn.Write(a.ask); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := a.r.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if len(line) == 2 {
			break
		}
	}
	if _, err := io.ReadFull(a.r, a.body); err != nil {
		t.Fatal(err)
	}
}

func newAsker(conn net.Conn) *asker {
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	return &asker{conn: conn, r: bufio.NewReader(conn), ask: []byte(question), body: make([]byte, 128)}
}

func BenchmarkForward(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		lb := newBalancer(b, nil, swift(b))
		forward(b, newAsker(lb.dial()))
	})
	b.Run("TLS", func(b *testing.B) {
		lb := newBalancer(b, func(v *proxy.View) { v.Port = 443 }, swift(b))
		forward(b, newAsker(lb.dialTLS()))
	})
}

func forward(b *testing.B, a *asker) {
	a.once(b)
	b.ReportAllocs()
	for b.Loop() {
		a.once(b)
	}
}

// dialTLS puts the balancer's TLS listener, whose handshake the test does, in
// front of a client's connection.
func (b *balancer) dialTLS() net.Conn {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	defer l.Close()
	config := serverTLS(b.t)
	var serving sync.WaitGroup
	b.t.Cleanup(serving.Wait)
	serving.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b.live.Serve(proxy.Client{
			Conn: tls.Server(conn, config), TLS: &proxy.TLS{Version: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256},
			Remote: conn.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: conn.LocalAddr().(*net.TCPAddr).AddrPort(),
		})
	})
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

func serverTLS(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
