//go:build unix

package solve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/acme/acmetest"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
	"github.com/albion-lb/albion/internal/solve"
)

// issue orders a certificate from Pebble, step by step, and returns its names.
func issue(t *testing.T, ca *acmetest.CA, s acme.Solver, request *albion.Request) []string {
	t.Helper()
	request.Profile = "default"
	client, err := acme.New(acme.Config{Directory: ca.Directory, Roots: ca.ServerRoot, Solver: s, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	account, leaf := newKey(t), newKey(t)
	registration, err := client.Register(t.Context(), &albion.Registration{ID: "r"}, account, nil)
	if err != nil {
		t.Fatal(err)
	}
	order := &albion.Order{Step: albion.StepBegun}
	for order.Step != albion.StepDownloaded {
		next, err := client.Advance(t.Context(), acme.Task{Registration: registration, AccountKey: account, Request: request, Key: leaf, Order: order})
		if err != nil {
			t.Fatalf("after %s: %v", order.Step, err)
		}
		order = next
	}
	if err := client.CleanUp(context.WithoutCancel(t.Context()), order); err != nil {
		t.Error(err)
	}
	block, _ := pem.Decode([]byte(order.Chain))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(slices.Values(cert.DNSNames))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A real CA looks by way of a real recursive server, at real authoritative ones.
func TestARealCAAcceptsWhatIsPresented(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText, Servers: 2, Lagging: true}, resolvetest.Zone{Name: "other.test"})
	w.onTell = func([]albion.Wanted) { w.net.Notify(1, "example.test") }
	ca := acmetest.New(t, acmetest.Options{Resolver: w.net.Recursive})
	hook := script(t, "hook", `
case $1 in
auth) `+nsupdate(w, `add _acme-challenge.$CERTBOT_DOMAIN 60 TXT $CERTBOT_VALIDATION`)+`;;
*) `+nsupdate(w, `delete _acme-challenge.$CERTBOT_DOMAIN TXT $CERTBOT_VALIDATION`)+`;;
esac
`)
	for _, test := range []struct {
		method   albion.Method
		argument string
		domains  []string
	}{
		{albion.MethodRFC2136, w.rfc2136(), []string{"*.example.test", "chat.example.test", "deleg.example.test", "example.test"}},
		{albion.MethodExec, hook, []string{"*.hooked.example.test", "hooked.example.test"}},
	} {
		got := issue(t, ca, w.solver(test.method, test.argument), &albion.Request{Method: test.method, Argument: test.argument, Domains: test.domains})
		if !slices.Equal(got, test.domains) {
			t.Errorf("%s: issued for %q; want %q", test.method, got, test.domains)
		}
	}
	w.expect("_acme-challenge.example.test", "somebody-elses")
	w.expect("_acme-challenge.hooked.example.test")
	w.expect("x7.other.test")
}

func TestARealCAFindsFilesAndTheListener(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	server, ended := &http.Server{Handler: http.FileServer(http.Dir(dir))}, make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	ca := acmetest.New(t, acmetest.Options{HTTPPort: port})
	domains := []string{"a.test", "b.test"}
	request := &albion.Request{Method: albion.MethodWebroot, Argument: dir, Domains: domains}
	if got := issue(t, ca, webroot(t, solve.Config{Dir: t.TempDir(), HTTPPort: port}, dir), request); !slices.Equal(got, domains) {
		t.Errorf("by files it issued for %q", got)
	}
	if got := tree(t, dir); got != "" {
		t.Errorf("there is %s left", got)
	}

	server.Close()
	<-ended

	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ca = acmetest.New(t, acmetest.Options{HTTPPort: l.Addr().(*net.TCPAddr).Port})
	solvers := solve.New(solve.Config{Listen: func(string, string) (net.Listener, error) { return l, nil }})
	request = &albion.Request{Method: albion.MethodStandalone, Domains: domains}
	if got := issue(t, ca, standalone(t, solvers, t.Context()), request); !slices.Equal(got, domains) {
		t.Errorf("by the listener it issued for %q", got)
	}
	solvers.Wait()
}
