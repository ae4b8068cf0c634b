package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const (
	loadSockets  = 2000
	loadClients  = 200
	loadDuration = 30 * time.Second
	// Between one client's requests or messages: both sides share the machine.
	loadPause = 200 * time.Millisecond
	loadBeat  = 2 * time.Second
	// How many changes must have been applied, of one a second.
	loadChanges = 25
)

// TestNothingIsCutWhileTheConfigurationChanges holds many WebSockets and
// keep-alive clients while the file is applied anew every second, each time with
// other rules and other target groups. No request may fail and no socket be cut,
// and the changes must have taken place.
func TestNothingIsCutWhileTheConfigurationChanges(t *testing.T) {
	l := newLoad(t)
	ctx, cancel := context.WithTimeout(t.Context(), loadDuration+90*time.Second)
	defer cancel()
	l.start(ctx)

	var clients sync.WaitGroup
	defer clients.Wait()
	stop, over := context.WithCancel(ctx)
	defer over()
	connected := make(chan struct{}, loadSockets)
	gate := make(chan struct{}, 64) // handshakes at the same time
	for i := range loadSockets {
		clients.Go(func() { l.socket(stop, i, gate, connected) })
	}
	for range loadSockets {
		select {
		case <-connected:
		case <-ctx.Done():
			t.Fatalf("only some sockets came to be; failures: %v", l.failures())
		}
	}
	for i := range loadClients {
		clients.Go(func() { l.requests(stop, i) })
	}
	changes := l.changeEverySecond(ctx)
	l.waitForShape(ctx, changes)
	applied := l.applied()
	l.finishing.Store(true)
	over()
	clients.Wait()

	t.Logf("%d messages, %d requests, %d changes, %d of them applied", l.messages.Load(), l.answers.Load(), changes, applied)
	if failed := l.failures(); len(failed) > 0 {
		t.Errorf("%d failures, for example: %v", len(failed), failed[:min(5, len(failed))])
	}
	if l.messages.Load() < 5*loadSockets || l.answers.Load() < 5*loadClients || applied < loadChanges {
		t.Errorf("too little happened for this to mean anything")
	}
}

// load is the whole arrangement: targets, the balancer, and what went wrong.
type load struct {
	t         *testing.T
	dir       string
	port      int
	targets   []string
	trust     *tls.Config
	messages  atomic.Int64
	answers   atomic.Int64
	finishing atomic.Bool

	mu     sync.Mutex // guards failed
	failed []string
}

func newLoad(t *testing.T) *load {
	l := &load{t: t, dir: t.TempDir(), port: freePort(t)}
	for range 2 {
		l.targets = append(l.targets, loadTarget(t))
	}
	l.write(0)
	return l
}

// loadTarget serves WebSockets and requests, both echoing.
func loadTarget(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer socket.CloseNow()
		for {
			kind, data, err := socket.Read(r.Context())
			if err != nil || socket.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	server := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return listener.Addr().String()
}

// shapePath is where the balancer says which shape of the configuration it has.
const shapePath = "/shape"

// write writes the configuration in its n-th shape. The group that works stays;
// others come and go, and so do rules, and one answers with n.
func (l *load) write(n int) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "certificates:\n  load: {domains: [localhost], issuer: local}\n")
	fmt.Fprintf(&b, "target_groups:\n  echo:\n    port: 80\n    targets: [%q, %q]\n    algorithm: %s\n", l.targets[0], l.targets[1],
		[]string{"round_robin", "least_outstanding_requests"}[n%2])
	fmt.Fprintf(&b, "  other%d:\n    port: 80\n    targets: [%q]\n", n%3, l.targets[n%2])
	fmt.Fprintf(&b, "load_balancers:\n  web:\n    addresses: [127.0.0.1]\n    listeners:\n      - port: %d\n        protocol: HTTPS\n        certificates: [load]\n        forward: echo\n        rules:\n", l.port)
	for i := range 1 + n%7 {
		fmt.Fprintf(&b, "          - {priority: %d, path: [/rule%d/*], forward: other%d}\n", 10*(i+1), i, n%3)
	}
	fmt.Fprintf(&b, "          - {priority: 1000, path: %s, fixed_response: {status: 200, content_type: text/plain, body: \"%d\"}}\n", shapePath, n)
	temp := filepath.Join(l.dir, "next.yaml")
	if err := os.WriteFile(temp, b.Bytes(), 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(l.dir, "albion.yaml")); err != nil {
		l.t.Fatal(err)
	}
}

// start runs the balancer and waits until it answers.
func (l *load) start(ctx context.Context) {
	l.t.Helper()
	binary := filepath.Join(l.dir, "albion")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "../cmd/albion").CombinedOutput(); err != nil {
		l.t.Fatalf("go build: %v\n%s", err, out)
	}
	log, err := os.Create(l.log())
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close() // the balancer has its own
	data := filepath.Join(l.dir, "data")
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, "serve", "-c", filepath.Join(l.dir, "albion.yaml"), "--data", data, "--admin", "off", "--grace", "5s")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			l.t.Errorf("albion ended: %v", err)
		}
		if l.t.Failed() {
			text, err := os.ReadFile(l.log())
			l.t.Logf("its log (error: %v):\n%s", err, text)
		}
	})
	l.waitForAnswer(ctx)
	out, err := exec.CommandContext(ctx, binary, "cert", "export", "load", "--dir", filepath.Join(l.dir, "live"), "--data", data).CombinedOutput()
	if err != nil {
		l.t.Fatalf("cert export: %v\n%s", err, out)
	}
	ca, err := os.ReadFile(filepath.Join(l.dir, "live", "chain.pem"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	l.trust.RootCAs.AppendCertsFromPEM(ca)
}

func (l *load) address() string { return fmt.Sprintf("127.0.0.1:%d", l.port) }

func (l *load) log() string { return filepath.Join(l.dir, "albion.err") }

// applied counts the changes that the balancer has made live, by its log.
func (l *load) applied() int {
	l.t.Helper()
	text, err := os.ReadFile(l.log())
	if err != nil {
		l.t.Fatal(err)
	}
	return bytes.Count(text, []byte(`"msg":"the file is live"`))
}

// waitForShape waits until the configuration's n-th shape answers.
func (l *load) waitForShape(ctx context.Context, n int) {
	l.t.Helper()
	transport := l.transport()
	defer transport.CloseIdleConnections()
	soon, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		err := l.ask(soon, transport, shapePath, "", strconv.Itoa(n))
		if err == nil {
			return
		}
		select {
		case <-ticks.C:
		case <-soon.Done():
			l.t.Errorf("the last change is not live: %v", err)
			return
		}
	}
}

func (l *load) waitForAnswer(ctx context.Context) {
	l.t.Helper()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		conn, err := net.Dial("tcp", l.address())
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			l.t.Fatalf("the balancer does not listen: %v", err)
		}
	}
}

// transport is one client's: one connection, kept alive.
func (l *load) transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: l.trust, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, l.address())
		},
	}
}

// socket holds one WebSocket, says something now and then and wants it back.
func (l *load) socket(ctx context.Context, i int, gate, connected chan struct{}) {
	gate <- struct{}{}
	transport := l.transport()
	defer transport.CloseIdleConnections()
	socket, _, err := websocket.Dial(ctx, "wss://localhost/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	<-gate
	connected <- struct{}{}
	if err != nil {
		l.fail(fmt.Errorf("socket %d: %w", i, err))
		return
	}
	defer socket.CloseNow()
	ticks := time.NewTicker(loadBeat)
	defer ticks.Stop()
	for n := 0; ; n++ {
		if err := l.message(ctx, socket, fmt.Sprintf("socket %d message %d", i, n)); err != nil {
			l.fail(fmt.Errorf("socket %d: %w", i, err))
			return
		}
		l.messages.Add(1)
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *load) message(ctx context.Context, socket *websocket.Conn, want string) error {
	if err := socket.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
		return err
	}
	_, got, err := socket.Read(ctx)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%q came back as %q", want, got)
	}
	return err
}

// requests asks over and over on one connection.
func (l *load) requests(ctx context.Context, i int) {
	transport := l.transport()
	defer transport.CloseIdleConnections()
	ticks := time.NewTicker(loadPause)
	defer ticks.Stop()
	for n := 0; ; n++ {
		want := fmt.Sprintf("client %d request %d", i, n)
		path := []string{"/", "/rule0/a", "/rule3/b"}[n%3]
		if err := l.request(ctx, transport, path, want); err != nil {
			l.fail(fmt.Errorf("client %d: %w", i, err))
			return
		}
		l.answers.Add(1)
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// request wants back what it says.
func (l *load) request(ctx context.Context, transport *http.Transport, path, text string) error {
	return l.ask(ctx, transport, path, text, text)
}

func (l *load) ask(ctx context.Context, transport *http.Transport, path, text, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://localhost"+path, strings.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || string(got) != want {
		return fmt.Errorf("%q was to be the answer, not %d %q", want, answer.StatusCode, got)
	}
	return nil
}

// changeEverySecond writes another configuration every second.
func (l *load) changeEverySecond(ctx context.Context) (changes int) {
	end := time.NewTimer(loadDuration)
	defer end.Stop()
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			changes++
			l.write(changes)
		case <-end.C:
			return changes
		case <-ctx.Done():
			return changes
		}
	}
}

func (l *load) fail(err error) {
	if l.finishing.Load() {
		return // the end of the test ends everything
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err.Error())
}

func (l *load) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.failed...)
}
