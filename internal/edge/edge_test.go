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
	"syscall"
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

func TestPortInUseIsExplainedAndServedOnceItIsFree(t *testing.T) {
	w, other := newWorld(t, edge.Config{Retry: 10 * time.Millisecond}), freePort(t)
	squatter, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	port := squatter.Addr().(*net.TCPAddr).Port
	w.apply(func(d *albion.Draft) {
		balancer(d, nil)
		plain(d, "blocked", port, fixed("at last"))
		plain(d, "fine", other, fixed("fine"))
	})
	w.await("listener cannot serve")
	seen := w.seen("blocked")
	for _, want := range []string{fmt.Sprint(port), "in use", "choose another port"} {
		if seen.Serving || !strings.Contains(seen.Problem, want) {
			t.Errorf("seen %+v, want %q", seen, want)
		}
	}
	dial(t, at(other)).want("fine")
	squatter.Close()
	w.await("listener serves again")
	dial(t, at(port)).want("at last")
	if seen := w.seen("blocked"); !seen.Serving || seen.Problem != "" {
		t.Errorf("seen %+v", seen)
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

// from dials from one of the loopback's addresses, "" for any.
func from(t *testing.T, local, address string) (net.Conn, error) {
	t.Helper()
	dialer := net.Dialer{}
	if local != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	conn, err := dialer.Dial("tcp", address)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// admitted is a client from there that was let in.
func admitted(t *testing.T, local, address string) *client {
	t.Helper()
	conn, err := from(t, local, address)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

// refused says that a connection is reset before it has brought a byte.
func refused(t *testing.T, local, address string) bool {
	t.Helper()
	conn, err := from(t, local, address)
	if err == nil {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	return errors.Is(err, syscall.ECONNRESET)
}

func TestSecurityGroupsDecideBeforeTLS(t *testing.T) {
	w, http, https := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	allow := func(d *albion.Draft, sources ...string) {
		g := &albion.SecurityGroup{ID: albion.SecurityGroupID([9]byte{1}), Name: "office"}
		permission := albion.Permission{FromPort: 1, ToPort: 65535}
		for _, s := range sources {
			permission.Sources = append(permission.Sources, netip.MustParsePrefix(s))
		}
		g.Ingress = append(g.Ingress, permission)
		albion.Put(d, g)
	}
	w.apply(func(d *albion.Draft) {
		allow(d, "127.0.0.1/32")
		balancer(d, func(lb *albion.LoadBalancer) {
			lb.Addresses, lb.SecurityGroups = nil, []string{albion.SecurityGroupID([9]byte{1})}
		})
		certificate(t, d, "a", "chat.test")
		plain(d, "http", http, fixed("ok"))
		secure(d, "https", https, fixed("ok"), "a")
	})
	inside := admitted(t, "127.0.0.1", at(http))
	inside.want("ok")
	dialTLS(t, at(https), "chat.test").want("ok")
	for _, port := range []int{http, https} {
		if !refused(t, "127.0.0.2", at(port)) {
			t.Errorf("port %d let 127.0.0.2 in", port)
		}
		if !refused(t, "::1", fmt.Sprintf("[::1]:%d", port)) {
			t.Errorf("port %d let ::1 in", port)
		}
	}
	w.apply(func(d *albion.Draft) { allow(d, "127.0.0.2/32", "::1/128") })
	inside.want("ok") // a change concerns who comes from now on
	if !refused(t, "127.0.0.1", at(http)) {
		t.Error("127.0.0.1 still gets in")
	}
	admitted(t, "127.0.0.2", at(http)).want("ok")
	admitted(t, "::1", fmt.Sprintf("[::1]:%d", http)).want("ok")
	if seen := w.seen("http"); !seen.Serving {
		t.Errorf("seen %+v", seen)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	w, port := newWorld(t, edge.Config{MaxConnections: 2}), freePort(t)
	w.apply(func(d *albion.Draft) { balancer(d, nil); plain(d, "http", port, fixed("ok")) })
	one, two := dial(t, at(port)), dial(t, at(port))
	one.want("ok")
	two.want("ok")
	for range 3 {
		if !refused(t, "", at(port)) {
			t.Error("a third one got in")
		}
	}
	one.Close()
	for { // until the balancer has noticed
		conn, err := from(t, "", at(port))
		if err != nil {
			continue
		}
		if status, body := newClient(t, conn).get("/"); status == 200 && body == "ok" {
			break
		}
		conn.Close()
	}
	two.want("ok")
}

func TestPlainHTTPOnTheSecurePortGetsAHint(t *testing.T) {
	w, port := newWorld(t, edge.Config{}), freePort(t)
	w.apply(func(d *albion.Draft) {
		balancer(d, nil)
		certificate(t, d, "a", "chat.test")
		secure(d, "https", port, fixed("ok"), "a")
	})
	for _, path := range []string{"/", "/" + strings.Repeat("long", 4000)} {
		c := dial(t, at(port))
		if status, body := c.get(path); status != 400 || !strings.Contains(body, "https://") {
			t.Errorf("got %d %q", status, body)
		}
	}
	// Others hear nothing that they could take for an answer.
	c := dial(t, at(port))
	io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
	if rest, _ := io.ReadAll(c.r); bytes.Contains(rest, []byte("HTTP")) {
		t.Errorf("got %q", rest)
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

func TestMetricsAddUp(t *testing.T) {
	w, http, https := newWorld(t, edge.Config{}), freePort(t), freePort(t)
	server := echo(t)
	w.apply(func(d *albion.Draft) {
		balancer(d, func(lb *albion.LoadBalancer) { lb.AccessLog.File = filepath.Join(t.TempDir(), "a.log") })
		group(d, "servers", time.Second, server)
		certificate(t, d, "a", "chat.test")
		plain(d, "http", http, forward("servers"))
		rule(d, "http", "/own", 1, fixed("own"))
		secure(d, "https", https, forward("servers"), "a")
	})
	c, s := dial(t, at(http)), dialTLS(t, at(https), "chat.test")
	for range 5 {
		c.want("hello")
	}
	for range 3 {
		c.get("/own")
	}
	s.want("hello")
	dial(t, at(https)).get("/")
	ws := socket(t, "ws://"+at(http)+"/")
	if err := exchange(ws, "counted"); err != nil {
		t.Fatal(err)
	}
	at := func(port int, more ...string) string {
		return fmt.Sprint("load_balancer=app/web/7765620000000000", " port=", port, strings.Join(append([]string{""}, more...), " "))
	}
	const targetGroup = "target_group=targetgroup/servers/7365727665727300"
	c.get("/own") // after it, everything before has been counted
	for name, want := range map[string]float64{
		"albion_connections_active " + at(http):                     2,
		"albion_connections_total " + at(http):                      2,
		"albion_tunnels_active " + at(http):                         1,
		"albion_connections_refused_total " + at(http):              0,
		"albion_answers_total " + at(http, "code=5xx"):              0,
		"albion_target_answers_total " + at(http, "code=2xx"):       5,
		"albion_target_answers_total " + at(https, "code=2xx"):      1,
		"albion_tls_handshakes_total " + at(https, "result=ok"):     1,
		"albion_tls_handshakes_total " + at(https, "result=failed"): 1,
		"albion_targets " + targetGroup + " state=unavailable":      1,
		"albion_target_outstanding " + targetGroup:                  1,
		"albion_target_answer_seconds " + at(http):                  5,
	} {
		if got, ok := metrics(w)[name]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", name, got, ok, want)
		}
	}
	got := metrics(w)
	for _, name := range []string{"albion_requests_total " + at(http), "albion_answers_total " + at(http, "code=2xx")} {
		if got[name] < 8 || got[name] > 9 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for _, name := range []string{"albion_received_bytes_total " + at(http), "albion_sent_bytes_total " + at(http)} {
		if got[name] < 100 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if own := got["albion_own_answers_total "+at(http, "code=2xx")]; own < 3 || own > 4 {
		t.Errorf("own answers: %v", own)
	}
	found := false
	for name := range got {
		found = found || strings.HasPrefix(name, "albion_access_log_dropped_total file=")
	}
	if !found {
		t.Error("nothing says how many log lines were dropped")
	}
}

// metrics is what is measured, by name and labels; of a histogram, how often.
func metrics(w *world) map[string]float64 {
	all := map[string]float64{}
	for _, m := range w.edge.Metrics() {
		name := m.Name
		for _, l := range m.Labels {
			name += " " + l.Name + "=" + l.Value
		}
		if m.Help == "" {
			w.t.Errorf("%s has no help", name)
		}
		value := m.Value
		for _, n := range m.Counts {
			value += float64(n)
		}
		all[name] = value
	}
	return all
}
