package proxy_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/accesslog"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire/park"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const groupARN = albion.ARN("arn:aws:elasticloadbalancing:local:000000000000:targetgroup/servers/0123456789abcdef")

// balancer is a listener with one target group, on loopback.
type balancer struct {
	t       testing.TB
	address string
	live    *proxy.Listener
	targets *target.Registry
	group   *albion.TargetGroup
	view    proxy.View
	log     *accesslog.Log
	logFile string
	endLog  func()
}

// newBalancer serves in front of the given targets, HOST:PORT each, after change
// has had a look at the View.
func newBalancer(t testing.TB, change func(*proxy.View), targets ...string) *balancer {
	t.Helper()
	b := &balancer{t: t, logFile: filepath.Join(t.TempDir(), "access.log")}
	b.targets = target.New(target.Config{StickinessKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	b.group = &albion.TargetGroup{ARN: groupARN, Name: "servers", Protocol: albion.HTTP, Attributes: albion.DefaultTargetGroupAttributes()}
	b.register(targets...)
	b.run(b.targets.Run)
	b.log = accesslog.New(accesslog.Config{File: b.logFile})
	b.endLog = sync.OnceFunc(b.run(b.log.Run))
	routes, err := route.Compile(albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: groupARN, Weight: 1}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.view = proxy.View{
		LoadBalancer: "app/web/0123456789abcdef", Protocol: albion.HTTP, Port: 80,
		Attributes: albion.DefaultLoadBalancerAttributes(), Routes: routes, Log: b.log,
		Groups: map[albion.ARN]*target.Group{groupARN: b.targets.Group(groupARN)},
	}
	if change != nil {
		change(&b.view)
	}
	shared := proxy.NewShared(slog.New(slog.DiscardHandler))
	if !strings.HasPrefix(t.Name(), "TestWithoutALot/") {
		b.run(shared.Run)
	}
	b.live = proxy.NewListener(shared)
	b.live.Set(&b.view)
	b.listen()
	return b
}

// run starts a part and ends it with the test, or when the returned func is
// called.
func (b *balancer) run(part func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := part(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	end = func() { cancel(); <-done }
	b.t.Cleanup(end)
	return end
}

func (b *balancer) register(targets ...string) {
	b.group.Targets = nil
	for _, address := range targets {
		at := netip.MustParseAddrPort(address)
		b.group.Targets = append(b.group.Targets, albion.Target{Host: at.Addr().String(), Port: at.Port()})
	}
	group := *b.group
	b.targets.Sync([]*albion.TargetGroup{&group}, map[albion.ARN]bool{groupARN: true})
}

func (b *balancer) listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.address = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Add(1)
			go b.live.Serve(proxy.Client{
				Conn: park.NewSocket(conn.(*net.TCPConn)), Ended: serving.Done,
				Remote: conn.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: conn.LocalAddr().(*net.TCPAddr).AddrPort(),
			})
		}
	})
	b.t.Cleanup(func() {
		l.Close()
		over, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		b.live.Drain(over)
		serving.Wait()
	})
}

// lines waits until every exchange is over, ends the access log and returns what
// is in it.
func (b *balancer) lines() []string {
	b.t.Helper()
	soon, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b.live.Drain(soon)
	b.endLog()
	data, err := os.ReadFile(b.logFile)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// client is a connection that says exactly what it is told.
type client struct {
	t testing.TB
	*net.TCPConn
	r *bufio.Reader
}

func (b *balancer) dial() *client {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t: b.t, TCPConn: conn.(*net.TCPConn), r: bufio.NewReader(conn)}
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer to a request with this method, body and all.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	answer, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatalf("body after %q: %v", body, err)
	}
	return answer, string(body)
}

// over waits for the end of the connection and returns what came before it.
func (c *client) over() string {
	c.t.Helper()
	rest, _ := io.ReadAll(c.r)
	return string(rest)
}

// ask sends one request on a connection of its own.
func (b *balancer) ask(text string) (*http.Response, string) {
	b.t.Helper()
	c := b.dial()
	defer c.Close()
	c.say(text)
	method, _, _ := strings.Cut(text, " ")
	return c.answer(method)
}

// web serves a handler on loopback.
func web(t testing.TB, h http.HandlerFunc) (address string) {
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

// raw serves connections with a script: what it is to do with each.
func raw(t testing.TB, script func(conn net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { defer conn.Close(); script(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

// readHead reads a request's head off a raw connection.
func readHead(conn net.Conn) (*http.Request, error) { return http.ReadRequest(bufio.NewReader(conn)) }
