package edge_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an Edge that runs, and the State that it was given last.
type world struct {
	t     *testing.T
	edge  *edge.Edge
	state *albion.State
	said  chan string // what the operator log says
	end   func() error
}

func newWorld(t *testing.T, cfg edge.Config) *world {
	t.Helper()
	w := &world{t: t, state: &albion.State{}, said: make(chan string, 1000)}
	cfg.Log = slog.New(slog.NewTextHandler(lines(w.said), nil))
	if cfg.Grace == 0 {
		cfg.Grace = time.Second
	}
	w.edge = edge.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.edge.Run(ctx) }()
	w.end = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// lines is a writer of log lines that loses those that nobody waits for.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// await waits for a line in the operator log.
func (w *world) await(part string) string {
	w.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case line := <-w.said:
			if strings.Contains(line, part) {
				return line
			}
		case <-late:
			w.t.Fatalf("nobody said %q", part)
		}
	}
}

// apply changes the State and makes it live.
func (w *world) apply(change func(d *albion.Draft)) {
	w.t.Helper()
	d := albion.NewDraft(w.state)
	change(d)
	next, err := d.Finish()
	if err == nil {
		err = w.edge.Apply(next)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.state = next
}

func id(name string) (id [8]byte) { copy(id[:], name); return id }

func lbARN() albion.ARN                  { return albion.LoadBalancerARN("web", id("web")) }
func listenerARN(name string) albion.ARN { return albion.ListenerARN(lbARN(), id(name)) }
func groupARN(name string) albion.ARN    { return albion.TargetGroupARN(name, id(name)) }
func certARN(name string) albion.ARN {
	var i [16]byte
	copy(i[:], name)
	return albion.CertificateARN(i)
}
func ruleARN(l, name string) albion.ARN  { return albion.RuleARN(listenerARN(l), id(name)) }
func forward(group string) albion.Action { return split(groupARN(group)) }
func fixed(body string) albion.Action {
	return albion.Action{Fixed: &albion.FixedResponse{Status: 200, ContentType: "text/plain", Body: body}}
}
func split(gs ...albion.ARN) albion.Action {
	f := &albion.Forward{}
	for _, g := range gs {
		f.Groups = append(f.Groups, albion.WeightedGroup{Group: g, Weight: 1})
	}
	return albion.Action{Forward: f}
}

// balancer puts the load balancer, on loopback, after change has seen it.
func balancer(d *albion.Draft, change func(*albion.LoadBalancer)) {
	lb := &albion.LoadBalancer{
		ARN: lbARN(), Name: "web", Attributes: albion.DefaultLoadBalancerAttributes(),
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
	}
	if change != nil {
		change(lb)
	}
	albion.Put(d, lb)
}

func group(d *albion.Draft, name string, delay time.Duration, targets ...string) {
	g := &albion.TargetGroup{
		ARN: groupARN(name), Name: name, Protocol: albion.HTTP, Port: 80,
		HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	}
	g.HealthCheck.Disabled = true
	g.Attributes.DeregistrationDelay = delay
	for _, target := range targets {
		at := netip.MustParseAddrPort(target)
		g.Targets = append(g.Targets, albion.Target{Host: at.Addr().String(), Port: at.Port()})
	}
	albion.Put(d, g)
}

func plain(d *albion.Draft, name string, port int, a albion.Action) {
	albion.Put(d, &albion.Listener{ARN: listenerARN(name), LoadBalancer: lbARN(), Protocol: albion.HTTP, Port: uint16(port), Default: a})
}

func secure(d *albion.Draft, name string, port int, a albion.Action, certs ...string) {
	l := &albion.Listener{
		ARN: listenerARN(name), LoadBalancer: lbARN(), Protocol: albion.HTTPS, Port: uint16(port),
		SSLPolicy: albion.DefaultSSLPolicy, Default: a,
	}
	for _, c := range certs {
		l.Certificates = append(l.Certificates, certARN(c))
	}
	albion.Put(d, l)
}

func rule(d *albion.Draft, listener, path string, priority int, a albion.Action) {
	albion.Put(d, &albion.Rule{
		ARN: ruleARN(listener, strconv.Itoa(priority)), Listener: listenerARN(listener), Priority: priority, Action: a,
		Conditions: []albion.Condition{{Field: albion.PathPattern, Values: []string{path}}},
	})
}

// certificate puts a new self-signed certificate, and returns its serial number.
func certificate(t *testing.T, d *albion.Draft, name string, domains ...string) *big.Int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	albion.Put(d, &albion.Certificate{
		ARN: certARN(name), Name: name, Domains: domains, KeyAlgorithm: "EC_prime256v1", Issuer: albion.Imported,
		Chain:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		NotBefore: template.NotBefore, NotAfter: template.NotAfter,
	})
	albion.Put(d, &albion.Key{Name: string(certARN(name)), Secret: secret})
	return serial
}

// freePort is a port that nobody listens on at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// web serves a handler on loopback.
func web(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}

// saying answers every request with the same words.
func saying(t *testing.T, words string) (address string) {
	return web(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, words)
	})
}

// client is a connection that is kept alive.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{t, conn, bufio.NewReader(conn)}
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

// dialTLS trusts whatever it is shown, and asks for name.
func dialTLS(t *testing.T, address, name string) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

// shown is the certificate that the client was shown.
func (c *client) shown() *x509.Certificate {
	return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// get asks and returns status and body; status 0 is an error.
func (c *client) get(path string) (status int, body string) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: chat.test\r\n\r\n", path); err != nil {
		return 0, err.Error()
	}
	answer, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, err.Error()
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// want asks for / and expects this answer.
func (c *client) want(body string) {
	c.t.Helper()
	if status, got := c.get("/"); status != 200 || got != body {
		c.t.Fatalf("got %d %q, want %q", status, got, body)
	}
}

func (w *world) seen(name string) albion.ListenerSeen {
	for _, l := range w.edge.Seen().Listeners {
		if l.Listener == listenerARN(name) {
			return l
		}
	}
	return albion.ListenerSeen{}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
