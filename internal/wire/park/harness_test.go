//go:build linux

package park_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/internal/wire/park"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tb is what tests and property tests have in common.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Cleanup(func())
}

// open starts a lot that the test ends by calling end, or by ending.
func open(t tb) (lot *park.Lot, end func()) {
	t.Helper()
	lot = park.NewLot()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- lot.Run(ctx) }()
	once := make(chan struct{}, 1)
	once <- struct{}{}
	end = func() {
		if _, first := <-once; first {
			close(once)
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(end)
	// Run takes a moment to begin.
	near, _ := pair(t)
	for {
		if ticket := lot.Wait(near, time.Minute, func() {}); ticket != nil {
			ticket.Wake()
			return lot, end
		}
	}
}

// pair is two ends of a connection.
func pair(t tb) (*park.Socket, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return pairBy(t, l)
}

func pairBy(t tb, l net.Listener) (*park.Socket, *net.TCPConn) {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { near.Close(); far.Close() })
	return park.NewSocket(near.(*net.TCPConn)), far.(*net.TCPConn)
}

// peer is one end of a tunnel and who is behind it.
type peer struct {
	net.Conn
	end park.End
	tcp *net.TCPConn
}

// plain is a peer without TLS.
func plain(t tb) *peer {
	near, far := pair(t)
	return &peer{Conn: far, end: park.End{Socket: near, Conn: near}, tcp: far}
}

// secure is a peer whose TLS records pass through wrap on their way to the lot.
func secure(t tb, config *tls.Config, wrap func(net.Conn) net.Conn) *peer {
	t.Helper()
	near, far := pair(t)
	ours := tls.Server(near, config)
	theirs := tls.Client(wrap(far), &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- ours.Handshake() }()
	if err := errors.Join(theirs.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	return &peer{Conn: theirs, end: park.End{Socket: near, Conn: ours}, tcp: far}
}

func serverTLS(t tb) *tls.Config {
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

// tunnel parks a tunnel between two peers; what comes is how it ended.
func tunnel(t tb, lot *park.Lot, client, target *peer, change func(*park.Tunnel)) <-chan park.Outcome {
	t.Helper()
	ended := make(chan park.Outcome, 2)
	p := &park.Tunnel{
		Client: client.end, Target: target.end, Idle: time.Minute,
		Ended: func(o park.Outcome) {
			client.end.Conn.Close()
			target.end.Conn.Close()
			ended <- o
		},
	}
	if change != nil {
		change(p)
	}
	if !lot.Tunnel(p) {
		t.Fatal("the tunnel was not taken")
	}
	return ended
}

// hear expects exactly these bytes next.
func (p *peer) hear(t tb, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p, got); err != nil || string(got) != want {
		t.Fatalf("heard %q (%v), want %q", got[:n], err, want)
	}
}

func (p *peer) say(t tb, text string) {
	t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		t.Fatal(err)
	}
}

func (p *peer) closeWrite() error { return p.Conn.(interface{ CloseWrite() error }).CloseWrite() }
