package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/proxy"
)

// parked waits until no client of any balancer holds a goroutine.
func parked(t *testing.T) {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	over := time.After(20 * time.Second)
	for {
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 2); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(all.String(), "proxy.(*conn).serve") {
			return
		}
		select {
		case <-look.C:
		case <-over:
			t.Fatal("clients that say nothing hold goroutines")
		}
	}
}

func TestIdleClientsHoldNoGoroutine(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") }))
	silent, c, leaves := b.dial(), b.dial(), b.dial()
	for range 2 {
		for range 2 {
			c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if answer, body := c.answer("GET"); answer.StatusCode != 200 || body != "fine" {
				t.Fatalf("got %d %q", answer.StatusCode, body)
			}
		}
		parked(t)
	}
	if n := b.live.Connections(); n != 3 {
		t.Errorf("%d connections", n)
	}
	leaves.Close()
	c.say("GET / HTT") // a head in two pieces
	c.say("P/1.1\r\nHost: a\r\n\r\n")
	if answer, _ := c.answer("GET"); answer.StatusCode != 200 {
		t.Errorf("got %d", answer.StatusCode)
	}
	parked(t)
	if n := b.live.Connections(); n != 2 {
		t.Errorf("%d connections, one has gone", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the idle timeout is 60 s
	defer cancel()
	b.live.Drain(ctx)
	if ctx.Err() != nil {
		t.Error("drained by force")
	}
	for _, c := range []*client{silent, c} {
		if rest := c.over(); rest != "" {
			t.Errorf("heard %q", rest)
		}
	}
}

func TestIdleClientsEndInTimeThoughParked(t *testing.T) {
	t.Parallel() // it waits
	const idle = 4500 * time.Millisecond
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = idle }, web(t, echo))
	begun := time.Now()
	c := b.dial()
	parked(t)
	if rest := c.over(); rest != "" {
		t.Errorf("heard %q", rest)
	}
	if took := time.Since(begun); took < idle-idle/16 {
		t.Errorf("it ended after %v", took)
	}
}

func TestCutEndsParkedClients(t *testing.T) {
	t.Parallel() // it waits
	b := newBalancer(t, nil, parrot(t, ""))
	idle, tunnel := b.dial(), b.upgrade("")
	parked(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.live.Drain(ctx)
	idle.over()
	tunnel.over()
	if n := b.live.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
