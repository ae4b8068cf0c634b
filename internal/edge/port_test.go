package edge_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/edge"
)

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
