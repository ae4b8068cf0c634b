package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/target"
)

func TestEndlessInterimAnswersAreCutShort(t *testing.T) {
	b := newBalancer(t, nil, raw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"); err != nil {
				return
			}
		}
	}))
	c := b.dial()
	c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for i := 0; ; i++ {
		answer, _ := c.answer("GET")
		if answer.StatusCode == 502 {
			break
		}
		if answer.StatusCode != 103 || i > 100 {
			t.Fatalf("answer %d is %d", i, answer.StatusCode)
		}
	}
	if line := b.lines()[0]; !strings.Contains(line, `"MalformedTargetAnswer"`) {
		t.Errorf("log line %s", line)
	}
}

// A target that has answered and reads no more must not hold the exchange up
// through the body that is still being passed on to it.
func TestTargetThatStopsReadingDoesNotHoldTheAnswerUp(t *testing.T) {
	done := make(chan struct{})
	b := newBalancer(t, nil, raw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			<-done
		}
	}))
	defer close(done)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 5 {
				c := b.dial()
				begun := time.Now()
				c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
				var writing sync.WaitGroup
				writing.Go(func() {
					chunk := make([]byte, 64<<10)
					for {
						if _, err := c.Write(chunk); err != nil {
							return
						}
					}
				})
				answer, err := http.ReadResponse(c.r, nil)
				if err == nil && answer.StatusCode != 200 {
					t.Errorf("got %d", answer.StatusCode)
				}
				c.over()
				c.Close()
				writing.Wait()
				if took := time.Since(begun); took > 15*time.Second {
					t.Errorf("it took %v", took)
				}
			}
		})
	}
	clients.Wait()
}

func TestUnfinishedHeadsAreLoggedForWhatTheyAre(t *testing.T) {
	t.Parallel() // it waits
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = time.Second }, web(t, echo))
	first := b.dial()
	first.say("GET /before HTTP/1.1\r\nHost: a\r\nUser-Agent: " + strings.Repeat("u", 5000) + "\r\n\r\n")
	first.answer("GET")
	// More than a small buffer holds, so that the head has moved when time is up.
	first.say("GET /slow HTTP/1.1\r\nHost: a\r\nUser-Agent: slow/1\r\nX: " + strings.Repeat("x", 3000))
	if answer, _ := first.answer("GET"); answer.StatusCode != 408 {
		t.Errorf("got %d", answer.StatusCode)
	}
	short := b.dial()
	short.say("GET /short HTTP/1.1\r\nHo")
	short.CloseWrite()
	if answer, _ := short.answer("GET"); answer.StatusCode != 400 {
		t.Errorf("got %d", answer.StatusCode)
	}
	first.Close()
	log := strings.Join(b.lines(), "\n")
	for _, want := range []string{`/slow HTTP/1.1" "slow/1"`, `"SlowHead"`, `"ClientClosedWithinHead"`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the log\n%s", want, log)
		}
	}
	if strings.Count(log, "/before") != 1 {
		t.Errorf("an earlier request shows in the log\n%s", log)
	}
}

// A request that reached the balancer is answered, however it falls together
// with the end of its listener.
func TestDrainRefusesNoRequestThatItHasRead(t *testing.T) {
	address := web(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	})
	for range 20 {
		b := newBalancer(t, nil, address)
		var clients sync.WaitGroup
		var served atomic.Int32
		enough := make(chan struct{})
		for range 4 {
			c := b.dial()
			clients.Go(func() {
				defer c.Close()
				for n := 1; ; n++ {
					if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"); err != nil {
						return
					}
					if _, err := io.WriteString(c, "hi"); err != nil {
						return
					}
					answer, err := http.ReadResponse(c.r, nil)
					if err != nil { // closed while it was idle
						return
					}
					body, err := io.ReadAll(answer.Body)
					if answer.StatusCode != 200 || string(body) != "ok" || err != nil {
						t.Errorf("request %d: got %d %q, %v", n, answer.StatusCode, body, err)
					}
					if served.Add(1) == 50 {
						close(enough)
					}
					if answer.Close {
						return
					}
				}
			})
		}
		<-enough
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		b.live.Drain(ctx)
		if ctx.Err() != nil {
			t.Error("Drain had to cut")
		}
		cancel()
		clients.Wait()
	}
}

// cut ends a connection to a target that is still being made, too.
func TestDrainDoesNotWaitForATargetThatDoesNotAnswer(t *testing.T) {
	dialing := make(chan struct{})
	registry := target.New(target.Config{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	b := newBalancer(t, nil)
	group := *b.group
	group.Targets = []albion.Target{{Host: "127.0.0.1", Port: 1}}
	registry.Sync([]*albion.TargetGroup{&group}, map[albion.ARN]bool{groupARN: true})
	view := b.view
	view.Groups = map[albion.ARN]*target.Group{groupARN: registry.Group(groupARN)}
	b.live.Set(&view)
	c := b.dial()
	c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-dialing
	begun := time.Now()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	b.live.Drain(over)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Drain took %v", took)
	}
}

// Between the rules and the target the whole configuration may change; the
// request then belongs to the new one.
func TestRequestFollowsAChangeThatTakesItsTargetsAway(t *testing.T) {
	b := newBalancer(t, nil) // a group without targets
	fixed, err := route.Compile(albion.Action{Fixed: &albion.FixedResponse{Status: 200, Body: "new"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := b.view, b.view
	fresh.Routes = fixed
	var clients sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		c := b.dial()
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				if answer, body := c.answer("GET"); answer.StatusCode != 200 && answer.StatusCode != 503 || answer.StatusCode == 200 && body != "new" {
					t.Errorf("got %d %q", answer.StatusCode, body)
				}
			}
		})
	}
	for range 2000 {
		b.live.Set(&old)
		b.live.Set(&fresh)
	}
	c := b.dial()
	c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer, body := c.answer("GET"); answer.StatusCode != 200 || body != "new" {
		t.Errorf("got %d %q", answer.StatusCode, body)
	}
	close(done)
	clients.Wait()
}

// What a client sends ahead while its request is being answered is its next
// request, however little room the first one left.
func TestRequestsSentAheadAreNotLost(t *testing.T) {
	release := make(chan struct{})
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-release
		}
		io.WriteString(w, r.URL.Path)
	}))
	for _, size := range []int{100, 1800, 1930, 2000, 7000, 30000} {
		c := b.dial()
		head := "GET /wait HTTP/1.1\r\nHost: a\r\n"
		for left := size; left > 0; left -= 1000 {
			head += fmt.Sprintf("X-%d: %s\r\n", left, strings.Repeat("x", min(left, 1000)))
		}
		c.say(head + "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
		c.say("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
		release <- struct{}{}
		for _, want := range []string{"/wait", "/1", "/2"} {
			if _, body := c.answer("GET"); body != want {
				t.Fatalf("%d: got %q, want %q", size, body, want)
			}
		}
		c.Close()
	}
}

// Answers on a slow connection are not kept in memory, and a client that never
// reads is let go.
func TestClientThatDoesNotReadIsLetGo(t *testing.T) {
	t.Parallel() // it waits
	gone := make(chan error, 1)
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = time.Second }, web(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 64<<10)
		for range 2048 { // 128 MiB
			if _, err := w.Write(chunk); err != nil {
				gone <- err
				return
			}
		}
		gone <- nil
	}))
	c := b.dial()
	c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := <-gone; err == nil {
		t.Error("the target could send all of it")
	}
	if _, err := io.Copy(io.Discard, c.r); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the client takes the answer for whole: %v", err)
	}
}

func TestAMistakeEndsOneConnectionOnly(t *testing.T) {
	b := newBalancer(t, nil, web(t, echo))
	other := b.dial()
	other.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	other.answer("GET")
	broken := b.view
	broken.Routes = nil // no State compiles to this
	b.live.Set(&broken)
	unlucky := b.dial()
	unlucky.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if rest := unlucky.over(); rest != "" {
		t.Errorf("got %q", rest)
	}
	b.live.Set(&b.view)
	other.say("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, body := other.answer("GET"); !strings.HasPrefix(body, "GET /2 ") {
		t.Errorf("the other connection got %q", body)
	}
	b.lines() // it is counted after the connection has ended
	if b.live.Metrics.Panics.Load() != 1 {
		t.Errorf("%d mistakes are counted", b.live.Metrics.Panics.Load())
	}
}
