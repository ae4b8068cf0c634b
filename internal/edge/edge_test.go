package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/edge"
)

// echo repeats the messages of WebSockets, and says "hello" to others.
func echo(t *testing.T) (address string) {
	return web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, "hello")
			return
		}
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer socket.CloseNow()
		for {
			kind, message, err := socket.Read(r.Context())
			if err != nil || socket.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
}

// socket opens a WebSocket.
func socket(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	s, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.CloseNow() })
	return s
}

// exchange sends a message and expects it back.
func exchange(s *websocket.Conn, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	_, got, err := s.Read(ctx)
	if err == nil && string(got) != text {
		err = fmt.Errorf("got %q for %q", got, text)
	}
	return err
}

func TestStateIsServed(t *testing.T) {
	w, http, https := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	server := echo(t)
	change := func(d *albion.Draft) {
		balancer(d, nil)
		group(d, "servers", time.Second, server)
		certificate(t, d, "a", "chat.test")
		plain(d, "http", http, fixed("plain"))
		rule(d, "http", "/chat*", 10, forward("servers"))
		secure(d, "https", https, forward("servers"), "a")
	}
	w.apply(change)
	c, s := dial(t, at(http)), dialTLS(t, at(https), "chat.test")
	c.want("plain")
	s.want("hello")
	if _, body := c.get("/chat/1"); body != "hello" {
		t.Errorf("the rule is not followed: %q", body)
	}
	ws, wss := socket(t, "ws://"+at(http)+"/chat"), socket(t, "wss://"+at(https)+"/")
	for range 3 { // again and again the same
		w.apply(change)
		if err := w.edge.Apply(w.state); err != nil {
			t.Fatal(err)
		}
		c.want("plain")
		s.want("hello")
		for _, socket := range []*websocket.Conn{ws, wss} {
			if err := exchange(socket, "still here"); err != nil {
				t.Error(err)
			}
		}
	}
	for _, name := range []string{"http", "https"} {
		if seen := w.seen(name); !seen.Serving || seen.Problem != "" || seen.Connections != 2 || !strings.HasPrefix(seen.Address, "127.0.0.1:") {
			t.Errorf("%s: seen %+v", name, seen)
		}
	}
	w.apply(func(d *albion.Draft) { plain(d, "http", http, fixed("changed")) })
	c.want("changed")
}

func TestStateThatDoesNotCompileChangesNothing(t *testing.T) {
	w, port := newWorld(t, edge.Config{}), freePort(t)
	w.apply(func(d *albion.Draft) { balancer(d, nil); plain(d, "http", port, fixed("kept")) })
	c := dial(t, at(port))
	c.want("kept")
	d := albion.NewDraft(w.state)
	secure(d, "https", freePort(t), fixed("never"), "missing")
	plain(d, "http", port, fixed("lost"))
	if err := w.edge.Apply(&d.State); err == nil {
		t.Fatal("it was accepted")
	}
	c.want("kept")
	dial(t, at(port)).want("kept")
	if seen := w.edge.Seen().Listeners; len(seen) != 1 {
		t.Errorf("seen %+v", seen)
	}
}

func TestRemovedListenerFinishesWhatItHas(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	slow := web(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, "late")
	})
	w, port, other := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	log := filepath.Join(t.TempDir(), "access.log")
	sockets := echo(t)
	w.apply(func(d *albion.Draft) {
		balancer(d, func(lb *albion.LoadBalancer) { lb.AccessLog.File = log })
		group(d, "slow", time.Second, slow)
		group(d, "sockets", 2*time.Second, sockets)
		plain(d, "gone", port, forward("slow"))
		rule(d, "gone", "/ws", 1, forward("sockets"))
		plain(d, "stays", other, forward("sockets"))
	})
	ws := socket(t, "ws://"+at(port)+"/ws")
	elsewhere := socket(t, "ws://"+at(other)+"/ws")
	idle := dial(t, at(port))
	c := dial(t, at(port))
	answer := make(chan string, 1)
	go func() { _, body := c.get("/"); answer <- body }()
	<-asked
	w.apply(func(d *albion.Draft) {
		albion.Delete[*albion.Rule](d, string(ruleARN("gone", "1")))
		albion.Delete[*albion.Listener](d, string(listenerARN("gone")))
	})
	if conn, err := net.Dial("tcp", at(port)); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
	if _, err := idle.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection got %v", err)
	}
	if err := exchange(ws, "goes on"); err != nil {
		t.Error(err)
	}
	close(release)
	if got := <-answer; got != "late" {
		t.Errorf("the request in flight got %q", got)
	}
	begun := time.Now()
	if _, _, err := ws.Read(t.Context()); err == nil || time.Since(begun) > 15*time.Second {
		t.Errorf("the tunnel ended after %v with %v", time.Since(begun), err)
	}
	if err := exchange(elsewhere, "not concerned"); err != nil {
		t.Error(err)
	}
	elsewhere.CloseNow()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if got := read(t, log); strings.Count(got, "\n") != 3 {
		t.Errorf("the log should have the request and two tunnels:\n%s", got)
	}
}

func TestMovedListenerKeepsItsConnections(t *testing.T) {
	w, from, to := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	w.apply(func(d *albion.Draft) { balancer(d, nil); plain(d, "http", from, fixed("here")) })
	c := dial(t, at(from))
	c.want("here")
	w.apply(func(d *albion.Draft) { plain(d, "http", to, fixed("there")) })
	c.want("there")
	dial(t, at(to)).want("there")
	if conn, err := net.Dial("tcp", at(from)); err == nil {
		conn.Close()
		t.Error("the old port is still open")
	}
}

func TestListenersCanSwapPorts(t *testing.T) {
	w, one, two := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	for i, ports := range [][2]int{{one, two}, {two, one}, {one, two}} {
		w.apply(func(d *albion.Draft) {
			balancer(d, nil)
			plain(d, "a", ports[0], fixed("a"))
			plain(d, "b", ports[1], fixed("b"))
		})
		dial(t, at(ports[0])).want("a")
		dial(t, at(ports[1])).want("b")
		if a, b := w.seen("a"), w.seen("b"); !a.Serving || !b.Serving {
			t.Errorf("%d: seen %+v %+v", i, a, b)
		}
	}
}

func TestAddressesAndProtocolCanChange(t *testing.T) {
	w, port := newWorld(t, edge.Config{}), freePort(t)
	addresses := func(list ...string) func(*albion.LoadBalancer) {
		return func(lb *albion.LoadBalancer) {
			lb.Addresses = nil
			for _, a := range list {
				lb.Addresses = append(lb.Addresses, netip.MustParseAddr(a))
			}
		}
	}
	w.apply(func(d *albion.Draft) { balancer(d, addresses("127.0.0.1")); plain(d, "l", port, fixed("1")) })
	c := dial(t, at(port))
	c.want("1")
	for _, list := range [][]string{{"127.0.0.1", "127.0.0.2"}, {}, {"0.0.0.0"}, {"127.0.0.2", "127.0.0.1", "::1"}} {
		w.apply(func(d *albion.Draft) { balancer(d, addresses(list...)) })
		c.want("1")
		dial(t, at(port)).want("1")
		dial(t, fmt.Sprintf("127.0.0.2:%d", port)).want("1")
		if seen := w.seen("l"); !seen.Serving {
			t.Errorf("%v: seen %+v", list, seen)
		}
		if len(list) == 1 { // 0.0.0.0 is every IPv4 address, and no other
			if conn, err := net.Dial("tcp", fmt.Sprintf("[::1]:%d", port)); err == nil {
				conn.Close()
				t.Error("IPv6 is served without being asked for")
			}
		}
	}
	dial(t, fmt.Sprintf("[::1]:%d", port)).want("1")
	w.apply(func(d *albion.Draft) {
		certificate(t, d, "a", "chat.test")
		secure(d, "l", port, fixed("secure"), "a")
	})
	dialTLS(t, at(port), "chat.test").want("secure")
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the plain connection got %v", err)
	}
}

func TestCertificateSwapReachesNewHandshakesOnly(t *testing.T) {
	w, port := newWorld(t, edge.Config{}), freePort(t)
	var first, second *big.Int
	w.apply(func(d *albion.Draft) {
		balancer(d, nil)
		first = certificate(t, d, "a", "chat.test")
		secure(d, "https", port, fixed("ok"), "a")
	})
	old := dialTLS(t, at(port), "chat.test")
	old.want("ok")
	w.apply(func(d *albion.Draft) { second = certificate(t, d, "a", "chat.test") })
	fresh := dialTLS(t, at(port), "chat.test")
	fresh.want("ok")
	old.want("ok")
	if old.shown().SerialNumber.Cmp(first) != 0 || fresh.shown().SerialNumber.Cmp(second) != 0 {
		t.Error("the wrong certificate was shown")
	}
}

func TestCertificateIsChosenByName(t *testing.T) {
	w, port := newWorld(t, edge.Config{}), freePort(t)
	log := filepath.Join(t.TempDir(), "access.log")
	w.apply(func(d *albion.Draft) {
		balancer(d, func(lb *albion.LoadBalancer) { lb.AccessLog.File = log })
		certificate(t, d, "a", "a.test")
		certificate(t, d, "b", "*.b.test")
		secure(d, "https", port, fixed("ok"), "a", "b")
	})
	for name, want := range map[string]string{"a.test": "a.test", "x.b.test": "*.b.test", "unknown.test": "a.test"} {
		c := dialTLS(t, at(port), name)
		c.want("ok")
		if got := c.shown().Subject.CommonName; got != want {
			t.Errorf("%s: shown %s, want %s", name, got, want)
		}
		c.Close()
	}
	w.end()
	if got := read(t, log); !strings.Contains(got, string(certARN("b"))) || !strings.Contains(got, `"x.b.test"`) {
		t.Errorf("the log does not name the certificate:\n%s", got)
	}
}

func TestSecurityPolicyCanChange(t *testing.T) {
	w, port := newWorld(t, edge.Config{}), freePort(t)
	policy := func(name string) func(d *albion.Draft) {
		return func(d *albion.Draft) {
			balancer(d, nil)
			if d.Certificates.Len() == 0 {
				certificate(t, d, "a", "chat.test")
			}
			secure(d, "https", port, fixed("ok"), "a")
			l, _ := d.Listeners.Get(string(listenerARN("https")))
			l.SSLPolicy = name
		}
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	w.apply(policy("ELBSecurityPolicy-TLS13-1-2-2021-06"))
	conn, err := tls.Dial("tcp", at(port), old)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.want("ok")
	w.apply(policy("ELBSecurityPolicy-TLS13-1-3-2021-06"))
	if conn, err := tls.Dial("tcp", at(port), old); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is still spoken")
	}
	c.want("ok")
	dialTLS(t, at(port), "chat.test").want("ok")
}

// A log that goes to a pipe which nobody reads holds no change up for ever.
func TestALogThatNobodyReadsHoldsNothingUp(t *testing.T) {
	stuck, out := io.Pipe()
	defer stuck.Close() // lets the log end
	w, port := newWorld(t, edge.Config{Stdout: out}), freePort(t)
	logTo := func(file string) {
		w.apply(func(d *albion.Draft) {
			balancer(d, func(lb *albion.LoadBalancer) { lb.AccessLog = albion.AccessLog{File: file} })
			plain(d, "http", port, fixed("ok"))
		})
	}
	logTo("stdout")
	c := dial(t, at(port))
	c.want("ok")
	logTo("")
	c.want("ok")
	if w.seen("http").Connections != 1 {
		t.Error("the listener is not seen")
	}
}

func TestAccessLogFollowsItsSettings(t *testing.T) {
	var out bytes.Buffer
	w, port := newWorld(t, edge.Config{Stdout: &out}), freePort(t)
	folder := t.TempDir()
	logTo := func(l albion.AccessLog) {
		w.apply(func(d *albion.Draft) {
			balancer(d, func(lb *albion.LoadBalancer) { lb.AccessLog = l })
			plain(d, "http", port, fixed("ok"))
		})
	}
	file := filepath.Join(folder, "a.log")
	count := func(name string) int { return strings.Count(read(t, name), "\n") }
	logTo(albion.AccessLog{File: file})
	c := dial(t, at(port))
	for range 100 {
		c.want("ok")
	}
	// The last answer's line may still be under way; the next request's is not.
	logTo(albion.AccessLog{File: file, MaxSize: 4 << 10, Keep: 2})
	for range 200 {
		c.want("ok")
	}
	logTo(albion.AccessLog{File: filepath.Join(folder, "b.log")})
	for range 10 {
		c.want("ok")
	}
	logTo(albion.AccessLog{File: "stdout"})
	for range 10 {
		c.want("ok")
	}
	logTo(albion.AccessLog{})
	c.want("ok")
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file + ".1"); err != nil {
		t.Errorf("it was not rotated by its new size: %v", err)
	}
	if _, err := os.Stat(file + ".3"); err == nil {
		t.Error("more is kept than was asked for")
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 4<<10 {
		t.Errorf("the file: %v %v", info, err)
	}
	// A line is written after its answer, and may come under the next setting.
	if got := count(filepath.Join(folder, "b.log")); got < 9 || got > 11 {
		t.Errorf("the second file has %d lines", got)
	}
	if got := strings.Count(out.String(), "\n"); got < 9 || got > 11 {
		t.Errorf("the standard output has %d lines", got)
	}
}

func TestRunEndsWithinGrace(t *testing.T) {
	w, http, https := newWorld(t, edge.Config{Grace: time.Second}), freePort(t), freePort(t)
	server := echo(t)
	w.apply(func(d *albion.Draft) {
		balancer(d, nil)
		group(d, "sockets", time.Hour, server)
		certificate(t, d, "a", "chat.test")
		plain(d, "http", http, forward("sockets"))
		plain(d, "gone", freePort(t), forward("sockets"))
		secure(d, "https", https, forward("sockets"), "a")
	})
	gone, _ := w.state.Listeners.Get(string(listenerARN("gone")))
	orphan := socket(t, "ws://"+at(int(gone.Port)))
	w.apply(func(d *albion.Draft) { albion.Delete[*albion.Listener](d, string(listenerARN("gone"))) })
	ws, wss := socket(t, "ws://"+at(http)), socket(t, "wss://"+at(https))
	idle, mute := dial(t, at(http)), dial(t, at(https)) // mute never begins its handshake
	idle.want("hello")
	begun := time.Now()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, s := range []*websocket.Conn{ws, wss, orphan} {
		if _, _, err := s.Read(t.Context()); err == nil {
			t.Error("a tunnel goes on")
		}
	}
	mute.r.ReadByte()
	if err := w.edge.Apply(w.state); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Apply afterwards: %v", err)
	}
}
