package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// deaf serves connections that it reads nothing of behind the head: it answers
// with hello, and waits for the end of the test.
func deaf(t *testing.T, hello string) (address string, begun chan struct{}) {
	over := make(chan struct{})
	begun = make(chan struct{}, 1)
	address = raw(t, func(conn net.Conn) {
		conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		var head []byte
		for !strings.Contains(string(head), "\r\n\r\n") {
			var one [1]byte
			if _, err := conn.Read(one[:]); err != nil {
				return
			}
			head = append(head, one[0])
		}
		io.WriteString(conn, hello)
		begun <- struct{}{}
		<-over
	})
	t.Cleanup(func() { close(over) }) // before raw waits for its connections
	return address, begun
}

// flood writes until nobody takes any more, or the connection ends.
func flood(conn net.Conn) (full <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		chunk := make([]byte, 64<<10)
		for {
			conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}()
	return done
}

// Whoever waits for a target that neither reads nor answers is cut at the end of
// the time that Drain is given, and not at the end of the idle timeout.
func TestDrainCutsWhatADeafTargetHolds(t *testing.T) {
	for name, c := range map[string]struct{ hello, request string }{
		"body":   {"", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"},
		"tunnel": {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
	} {
		address, begun := deaf(t, c.hello)
		b := newBalancer(t, nil, address)
		client := b.dial()
		client.say(c.request)
		<-begun
		<-flood(client.TCPConn)
		drainsSoon(t, name, b)
	}
}

func TestDrainCutsStreamsThatADeafTargetHolds(t *testing.T) {
	address, begun := deaf(t, "")
	s := newSecure(t, address)
	body, more := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("https://%s/", s.address), body)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := s.client().Do(request); err == nil {
			answer.Body.Close()
		}
	}()
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		io.Copy(more, io.LimitReader(zeros{}, 1<<30))
	}()
	<-begun
	drainsSoon(t, "stream", s.balancer)
	body.Close()
	<-ended
	<-writing
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func drainsSoon(t *testing.T, name string, b *balancer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	drained := make(chan struct{})
	go func() { defer close(drained); b.live.Drain(ctx) }()
	select {
	case <-drained:
	case <-time.After(15 * time.Second): // the idle timeout is 60 s
		t.Errorf("%s: still draining", name)
		<-drained
	}
}
