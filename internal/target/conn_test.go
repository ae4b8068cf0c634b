package target_test

import (
	"bufio"
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
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/target"
)

// server is a target on loopback. It hands every accepted connection to the test.
type server struct {
	address  netip.AddrPort
	accepted chan net.Conn
}

func listen(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: netip.MustParseAddrPort(l.Addr().String()), accepted: make(chan net.Conn, 1_000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			s.accepted <- c
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

// live registers the server and returns its live target.
func (s *server) live(t *testing.T, protocol albion.Protocol) *target.Target {
	t.Helper()
	r := with(&albion.TargetGroup{
		ARN: arn, Protocol: protocol, Attributes: albion.DefaultTargetGroupAttributes(),
		Targets: []albion.Target{{Host: s.address.Addr().String(), Port: s.address.Port()}},
	})
	t.Cleanup(run(t, r))
	l := choose(t, r, plain())
	l.Release()
	return l.Target()
}

func take(t *testing.T, live *target.Target) (*target.Conn, bool) {
	t.Helper()
	c, reused, err := live.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, reused
}

func TestConnectionUsedLastIsUsedFirst(t *testing.T) {
	s := listen(t)
	live := s.live(t, albion.HTTP)
	a, reused := take(t, live)
	if reused {
		t.Fatal("the first connection is said to be reused")
	}
	b, _ := take(t, live)
	live.Put(a)
	live.Put(b)
	for i, want := range []*target.Conn{b, a} {
		if c, reused := take(t, live); c != want || !reused {
			t.Fatalf("take %d: another connection, reused %v", i, reused)
		}
	}
	fresh, err := live.Fresh(t.Context())
	if err != nil || fresh == a || fresh == b {
		t.Fatalf("not fresh: %v", err)
	}
	if live.Open() != 3 {
		t.Fatalf("%d open, want 3", live.Open())
	}
	for _, c := range []*target.Conn{a, b, fresh} {
		c.Close()
	}
	if live.Open() != 0 {
		t.Fatalf("%d open after Close", live.Open())
	}
}

// A deadline that has passed since is the next user's to move: it makes no
// connection look dead.
func TestDeadlinesAreLeftToTheNextUser(t *testing.T) {
	s := listen(t)
	live := s.live(t, albion.HTTP)
	c, _ := take(t, live)
	past := time.Unix(1, 0)
	c.SetDeadline(past)
	c.ReadBy, c.WriteBy = past, past
	live.Put(c)
	again, reused := take(t, live)
	if again != c || !reused || again.ReadBy != past || again.WriteBy != past {
		t.Fatalf("reused %v, deadlines %v and %v", reused, again.ReadBy, again.WriteBy)
	}
	again.SetDeadline(time.Time{})
	if _, err := again.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestIdleConnectionsThatAreOfNoUseAreDiscarded(t *testing.T) {
	if !target.Watched {
		return // the first use fails there, and is retried
	}
	for name, spoil := range map[string]func(net.Conn){
		"closed":     func(c net.Conn) { c.Close() },
		"half":       func(c net.Conn) { c.(*net.TCPConn).CloseWrite() },
		"reset":      func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() },
		"unexpected": func(c net.Conn) { c.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t)
			live := s.live(t, albion.HTTP)
			for range 20 {
				c, _ := take(t, live)
				peer := <-s.accepted
				spoil(peer)
				if err := c.AwaitNoise(); err != nil {
					t.Fatal(err)
				}
				live.Put(c)
				next, reused := take(t, live)
				if next == c || reused {
					t.Fatal("taken again")
				}
				<-s.accepted
				next.Close()
			}
			if live.Open() != 0 {
				t.Fatalf("%d still open", live.Open())
			}
		})
	}
}

func TestPoolIsBoundedInNumber(t *testing.T) {
	r := target.New(target.Config{Dial: pipes(t)})
	r.Sync([]*albion.TargetGroup{group(nil, 1)}, used)
	l := choose(t, r, plain())
	var all []*target.Conn
	for range 1100 {
		c, err := l.Target().Fresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		l.Target().Put(c)
	}
	if n := l.Target().Open(); n != 1024 {
		t.Fatalf("%d idle connections kept", n)
	}
	run(t, r)()
	if n := l.Target().Open(); n != 0 {
		t.Fatalf("%d connections left after the end", n)
	}
}

func TestPoolIsBoundedInTime(t *testing.T) {
	for name, running := range map[string]bool{"looked over": true, "at the next use": false} {
		synctest.Test(t, func(t *testing.T) {
			r := target.New(target.Config{Dial: pipes(t)})
			r.Sync([]*albion.TargetGroup{group(nil, 1)}, used)
			stop := run(t, r)
			if !running {
				stop = func() {}
				r = target.New(target.Config{Dial: pipes(t)})
				r.Sync([]*albion.TargetGroup{group(nil, 1)}, used)
			}
			l := choose(t, r, plain())
			old, _ := take(t, l.Target())
			young, _ := take(t, l.Target())
			l.Target().Put(old)
			time.Sleep(30 * time.Second)
			l.Target().Put(young)
			time.Sleep(30 * time.Second)
			want := 2
			if running {
				want = 1
			}
			if n := l.Target().Open(); n != want {
				t.Errorf("%s: %d connections after a minute, want %d", name, n, want)
			}
			if c, reused := take(t, l.Target()); c != young || !reused {
				t.Errorf("%s: the young connection is gone", name)
			}
			if c, reused := take(t, l.Target()); c == old || reused {
				t.Errorf("%s: the old connection is still in use", name)
			}
			stop()
		})
	}
}

func TestConnectionErrorsAndTimeouts(t *testing.T) {
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	broken := errors.New("connection refused")
	tests := []struct {
		name     string
		dial     func(*testing.T) func(context.Context, string, string) (net.Conn, error)
		protocol albion.Protocol
		cancel   time.Duration // when the caller gives up; 0: never
		timeout  bool
		after    time.Duration
	}{
		{"refused", func(*testing.T) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) { return nil, broken }
		}, albion.HTTP, 0, false, 0},
		{"no answer", func(*testing.T) func(context.Context, string, string) (net.Conn, error) { return silent }, albion.HTTP, 0, true, 10 * time.Second},
		{"caller gives up", func(*testing.T) func(context.Context, string, string) (net.Conn, error) { return silent }, albion.HTTP, time.Second, false, time.Second},
		{"silent handshake", drains, albion.HTTPS, 0, true, 10 * time.Second},
		{"caller gives up in the handshake", drains, albion.HTTPS, time.Second, false, time.Second},
		{"not TLS", chatters, albion.HTTPS, 0, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := target.New(target.Config{Dial: tt.dial(t)})
				r.Sync([]*albion.TargetGroup{group(func(tg *albion.TargetGroup) { tg.Protocol = tt.protocol }, 1)}, used)
				l := choose(t, r, plain())
				defer l.Release()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel > 0 {
					defer time.AfterFunc(tt.cancel, cancel).Stop()
				}
				began := time.Now()
				_, _, err := l.Target().Take(ctx)
				if err == nil || errors.Is(err, target.ErrTimeout) != tt.timeout || time.Since(began) != tt.after {
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
				if l.Target().Open() != 0 {
					t.Fatal("a connection that failed is remembered")
				}
			})
		})
	}
}

// drains is a Dial whose targets read everything and say nothing.
func drains(*testing.T) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { io.Copy(io.Discard, far); far.Close() }() // ends when near is closed
		return near, nil
	}
}

// chatters is a Dial whose targets answer anything in plain HTTP.
func chatters(*testing.T) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			far.Read(make([]byte, 16))
			go io.Copy(io.Discard, far)
			io.WriteString(far, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}()
		return near, nil
	}
}

func TestHandshakeEndsWithTheDeregistrationDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := target.New(target.Config{Dial: drains(t)})
		secure := func(tg *albion.TargetGroup) {
			tg.Protocol, tg.Attributes.DeregistrationDelay = albion.HTTPS, time.Second
		}
		r.Sync([]*albion.TargetGroup{group(secure, 1)}, used)
		stop := run(t, r)
		l := choose(t, r, plain())
		r.Sync([]*albion.TargetGroup{group(secure, 2)}, used)
		began := time.Now()
		if _, _, err := l.Target().Take(t.Context()); !errors.Is(err, target.ErrExpired) || time.Since(began) != time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		l.Release()
		stop()
	})
}

// certificate is self-signed, for a name that no test asks for.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"somebody.example"}, NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSTargets(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(name, func(t *testing.T) {
			config := config.Clone()
			config.MaxVersion = version
			s := listen(t)
			live := s.live(t, albion.HTTPS)
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { // one line back for each; "split" answers with a line too many
				for range 2 {
					peer := tls.Server(<-s.accepted, config)
					wg.Go(func() {
						defer peer.Close()
						lines := bufio.NewScanner(peer)
						for lines.Scan() {
							answer := "ok\n"
							if lines.Text() == "split" {
								answer = "ok\nsurprise\n"
							}
							io.WriteString(peer, answer)
						}
					})
				}
			})
			first, _ := take(t, live)
			exchange(t, first, "hello")
			live.Put(first)
			again, reused := take(t, live)
			if again != first || !reused {
				t.Fatal("a sound connection was discarded")
			}
			exchange(t, again, "split")
			live.Put(again) // with "surprise" left unread
			other, reused := take(t, live)
			if other == first || reused {
				t.Fatal("a connection with unread bytes was taken again")
			}
			exchange(t, other, "hello")
			if _, ok := other.Conn.(*tls.Conn); !ok {
				t.Fatalf("a %T", other.Conn)
			}
			other.Close()
		})
	}
}

// exchange sends a line and reads exactly one answer.
func exchange(t *testing.T, c *target.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 3)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "ok\n" {
		t.Fatalf("%q: %v", answer, err)
	}
}

func TestClosedTLSTargetIsNoticed(t *testing.T) {
	s := listen(t)
	live := s.live(t, albion.HTTPS)
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 2 {
			peer := tls.Server(<-s.accepted, config)
			bufio.NewReader(peer).ReadString('\n')
			io.WriteString(peer, "ok\n")
			peer.Close()
		}
	})
	c, _ := take(t, live)
	exchange(t, c, "hello")
	raw := c.Conn.(*tls.Conn).NetConn()
	one := make([]byte, 1)
	if n, err := c.Read(one); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("%v from %v", err, raw.RemoteAddr())
	}
	live.Put(c)
	next, reused := take(t, live)
	if next == c || reused {
		t.Fatal("a closed connection was taken again")
	}
	exchange(t, next, "hello")
	next.Close()
	wg.Wait()
}

func TestProtocolChangeLeavesOldConnectionsBehind(t *testing.T) {
	r := target.New(target.Config{Dial: pipes(t)})
	r.Sync([]*albion.TargetGroup{group(nil, 1)}, used)
	l := choose(t, r, plain())
	c, _ := take(t, l.Target())
	l.Target().Put(c)
	r.Sync([]*albion.TargetGroup{group(func(tg *albion.TargetGroup) { tg.Protocol = albion.HTTPS }, 1)}, used)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Target().Take(ctx); err == nil {
		t.Fatal("a plain connection was taken for an HTTPS group")
	}
}

func TestCloseWriteReachesTheTarget(t *testing.T) {
	s := listen(t)
	live := s.live(t, albion.HTTP)
	c, _ := take(t, live)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	peer := <-s.accepted
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the target read %v", err)
	}
	io.WriteString(peer, "ok\n")
	answer := make([]byte, 3)
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatalf("the other direction is closed too: %v", err)
	}
	c.Close()
}

func TestTakeAndPutAllocateNothing(t *testing.T) {
	s := listen(t)
	live := s.live(t, albion.HTTP)
	c, _ := take(t, live)
	live.Put(c)
	if n := testing.AllocsPerRun(200, func() {
		c, _, err := live.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		live.Put(c)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
