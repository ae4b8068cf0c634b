package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of looking.
const (
	maxAddresses = 4        // of a name, each of which is tried
	maxBody      = 2 << 20  // of a page or a script, in bytes
	maxHeader    = 64 << 10 // of an answer, in bytes
	maxRedirects = 20       // as many as browsers follow; a CA follows 10
	maxAtOnce    = 8        // things looked at together
	oneAnswer    = 10 * time.Second
)

// eye looks at the network on behalf of one examination.
type eye struct {
	cfg       Config
	name      string // of the subject
	addresses []netip.Addr
}

// dial connects to one of the addresses of a host. Those of the subject are the
// ones that were found, so that all that is seen is of the same place.
func (e *eye) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	switch a, err := netip.ParseAddr(host); {
	case strings.EqualFold(host, e.name):
		all = e.addresses
	case err == nil:
		all = []netip.Addr{a}
	default:
		all, err = e.cfg.lookup(ctx, host)
		if err != nil {
			return nil, err
		}
	}
	err = fmt.Errorf("%s has no address", host)
	for _, a := range all[:min(len(all), maxAddresses)] {
		var conn net.Conn
		var one error
		if conn, one = e.connect(ctx, network, net.JoinHostPort(a.String(), port)); one == nil {
			return conn, nil
		}
		err = one
	}
	return nil, err
}

// connect waits for one address no longer than a person would.
func (e *eye) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, slowReach)
	defer cancel()
	return e.cfg.Dial(ctx, network, address)
}

// client makes requests whose redirects are not followed. Who the server is does
// not matter here: the certificate is judged apart.
func (e *eye) client(http2 bool) *http.Client {
	protocols := []string{"http/1.1"}
	if http2 {
		protocols = []string{"h2", "http/1.1"}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: e.dial, DisableKeepAlives: true, ForceAttemptHTTP2: http2,
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: true, NextProtos: protocols},
			TLSHandshakeTimeout:    slowReach,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// agent is how the doctor introduces itself.
const agent = "Albion doctor"

// get asks for one address and reads the answer, whatever its status.
func (e *eye) get(ctx context.Context, u *url.URL, header http.Header) (hop, []byte, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, oneAnswer)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return hop{}, nil, false, err
	}
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	for k, v := range header {
		r.Header[k] = v
	}
	client := e.client(true)
	defer client.CloseIdleConnections()
	begun := e.cfg.Now()
	answer, err := client.Do(r)
	if err != nil {
		return hop{}, nil, false, cause(err)
	}
	defer answer.Body.Close()
	took := e.cfg.Now().Sub(begun)
	h := hop{url: u, status: answer.StatusCode, header: answer.Header, at: begun.Add(took / 2)}
	h.date, _ = http.ParseTime(answer.Header.Get("Date"))
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if len(body) > maxBody {
		return h, body[:maxBody], true, nil
	}
	return h, body, false, err
}

// walk follows redirects as a browser does.
func (e *eye) walk(ctx context.Context, from *url.URL) *walkSeen {
	w := &walkSeen{}
	seen := map[string]bool{}
	for at := from; ; {
		if seen[at.String()] {
			w.loop = true
			return w
		}
		if len(w.hops) > maxRedirects {
			w.endless = true
			return w
		}
		seen[at.String()] = true
		h, body, cut, err := e.get(ctx, at, nil)
		if err != nil && h.url == nil {
			w.err = fmt.Errorf("%s: %w", printable(at.Redacted()), err)
			return w
		}
		w.hops, w.body, w.cut = append(w.hops, h), body, cut
		to := h.header.Get("Location")
		if h.status < 300 || h.status > 399 || h.status == http.StatusNotModified || to == "" {
			w.err = err
			return w
		}
		next, err := at.Parse(to)
		if err != nil || next.Scheme != "http" && next.Scheme != "https" || next.Host == "" {
			w.err = fmt.Errorf("it redirects to %q, which is no address", printable(to))
			return w
		}
		next.Fragment = ""
		at = next
	}
}

// cause is what went wrong without the request that it went wrong for.
func cause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return errors.New("no answer in time")
		}
		return wrapped.Err
	}
	return err
}

// reachOf says what became of connecting.
func reachOf(err error) reach {
	var timeout net.Error
	switch {
	case err == nil:
		return open
	case errors.Is(err, syscall.ECONNREFUSED):
		return closed
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT):
		return noWay
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, syscall.EHOSTUNREACH):
		return filtered
	}
	return cutShort
}

// knock tries ports, several at once.
func (e *eye) knock(ctx context.Context, all []netip.AddrPort) []portSeen {
	out := make([]portSeen, len(all))
	each(len(all), func(i int) {
		conn, err := e.connect(ctx, "tcp", all[i].String())
		if err == nil {
			conn.Close()
		}
		out[i] = portSeen{all[i], reachOf(err)}
	})
	return out
}

// handshakes greets each address as a browser does, and once more as an old one.
func (e *eye) handshakes(ctx context.Context, all []netip.AddrPort) []tlsSeen {
	out := make([]tlsSeen, len(all))
	each(len(all), func(i int) { out[i] = e.handshake(ctx, all[i]) })
	return out
}

func (e *eye) handshake(ctx context.Context, addr netip.AddrPort) tlsSeen {
	out := tlsSeen{addr: addr}
	state, err := e.greet(ctx, addr, &tls.Config{MinVersion: tls.VersionTLS10})
	if err != nil {
		out.err = err
		return out
	}
	out.version, out.chain = state.Version, state.PeerCertificates
	out.verdict = verify(out.chain, e.name, e.cfg.Now(), e.cfg.Roots)
	out.private = out.verdict
	if e.cfg.Private != nil && out.verdict != nil {
		out.private = verify(out.chain, e.name, e.cfg.Now(), e.cfg.Private)
	}
	if old, err := e.greet(ctx, addr, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		out.old = old.Version
	}
	return out
}

func (e *eye) greet(ctx context.Context, addr netip.AddrPort, c *tls.Config) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, oneAnswer)
	defer cancel()
	conn, err := e.connect(ctx, "tcp", addr.String())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	// What is shown is judged, not trusted: verify does it, and tells the reasons.
	c.ServerName, c.InsecureSkipVerify, c.NextProtos = e.name, true, []string{"h2", "http/1.1"}
	t := tls.Client(conn, c)
	if err := t.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	return t.ConnectionState(), nil
}

// verify judges a chain as a browser does that knows nothing but its roots. nil:
// the system's.
func verify(chain []*x509.Certificate, name string, now time.Time, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("no certificate is shown")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, CurrentTime: now, Roots: roots, Intermediates: between})
	return err
}

// each calls f for 0 to n-1, several at once, and returns when all have returned.
func each(n int, f func(i int)) {
	var wait sync.WaitGroup
	turns := make(chan struct{}, maxAtOnce)
	for i := range n {
		turns <- struct{}{}
		wait.Go(func() {
			defer func() { <-turns }()
			f(i)
		})
	}
	wait.Wait()
}

// together calls all of them at once and returns when all have returned.
func together(all ...func()) { each(len(all), func(i int) { all[i]() }) }

// addrPorts is each address with a port.
func addrPorts(addrs []netip.Addr, port uint16) []netip.AddrPort {
	var all []netip.AddrPort
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		all = append(all, netip.AddrPortFrom(a, port))
	}
	return slices.Compact(all)
}

func portText(p uint16) string { return strconv.Itoa(int(p)) }

// nonce is a word that nobody else uses.
func nonce() string { return strings.ToLower(rand.Text()) }
