package acm_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// stage is a TLS listener that shows what a test puts on it.
type stage struct {
	address string
	mu      sync.Mutex
	chain   *tls.Certificate
	names   []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.names = append(s.names, hello.ServerName)
		if s.chain == nil {
			return nil, errors.New("nothing is shown")
		}
		return s.chain, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return s
}

func (s *stage) show(t *testing.T, state *albion.State, arn albion.ARN) {
	t.Helper()
	files, err := acm.Export(state, string(arn))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(files.Fullchain, files.Privkey)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chain = &pair
}

func (s *stage) shake(ctx context.Context, _ *albion.Listener, name string) (*x509.Certificate, error) {
	dialer := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// look runs a Witness until it has kept what it saw.
func (h *house) look(shake func(context.Context, *albion.Listener, string) (*x509.Certificate, error), since time.Time) *albion.Sighting {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	w := acm.Witness{State: h.now, Update: h.update, Shake: shake, Now: h.time, After: time.After}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for {
		h.mu.Lock()
		state, next := h.state, h.changed
		h.mu.Unlock()
		if i, _ := state.Issuances.Get(string(h.arn)); i.Sighting != nil && i.Sighting.At.After(since) {
			cancel()
			<-ended
			return i.Sighting
		}
		select {
		case <-next:
		case err := <-ended:
			h.t.Fatalf("%v, %v", err, ctx.Err())
		}
	}
}

func TestWhatIsServedIsLookedAt(t *testing.T) {
	h, s := newHouse(t), newStage(t)
	h.install()
	s.show(t, h.now(), h.arn)
	now := h.time()
	h.change(func(d *albion.Draft) error { // nobody has looked yet
		i, _ := d.Issuances.Get(string(h.arn))
		unseen := *i
		unseen.Sighting = nil
		albion.Put(d, &unseen)
		return nil
	})
	cert, _ := h.certificate(h.arn)
	if saw := h.look(s.shake, now); saw.Serial != cert.Serial || saw.Problem != "" || saw.Note != "" {
		t.Errorf("%+v", saw)
	}
	if len(s.names) != 1 || s.names[0] != "chat.example.com" {
		t.Errorf("asked for %q", s.names)
	}
	if fare := acm.FareOf(h.now(), cert, h.time(), true); fare.Word != acm.StatusOK {
		t.Errorf("%+v", fare)
	}
}

func TestWhatIsNotServedIsAWarning(t *testing.T) {
	h, s := newHouse(t), newStage(t)
	h.install()
	s.show(t, h.now(), h.arn) // what is shown from now on is this one
	h.install()
	blind := func(d *albion.Draft) error {
		i, _ := d.Issuances.Get(string(h.arn))
		unseen := *i
		unseen.Sighting = nil
		albion.Put(d, &unseen)
		return nil
	}
	for name, c := range map[string]struct {
		shake         func(context.Context, *albion.Listener, string) (*x509.Certificate, error)
		problem, note string
	}{
		"the old one is shown": {s.shake, "web:443 still shows the certificate with the serial", ""},
		"nobody answers": {func(context.Context, *albion.Listener, string) (*x509.Certificate, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}, "web:443 does not answer a handshake for chat.example.com", ""},
		"nobody is let in": {func(context.Context, *albion.Listener, string) (*x509.Certificate, error) {
			return nil, acm.ErrNotLetIn
		}, "", "security groups"},
	} {
		h.change(blind)
		saw := h.look(c.shake, time.Time{})
		if !strings.Contains(saw.Problem, c.problem) || (c.problem == "") != (saw.Problem == "") || !strings.Contains(saw.Note, c.note) {
			t.Errorf("%s: %+v", name, saw)
		}
		cert, _ := h.certificate(h.arn)
		if fare := acm.FareOf(h.now(), cert, h.time(), true); (fare.Word == acm.StatusUnserved) != (c.problem != "") {
			t.Errorf("%s: %+v", name, fare)
		}
	}
	// It is looked at again, and what has mended itself is no warning any more.
	h.change(blind)
	first := h.look(s.shake, time.Time{})
	s.show(t, h.now(), h.arn)
	h.ahead = 11 * time.Minute
	if saw := h.look(s.shake, first.At); saw.Problem != "" {
		t.Errorf("%+v", saw)
	}
}

// A listener with two certificates for one name shows the one that suits the
// client.
func TestAnotherCertificateForTheNameIsNoWarning(t *testing.T) {
	h := newHouse(t)
	h.install()
	var other *albion.Certificate
	h.change(func(d *albion.Draft) error {
		other, _ = local(t, d, "other", h.time(), "chat.example.com")
		show(d, h.arn, other.ARN)
		i, _ := d.Issuances.Get(string(h.arn))
		unseen := *i
		unseen.Sighting = nil
		albion.Put(d, &unseen)
		return nil
	})
	block, _ := pem.Decode([]byte(other.Chain))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	saw := h.look(func(context.Context, *albion.Listener, string) (*x509.Certificate, error) { return leaf, nil }, time.Time{})
	if saw.Problem != "" || !strings.Contains(saw.Note, "other") {
		t.Errorf("%+v", saw)
	}
}
