package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

const (
	// For anything that must happen: a slow machine takes its time.
	stagePatience = 30 * time.Second
	// Between two looks at something that does not tell by itself.
	stageLook = 50 * time.Millisecond
	// How long a target that was taken out may go on: long enough to see that it
	// does, and short enough to see the end.
	stageDelay = 6 * time.Second
)

// stage is a page on HTTPS and servers on plain HTTP, all on one machine: two chat
// servers that share their rooms, Albion in front of them with HTTPS for
// chat.test, and a static web server with HTTPS for page.test, which stands for
// GitHub Pages.
type stage struct {
	t       *testing.T
	dir     string
	port    int               // of https://chat.test
	page    net.Listener      // of https://page.test
	servers map[string]string // the chat servers: by instance, HOST:PORT
	albion  string            // the program
	log     *program
	version uint64 // of the configuration that was applied last
}

func newStage(t *testing.T) *stage {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := &stage{t: t, dir: t.TempDir(), port: freePort(t), servers: map[string]string{}}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.page = listener
	t.Cleanup(func() { listener.Close() })
	programs := buildPrograms(t)
	s.albion = filepath.Join(programs, "albion")
	shared := sharedServer(t)
	for _, instance := range []string{"one", "two"} {
		p := start(t, filepath.Join(programs, "chat"), "--listen", "127.0.0.1:0", "--nats", shared,
			"--instance", instance, "--history", "1000", "--client-origin", s.pageOrigin())
		s.servers[instance] = p.says(`url=http://([^/]+)/`)
	}
	s.write("one", "two")
	s.log = start(t, s.albion, "serve", "-c", s.file(), "--data", s.data(), "--admin", "off", "--grace", "2s", "--log-format", "text")
	s.log.says(`msg=(ready)`)
	s.until("both targets are healthy", func(state status) bool {
		return state.target(s.servers["one"]).State == "healthy" && state.target(s.servers["two"]).State == "healthy"
	})
	s.servePage()
	return s
}

// on is the same stage for a test within the test.
func (s *stage) on(t *testing.T) *stage {
	same := *s
	same.t = t
	return &same
}

func (s *stage) file() string   { return filepath.Join(s.dir, "albion.yaml") }
func (s *stage) data() string   { return filepath.Join(s.dir, "data") }
func (s *stage) origin() string { return fmt.Sprintf("https://chat.test:%d", s.port) }
func (s *stage) pageOrigin() string {
	return "https://page.test:" + portOf(s.t, s.page.Addr().String())
}

// plain is the address that a browser blocks from such a page: a chat server's own.
func (s *stage) plain() string { return "http://chat.test:" + portOf(s.t, s.servers["one"]) }

// write writes the file with these instances as targets; more is added to the
// listener.
func (s *stage) write(instances ...string) { s.writeWith("", instances...) }

func (s *stage) writeWith(more string, instances ...string) {
	s.t.Helper()
	var targets []string
	for _, i := range instances {
		targets = append(targets, s.servers[i])
	}
	text := fmt.Sprintf(`certificates:
  chat: {domains: [chat.test], issuer: local}
  page: {domains: [page.test], issuer: local}
target_groups:
  chat:
    port: 80
    targets: [%s]
    stickiness: sockjs
    deregistration_delay: %s
    health_check: {path: /healthz, interval: 1s, timeout: 1s, healthy_threshold: 2}
load_balancers:
  web:
    addresses: [127.0.0.1]
    listeners:
      - port: %d
        protocol: HTTPS
        certificates: [chat]
        forward: chat
%s`, strings.Join(targets, ", "), stageDelay, s.port, more)
	replace(s.t, s.file(), []byte(text))
}

// status is the part of `albion status --json` that matters here.
type status struct {
	Configuration uint64
	Authority     string
	TargetGroups  []struct{ Targets []targetStatus }
}

type targetStatus struct {
	Target, State string
	Outstanding   int
}

// target returns the target at an address; one that is not there has no state.
func (s status) target(address string) targetStatus {
	for _, g := range s.TargetGroups {
		for _, t := range g.Targets {
			if t.Target == address {
				return t
			}
		}
	}
	return targetStatus{}
}

func (s *stage) run(args ...string) []byte {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stagePatience)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.albion, append(args, "--data", s.data())...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("albion %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

func (s *stage) status() status {
	s.t.Helper()
	var state status
	if err := json.Unmarshal(s.run("status", "--json"), &state); err != nil {
		s.t.Fatal(err)
	}
	s.version = state.Configuration
	return state
}

// until looks at the status until it is as it should be.
func (s *stage) until(what string, is func(status) bool) {
	s.t.Helper()
	late := time.After(stagePatience)
	ticks := time.NewTicker(stageLook)
	defer ticks.Stop()
	for {
		state := s.status()
		if is(state) {
			return
		}
		select {
		case <-ticks.C:
		case <-late:
			s.t.Fatalf("waited for this in vain: %s; the status is %+v", what, state.TargetGroups)
		}
	}
}

// applied waits for the file, as it was written last, to be live.
func (s *stage) applied(what string) {
	s.t.Helper()
	before := s.version
	s.until(what, func(state status) bool { return state.Configuration > before })
}

// servePage serves the chat's page, as it lies in the tree, and the SockJS
// client from npm, with a certificate of the same CA.
func (s *stage) servePage() {
	s.t.Helper()
	live := filepath.Join(s.dir, "live")
	s.run("cert", "export", "page", "--dir", live)
	pair, err := tls.LoadX509KeyPair(filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	client := npmClient(s.t)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(os.DirFS(filepath.Join("..", "examples", "chat", "page"))))
	mux.HandleFunc("/npm/sockjs.min.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, client) })
	web := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	done := make(chan struct{})
	go func() { defer close(done); web.ServeTLS(s.page, "", "") }()
	s.t.Cleanup(func() { web.Close(); <-done })
}

// sharedServer is the NATS server through which the chat servers share rooms.
func sharedServer(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(stagePatience) {
		t.Fatal("the shared server does not start")
	}
	return s.ClientURL()
}

// buildPrograms builds what is to be tested, and returns the folder.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "bin", "e2e"))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../cmd/albion", "../examples/chat").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// program is one that runs until the test ends, and what it has said.
type program struct {
	t    *testing.T
	name string

	mu   sync.Mutex // guards said and more
	said bytes.Buffer
	more chan struct{} // closed when more has been said
}

// start starts a program; it has to end well when it is told to.
func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: filepath.Base(path), more: make(chan struct{})}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(stagePatience, func() { cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended: %v", p.name, err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, p.said.String())
		}
	})
	return p
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.said.Write(b)
}

// says waits for something to be said and returns the pattern's group.
func (p *program) says(pattern string) string {
	p.t.Helper()
	wanted := regexp.MustCompile(pattern)
	late := time.After(stagePatience)
	for {
		p.mu.Lock()
		found, said, more := wanted.FindSubmatch(p.said.Bytes()), p.said.String(), p.more
		p.mu.Unlock()
		if found != nil {
			return string(found[1])
		}
		select {
		case <-more:
		case <-late:
			p.t.Fatalf("%s does not say %s; it says:\n%s", p.name, pattern, said)
		}
	}
}

// replace replaces a file in one step, as editors do.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := listenLow()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listenLow opens a port below those that systems give to connections, so that
// none of these takes it once it is closed and before a program opens it.
func listenLow() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf(":%d", 10_000+rand.IntN(20_000))); err == nil {
			return l, nil
		}
	}
	return nil, err
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
