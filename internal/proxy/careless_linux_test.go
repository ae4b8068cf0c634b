package proxy_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/wire/park"
)

// careless is a connection whose reader makes a mistake when it meets a word.
type careless struct{ *park.Socket }

func (c careless) NetConn() net.Conn { return c.Socket }

func (c careless) Read(p []byte) (int, error) {
	n, err := c.Socket.Read(p)
	if bytes.Contains(p[:n], []byte("boom")) {
		panic("boom")
	}
	return n, err
}

// A tunnel that a mistake of ours has ended says so in the log.
func TestATunnelThatAMistakeEndedIsNoCleanOne(t *testing.T) {
	b := newBalancer(t, nil, raw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err == nil {
			io.WriteString(conn, switched)
			io.Copy(io.Discard, conn)
		}
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	far.SetDeadline(time.Now().Add(10 * time.Second))
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go b.live.Serve(proxy.Client{ // joined by ended
		Conn: careless{park.NewSocket(near.(*net.TCPConn))}, Ended: func() { close(ended) },
		Remote: near.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: near.LocalAddr().(*net.TCPAddr).AddrPort(),
	})
	io.WriteString(far, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(far, head); err != nil || string(head) != "HTTP/1.1 101" {
		t.Fatalf("%q %v", head, err)
	}
	io.WriteString(far, "boom")
	io.Copy(io.Discard, far)
	<-ended
	if b.live.Metrics.Panics.Load() != 1 {
		t.Errorf("%d mistakes are counted", b.live.Metrics.Panics.Load())
	}
	if lines := b.lines(); len(lines) != 1 || !strings.Contains(lines[0], `"TunnelBroken"`) {
		t.Errorf("%q", lines)
	}
}
