package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
)

const (
	handshake = "GET /ws HTTP/1.1\r\nHost: chat.test\r\nUser-Agent: tester/1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// peer is a target that has read the head of an upgrade request.
type peer struct {
	*net.TCPConn
	r *bufio.Reader
}

// upgradable serves connections whose first request it has read.
func upgradable(t *testing.T, script func(peer)) (address string) {
	return raw(t, func(conn net.Conn) {
		p := peer{conn.(*net.TCPConn), bufio.NewReader(conn)}
		if _, err := http.ReadRequest(p.r); err == nil {
			script(p)
		}
	})
}

// parrot agrees to the upgrade, says hello and repeats what it hears.
func parrot(t *testing.T, hello string) (address string) {
	return upgradable(t, func(p peer) {
		io.WriteString(p, switched+hello)
		io.Copy(p, p.r)
	})
}

// upgrade opens a tunnel.
func (b *balancer) upgrade(behind string) *client {
	b.t.Helper()
	c := b.dial()
	c.say(handshake + behind)
	answer, err := http.ReadResponse(c.r, &http.Request{Method: "GET"})
	if err != nil {
		b.t.Fatal(err)
	}
	if answer.StatusCode != 101 || answer.Header.Get("Upgrade") != "websocket" || answer.Header.Get("Sec-WebSocket-Accept") == "" {
		b.t.Fatalf("got %d %v", answer.StatusCode, answer.Header)
	}
	return c
}

// hear expects exactly these bytes next.
func (c *client) hear(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		c.t.Fatalf("heard %q (%v), want %q", got[:n], err, want)
	}
}

func TestWebSocketCarriesMessagesOfAnySize(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.CloseNow()
		socket.SetReadLimit(-1)
		for {
			kind, message, err := socket.Read(r.Context())
			if err != nil {
				return
			}
			if err := socket.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}))
	ctx, _ := contextFor(t)
	socket, _, err := websocket.Dial(ctx, "ws://"+b.address+"/chat?room=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	socket.SetReadLimit(-1)
	if got := b.live.Metrics.Tunnels.Load(); got != 1 {
		t.Errorf("%d tunnels are counted", got)
	}
	for _, size := range []int{0, 1, 125, 1023, 1024, 1025, 5000, 65536, 1 << 20} {
		sent := bytes.Repeat([]byte{byte(size)}, size)
		if err := socket.Write(ctx, websocket.MessageBinary, sent); err != nil {
			t.Fatal(err)
		}
		if _, got, err := socket.Read(ctx); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes: %d came back, %v", size, len(got), err)
		}
	}
	if err := socket.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	line := b.lines()[0]
	for _, want := range []string{"ws ", " 101 101 ", `:80/chat?room=1 HTTP/1.1" "Go-http-client/1.1"`, `"forward" "-" "-"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in the log line %s", want, line)
		}
	}
	if got := b.live.Metrics.Tunnels.Load(); got != 0 {
		t.Errorf("%d tunnels are counted at the end", got)
	}
}

func TestBytesRightBehindTheHandshakeArrive(t *testing.T) {
	b := newBalancer(t, nil, parrot(t, "welcome"))
	for _, behind := range []string{"", "x", strings.Repeat("early bird ", 1000)} {
		c := b.upgrade(behind)
		c.hear("welcome" + behind)
		c.say("later")
		c.hear("later")
		c.CloseWrite()
		if rest := c.over(); rest != "" {
			t.Errorf("at the end came %q", rest)
		}
	}
	for _, line := range b.lines() {
		if !strings.Contains(line, `"GET http://chat.test:80/ws HTTP/1.1" "tester/1"`) || strings.Contains(line, "TunnelBroken") {
			t.Errorf("log line %s", line)
		}
	}
}

// Older drafts of WebSocket send eight bytes of a challenge behind the head,
// which no length announces. They belong behind the switch, also when the target
// takes its time.
func TestChallengeBehindTheHeadFollowsTheSwitch(t *testing.T) {
	const challenge = "^n:ds[4U"
	b := newBalancer(t, nil, upgradable(t, func(p peer) {
		p.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // longer than the balancer's patience
		if early, err := p.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q came before the switch, %v", early, err)
		}
		p.SetReadDeadline(time.Time{})
		io.WriteString(p, "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n")
		got := make([]byte, len(challenge))
		if _, err := io.ReadFull(p.r, got); err != nil || string(got) != challenge {
			t.Errorf("the challenge is %q, %v", got, err)
		}
		io.WriteString(p, "8jKS'y:G*Co,Wxa-")
	}))
	c := b.dial()
	c.say("GET /demo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nOrigin: http://a\r\n\r\n" + challenge)
	if answer, err := http.ReadResponse(c.r, nil); err != nil || answer.StatusCode != 101 || answer.Header.Get("Upgrade") != "WebSocket" {
		t.Fatalf("got %v %v", answer, err)
	}
	c.hear("8jKS'y:G*Co,Wxa-")
}

func TestHalfClosedTunnelsGoOn(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		b := newBalancer(t, nil, upgradable(t, func(p peer) {
			io.WriteString(p, switched)
			said, err := io.ReadAll(p.r) // until the client has said all
			io.WriteString(p, "you said "+string(said))
			if err != nil {
				t.Error(err)
			}
		}))
		c := b.upgrade("")
		c.say("this")
		c.CloseWrite()
		if got := c.over(); got != "you said this" {
			t.Errorf("heard %q", got)
		}
	})
	t.Run("by the target", func(t *testing.T) {
		heard := make(chan string, 1)
		b := newBalancer(t, nil, upgradable(t, func(p peer) {
			io.WriteString(p, switched+"bye")
			p.CloseWrite()
			said, _ := io.ReadAll(p.r)
			heard <- string(said)
		}))
		c := b.upgrade("")
		if got := c.over(); got != "bye" {
			t.Errorf("heard %q", got)
		}
		c.say("and bye to you")
		c.CloseWrite()
		if got := <-heard; got != "and bye to you" {
			t.Errorf("the target heard %q", got)
		}
		if line := b.lines()[0]; strings.Contains(line, "TunnelBroken") || strings.Contains(line, "IdleTimeout") {
			t.Errorf("log line %s", line)
		}
	})
}

func TestSilentTunnelsEnd(t *testing.T) {
	t.Parallel() // it waits
	ended := make(chan error, 1)
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = time.Second }, upgradable(t, func(p peer) {
		io.WriteString(p, switched)
		_, err := io.ReadAll(p.r)
		ended <- err
	}))
	begun := time.Now()
	c := b.upgrade("")
	if rest := c.over(); rest != "" {
		t.Errorf("heard %q", rest)
	}
	if took := time.Since(begun); took < 900*time.Millisecond {
		t.Errorf("it ended after %v", took)
	}
	<-ended
	if line := b.lines()[0]; !strings.Contains(line, `"IdleTimeout"`) {
		t.Errorf("log line %s", line)
	}
}

func TestTrafficInOneDirectionKeepsATunnel(t *testing.T) {
	t.Parallel() // it waits
	const beats = 25
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = time.Second }, upgradable(t, func(p peer) {
		io.WriteString(p, switched)
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		for range beats { // for longer than twice the idle timeout
			<-beat.C
			if _, err := io.WriteString(p, "."); err != nil {
				t.Error(err)
			}
		}
		io.Copy(io.Discard, p.r)
	}))
	c := b.upgrade("")
	c.hear(strings.Repeat(".", beats))
	if rest := c.over(); rest != "" {
		t.Errorf("then came %q", rest)
	}
}

func TestTunnelsOfADeregisteredTargetEndWithItsDelay(t *testing.T) {
	t.Parallel() // it waits
	first, second := parrot(t, "1"), parrot(t, "2")
	b := newBalancer(t, nil, first, second)
	b.group.Attributes.DeregistrationDelay = 2 * time.Second
	b.register(first, second)
	tunnels := map[string]*client{}
	for len(tunnels) < 2 {
		c := b.upgrade("")
		name, err := c.r.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		tunnels[string(name)] = c
	}
	b.register(second)
	for name, c := range tunnels {
		c.say("still there, " + name)
		c.hear("still there, " + name)
	}
	draining := 0
	for _, seen := range b.targets.Seen() {
		if seen.Health.State == albion.Draining {
			draining++
			if seen.Outstanding == 0 || seen.Until.IsZero() || seen.Target.String() != first {
				t.Errorf("seen %+v", seen)
			}
		}
	}
	if draining != 1 {
		t.Errorf("%d targets are draining", draining)
	}
	if rest := tunnels["1"].over(); rest != "" {
		t.Errorf("at the end came %q", rest)
	}
	tunnels["2"].say("me too?")
	tunnels["2"].hear("me too?")
	for _, seen := range b.targets.Seen() {
		if seen.Target.String() == first {
			t.Errorf("still seen: %+v", seen)
		}
	}
	tunnels["2"].CloseWrite()
	tunnels["2"].over()
	expired := 0
	for _, line := range b.lines() {
		if strings.Contains(line, `"DeregistrationDelayElapsed"`) {
			expired++
		}
	}
	if expired == 0 {
		t.Errorf("the log does not say why: %s", b.lines())
	}
}

func TestDrainLetsTunnelsEndAndThenCutsThem(t *testing.T) {
	b := newBalancer(t, nil, parrot(t, ""))
	leaves, stays := b.upgrade(""), b.upgrade("")
	ctx, cut := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() { defer close(drained); b.live.Drain(ctx) }()
	for _, c := range []*client{leaves, stays} {
		c.say("hello")
		c.hear("hello")
	}
	leaves.CloseWrite()
	leaves.over()
	select {
	case <-drained:
		t.Fatal("Drain did not wait for the other tunnel")
	default:
	}
	stays.say("still here")
	stays.hear("still here")
	cut()
	stays.over()
	<-drained
}

func TestRefusedUpgradeLeavesANormalConnection(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			http.Error(w, "not here", 404)
			return
		}
		io.WriteString(w, "fine")
	}))
	c := b.dial()
	for range 3 {
		c.say(handshake)
		if answer, body := c.answer("GET"); answer.StatusCode != 404 || body != "not here\n" {
			t.Fatalf("got %d %q", answer.StatusCode, body)
		}
		c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer, body := c.answer("GET"); answer.StatusCode != 200 || body != "fine" {
			t.Fatalf("got %d %q", answer.StatusCode, body)
		}
	}
}

// Behind an upgrade that the balancer does not understand, requests would pass
// its rules unseen.
func TestOnlyWebSocketLeavesHTTP(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
			if r.Header.Get(name) != "" {
				t.Errorf("the target saw %s: %s", name, r.Header.Get(name))
			}
		}
	}))
	for _, protocol := range []string{"h2c", "TLS/1.0", "websocket, h2c", "h2c, websocket"} {
		answer, _ := b.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + "\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
		if answer.StatusCode != 200 {
			t.Errorf("%s: got %d", protocol, answer.StatusCode)
		}
	}
	// Nor may a target answer with another protocol than it was asked for.
	other := newBalancer(t, nil, upgradable(t, func(p peer) {
		io.WriteString(p, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		io.Copy(io.Discard, p.r)
	}))
	if answer, _ := other.ask(handshake); answer.StatusCode != 502 {
		t.Errorf("got %d", answer.StatusCode)
	}
}

// A side that does not read holds the other one up, and nothing piles up in
// between.
func TestTunnelPassesOnBackPressure(t *testing.T) {
	const size = 64 << 20
	blocked := make(chan int, 1)
	b := newBalancer(t, nil, upgradable(t, func(p peer) {
		io.WriteString(p, switched)
		source := rand.NewChaCha8([32]byte{})
		chunk := make([]byte, 64<<10)
		for sent := 0; sent < size; sent += len(chunk) {
			source.Read(chunk)
			p.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			n, err := p.Write(chunk)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				select {
				case blocked <- sent:
				default:
				}
				p.SetWriteDeadline(time.Time{})
				_, err = p.Write(chunk[n:])
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
		p.CloseWrite()
		io.Copy(io.Discard, p.r)
	}))
	c := b.upgrade("")
	if sent := <-blocked; sent > size/2 {
		t.Errorf("%d bytes went to a client that read none", sent)
	}
	source := rand.NewChaCha8([32]byte{})
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	for range size / len(got) {
		source.Read(want)
		if _, err := io.ReadFull(c.r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the bytes differ, or %v", err)
		}
	}
	if rest := c.over(); rest != "" {
		t.Errorf("%d bytes too many", len(rest))
	}
}

func TestTunnelKeepsBothDirectionsApart(t *testing.T) {
	const size = 4 << 20
	b := newBalancer(t, nil, parrot(t, ""))
	var clients sync.WaitGroup
	for seed := range byte(4) {
		c := b.upgrade("")
		clients.Go(func() {
			source := rand.NewChaCha8([32]byte{seed})
			sent := make([]byte, size)
			source.Read(sent)
			var writing sync.WaitGroup
			writing.Go(func() {
				for rest := sent; len(rest) > 0; { // in pieces of every size
					n := min(1+int(source.Uint64()%5000), len(rest))
					if _, err := c.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
				c.CloseWrite()
			})
			got, err := io.ReadAll(c.r)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes of %d came back, %v", len(got), size, err)
			}
			writing.Wait()
		})
	}
	clients.Wait()
}

// Where nobody can be parked, as on other systems than Linux, each direction of a
// tunnel has a goroutine, and all is the same.
func TestWithoutALot(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"messages":       TestWebSocketCarriesMessagesOfAnySize,
		"early bytes":    TestBytesRightBehindTheHandshakeArrive,
		"half closed":    TestHalfClosedTunnelsGoOn,
		"silent":         TestSilentTunnelsEnd,
		"one direction":  TestTrafficInOneDirectionKeepsATunnel,
		"deregistered":   TestTunnelsOfADeregisteredTargetEndWithItsDelay,
		"drain":          TestDrainLetsTunnelsEndAndThenCutsThem,
		"back-pressure":  TestTunnelPassesOnBackPressure,
		"both at once":   TestTunnelKeepsBothDirectionsApart,
		"slow clients":   TestSlowClientsAreNotWaitedForForEver,
		"small requests": TestPipelinedRequestsAreAnsweredInOrder,
	} {
		t.Run(name, test)
	}
}
