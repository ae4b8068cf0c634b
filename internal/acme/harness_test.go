package acme_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	lib "github.com/mholt/acmez/v3/acme"
	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The CA's validator has no end.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// site answers challenges on two ports, as a balancer would.
type site struct {
	http, tls int
	mu        sync.Mutex
	answers   []albion.Answer
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.http = s.listen(t, func(l net.Listener) error {
		return http.Serve(l, http.HandlerFunc(s.serveHTTP))
	})
	s.tls = s.listen(t, s.serveTLS)
	return s
}

func (s *site) listen(t *testing.T, serve func(net.Listener) error) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

func (s *site) show(o *albion.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = o.Answers
}

func (s *site) find(match func(albion.Answer) bool) (albion.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		if match(a) {
			return a, true
		}
	}
	return albion.Answer{}, false
}

func (s *site) serveHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := s.find(func(a albion.Answer) bool { return r.URL.Path == "/.well-known/acme-challenge/"+a.Token })
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, a.Proof)
}

func (s *site) serveTLS(l net.Listener) error {
	config := &tls.Config{NextProtos: []string{acmez.ACMETLS1Protocol}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		a, ok := s.find(func(a albion.Answer) bool { return a.Domain == hello.ServerName })
		if !ok {
			return nil, errors.New("not here")
		}
		return acmez.TLSALPN01ChallengeCert(lib.Challenge{KeyAuthorization: a.Proof, Identifier: lib.Identifier{Type: "dns", Value: a.Domain}})
	}}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		_ = tls.Server(conn, config).Handshake()
		conn.Close()
	}
}

// applicant is somebody who orders from a CA.
type applicant struct {
	t      *testing.T
	ca     *acmetest.CA
	site   *site
	config acme.Config
	task   acme.Task
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newApplicant(t *testing.T, o acmetest.Options, r albion.Request) *applicant {
	t.Helper()
	s := newSite(t)
	o.HTTPPort, o.TLSPort = s.http, s.tls
	ca := acmetest.New(t, o)
	r.Directory, r.Roots = ca.Directory, ca.ServerRoot
	a := &applicant{t: t, ca: ca, site: s, config: acme.Config{Directory: ca.Directory, Roots: ca.ServerRoot, Poll: 10 * time.Millisecond}}
	a.task = acme.Task{
		Registration: &albion.Registration{ID: "a", Directory: r.Directory, Email: "me@example.com"},
		AccountKey:   newKey(t), Request: &r, Key: newKey(t), Order: &albion.Order{Account: "a", Step: albion.StepBegun},
	}
	return a
}

// client is a new one, as after a restart.
func (a *applicant) client() *acme.Client {
	a.t.Helper()
	c, err := acme.New(a.config)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.Close)
	return c
}

func (a *applicant) context() context.Context {
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	a.t.Cleanup(cancel)
	return ctx
}

func (a *applicant) register() {
	a.t.Helper()
	r, err := a.client().Register(a.context(), a.task.Registration, a.task.AccountKey, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.task.Registration = r
}

// advance takes one step with a client.
func (a *applicant) advance(c *acme.Client) error {
	next, err := c.Advance(a.context(), a.task)
	if err != nil {
		return err
	}
	a.task.Order = next
	a.site.show(next)
	return nil
}

// obtain takes all steps, or returns what is in the way.
func (a *applicant) obtain() error {
	c := a.client()
	for a.task.Order.Step != albion.StepDownloaded {
		if err := a.advance(c); err != nil {
			return err
		}
	}
	return nil
}

// leaf is what was issued, verified against the CA's root.
func (a *applicant) leaf() *x509.Certificate {
	a.t.Helper()
	roots, rest := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.ca.Root()))
	rest.AppendCertsFromPEM([]byte(a.task.Order.Chain))
	b, _ := pem.Decode([]byte(a.task.Order.Chain))
	if b == nil {
		a.t.Fatal("no chain")
	}
	leaf, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: rest}); err != nil {
		a.t.Error(err)
	}
	if public, ok := a.task.Key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(leaf.PublicKey) {
		a.t.Error("the certificate is for another key")
	}
	return leaf
}

// setback is the error as what it must be.
func setback(t *testing.T, err error) *albion.Setback {
	t.Helper()
	var s *albion.Setback
	if !errors.As(err, &s) {
		t.Fatalf("%v is no setback", err)
	}
	if s.Sentence == "" || s.Advice == "" || strings.ContainsAny(s.Error(), "\r\n") {
		t.Errorf("%+v does not say in one line what is wrong and what to do", s)
	}
	return s
}

func blocks(text string) (all [][]byte) {
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return all
		}
		all = append(all, b.Bytes)
	}
}
