package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// witness looks at what our own listeners show.
func (s *server) witness(ctx context.Context) error {
	changed, end := s.changes(ctx)
	defer end()
	w := acm.Witness{
		State: s.store.State, Changed: changed, Update: s.store.Update, Live: s.served.wait, Shake: s.shake,
		Now: time.Now, After: time.After, Log: s.log,
	}
	return w.Run(ctx)
}

// shake is a handshake with one of our listeners, as a client on this machine has
// it.
func (s *server) shake(ctx context.Context, l *albion.Listener, name string) (*x509.Certificate, error) {
	address := ""
	for _, seen := range s.edge.Seen().Listeners {
		switch {
		case seen.Listener != l.ARN:
		case seen.Problem != "":
			return nil, errors.New(seen.Problem)
		default:
			address = seen.Address
		}
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, errors.New("it is not open")
	}
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(loopback(at.Addr()), at.Port())
	}
	if !letIn(s.store.State(), l, at.Addr()) {
		return nil, acm.ErrNotLetIn
	}
	// What is shown is compared with what should be, whoever vouches for it.
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	if !ok || len(secure.ConnectionState().PeerCertificates) == 0 {
		return nil, fmt.Errorf("%s shows no certificate", at)
	}
	return secure.ConnectionState().PeerCertificates[0], nil
}

// loopback is this machine's address of the same family.
func loopback(any netip.Addr) netip.Addr {
	if any.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// letIn says whether a listener's security groups let somebody at an address
// connect: to itself, this machine comes from the address that it goes to.
func letIn(state *albion.State, l *albion.Listener, from netip.Addr) bool {
	lb, ok := state.LoadBalancers.Get(string(l.LoadBalancer))
	if !ok || len(lb.SecurityGroups) == 0 {
		return true
	}
	return slices.ContainsFunc(lb.SecurityGroups, func(id string) bool {
		g, ok := state.SecurityGroups.Get(id)
		return ok && g.Allows(from, l.Port)
	})
}

// herald tells hooks what becomes of certificates.
func (s *server) herald(ctx context.Context) error {
	changed, end := s.changes(ctx)
	defer end()
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: 30 * time.Second,
	}
	defer transport.CloseIdleConnections()
	h := acm.Herald{
		State: s.store.State, Changed: changed, Update: s.store.Update, HTTP: transport, Dir: filepath.Join(s.dataDir, runFolder),
		Environ: hookEnvironment(os.Environ()), Agent: "albion/" + version(), Now: time.Now, After: time.After, Log: s.log,
	}
	return h.Run(ctx)
}

// hookEnvironment is what programs get of our environment: what they need to run,
// and nothing that may be a secret of ours.
func hookEnvironment(all []string) []string {
	needed := []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "COMSPEC", "PATHEXT", "USERPROFILE"}
	return slices.DeleteFunc(slices.Clone(all), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(needed, strings.ToUpper(name))
	})
}

// keeps says why the data folder could not keep what a CA issues.
func (s *server) keeps(r *albion.Request) error {
	if err := s.store.Probe(); err != nil {
		return err
	}
	if s.store.Volatile() && acm.Counts(r.Directory) && !s.volatile {
		return fmt.Errorf("the data folder %s is in memory: after a restart of the machine everything would be ordered anew, until %s refuses; if that is meant, start with --volatile-data", s.dataDir, r.Host())
	}
	return nil
}
