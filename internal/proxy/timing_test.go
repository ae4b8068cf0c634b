package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/target"
)

// stage is a listener with one target on connections that exist in memory only,
// so that hours pass in no time.
type stage struct {
	t    *testing.T
	live *proxy.Listener
	all  sync.WaitGroup
}

// play runs a scene in front of a target that does what script says.
func play(t *testing.T, script func(conn net.Conn), scene func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, live: proxy.NewListener(proxy.NewShared(slog.New(slog.DiscardHandler)))}
		registry := target.New(target.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			s.all.Go(func() { defer theirs.Close(); script(theirs) })
			return ours, nil
		}})
		group := &albion.TargetGroup{
			ARN: groupARN, Protocol: albion.HTTP, Attributes: albion.DefaultTargetGroupAttributes(),
			Targets: []albion.Target{{Host: "192.0.2.1", Port: 80}},
		}
		registry.Sync([]*albion.TargetGroup{group}, map[albion.ARN]bool{groupARN: true})
		ctx, cancel := context.WithCancel(t.Context())
		s.all.Go(func() { registry.Run(ctx) })
		routes, err := route.Compile(albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: groupARN, Weight: 1}}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.live.Set(&proxy.View{
			Protocol: albion.HTTP, Port: 80, Attributes: albion.DefaultLoadBalancerAttributes(), Routes: routes,
			Groups: map[albion.ARN]*target.Group{groupARN: registry.Group(groupARN)},
		})
		scene(s)
		s.live.Drain(ctx)
		cancel()
		s.all.Wait()
	})
}

// enter is a client's connection. What it is answered has to be read, or the
// balancer waits: nothing in between holds a byte.
func (s *stage) enter() net.Conn {
	ours, theirs := net.Pipe()
	s.all.Go(func() { s.live.Serve(proxy.Client{Conn: theirs, Remote: netip.MustParseAddrPort("192.0.2.2:1234")}) })
	return ours
}

// polite answers every request with its body.
func polite(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// trickle writes text byte by byte, with a pause behind each, until it is through
// or the other side has gone.
func trickle(conn net.Conn, text string, pause time.Duration) {
	for i := range len(text) {
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return
		}
		<-time.After(pause)
	}
}

// status is that of the next answer, 0 when there is none, and how long it took.
func status(conn net.Conn) (code int, took time.Duration) {
	begun := time.Now()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		io.Copy(io.Discard, answer.Body)
		code = answer.StatusCode
	}
	return code, time.Since(begun)
}

func within(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s took %v, not %v to %v", what, got, least, most)
	}
}

func TestSlowClientsAreGivenTheirTimeAndNoMore(t *testing.T) {
	for _, c := range []struct {
		name, at, slowly string
		pause            time.Duration
		status           int
		least, most      time.Duration
	}{
		{"nothing", "", "", time.Second, 0, 55 * time.Second, 60 * time.Second},
		{"a head that trickles", "G", strings.Repeat("E", 100), 5 * time.Second, 408, 60 * time.Second, 60 * time.Second},
		{"a body that trickles", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", strings.Repeat("x", 1000), time.Second, 408, 30 * time.Second, 32 * time.Second},
		{"a body of extensions", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("x", 1000), time.Second, 408, 30 * time.Second, 32 * time.Second},
		{"a body that stops", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", "x", time.Second, 408, 55 * time.Second, 61 * time.Second},
		{"a short body, slowly", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n", strings.Repeat("x", 20), time.Second, 200, 19 * time.Second, 21 * time.Second},
	} {
		play(t, polite, func(s *stage) {
			conn := s.enter()
			defer conn.Close()
			s.all.Go(func() {
				trickle(conn, c.at, 0)
				trickle(conn, c.slowly, c.pause)
			})
			got, took := status(conn)
			if got != c.status {
				t.Errorf("%s: got %d, want %d", c.name, got, c.status)
			}
			within(t, c.name, took, c.least, c.most)
			conn.Close()
		})
	}
}

// A client that waits for 100 (Continue) is not slow, however long it takes.
func TestWaitingForContinueIsNotSlow(t *testing.T) {
	hesitant := func(conn net.Conn) {
		r := bufio.NewReader(conn)
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		<-time.After(50 * time.Second)
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		if body, err := io.ReadAll(request.Body); err != nil || len(body) != 2000 {
			t.Errorf("%d bytes arrived, %v", len(body), err)
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	play(t, hesitant, func(s *stage) {
		conn := s.enter()
		defer conn.Close()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
		if got, took := status(conn); got != 100 || took < 50*time.Second {
			t.Fatalf("got %d after %v", got, took)
		}
		s.all.Go(func() {
			io.WriteString(conn, strings.Repeat("x", 1000))
			io.WriteString(conn, strings.Repeat("x", 1000))
		})
		if got, _ := status(conn); got != 200 {
			t.Errorf("got %d", got)
		}
	})
}

func TestSilentTargetIs504AfterTheIdleTimeout(t *testing.T) {
	silent := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	for name, c := range map[string]struct {
		body string // sent in this many seconds
		most time.Duration
	}{
		"no body": {"", 61 * time.Second},
		"a body that arrives for longer than that": {strings.Repeat("x", 90), 151 * time.Second},
	} {
		play(t, silent, func(s *stage) {
			conn := s.enter()
			defer conn.Close()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(c.body)*5000)
			s.all.Go(func() {
				for range c.body {
					<-time.After(time.Second)
					io.WriteString(conn, strings.Repeat("x", 5000))
				}
			})
			got, took := status(conn)
			if got != 504 {
				t.Errorf("%s: got %d", name, got)
			}
			within(t, name, took, c.most-time.Second, c.most)
		})
	}
}

// The idle timeout counts from the last byte of an answer, to the end: two words
// close to each other do not shorten the silence that may follow.
func TestSilenceWithinAnAnswerHasTheWholeIdleTimeout(t *testing.T) {
	play(t, func(conn net.Conn) {
		if _, err := readHead(conn); err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
		for _, pause := range []time.Duration{50 * time.Second, 3 * time.Second, 58 * time.Second} {
			<-time.After(pause)
			io.WriteString(conn, "x")
		}
	}, func(s *stage) {
		conn := s.enter()
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); string(body) != "xxx" || err != nil {
			s.t.Errorf("%q, %v", body, err)
		}
	})
}

func TestAnswerThatTricklesItsHeadIs504(t *testing.T) {
	drip := func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			trickle(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1000), 7*time.Second)
		}
	}
	play(t, drip, func(s *stage) {
		conn := s.enter()
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		got, took := status(conn)
		if got != 504 {
			t.Errorf("got %d", got)
		}
		within(t, "504", took, 60*time.Second, 70*time.Second)
	})
}

// Once a listener closes, its last answers say so.
func TestLastAnswersSayThatTheConnectionCloses(t *testing.T) {
	thoughtful := func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			<-time.After(10 * time.Second)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
	play(t, thoughtful, func(s *stage) {
		conn := s.enter()
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		s.all.Go(func() { s.live.Drain(context.Background()) })
		synctest.Wait()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != 200 || !answer.Close {
			t.Errorf("got %+v %v", answer, err)
		}
	})
}

func TestConnectionsEndAfterTheClientKeepAlive(t *testing.T) {
	play(t, polite, func(s *stage) {
		conn := s.enter()
		defer conn.Close()
		begun, r := time.Now(), bufio.NewReader(conn)
		next := time.NewTicker(50 * time.Second) // within the idle timeout
		defer next.Stop()
		for {
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			answer, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(begun), err)
			}
			if answer.Close {
				break
			}
			<-next.C
		}
		within(t, "the last answer", time.Since(begun), time.Hour, time.Hour+time.Minute)
	})
}

func TestTunnelLivesAsLongAsOneSideTalks(t *testing.T) {
	const words = 30
	talker := func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		io.WriteString(conn, switched)
		trickle(conn, strings.Repeat(".", words), 59*time.Second)
		io.Copy(io.Discard, conn)
	}
	play(t, talker, func(s *stage) {
		conn := s.enter()
		defer conn.Close()
		io.WriteString(conn, handshake)
		begun, r := time.Now(), bufio.NewReader(conn)
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 101 {
			t.Fatalf("got %v %v", answer, err)
		}
		heard, _ := io.ReadAll(r)
		if len(heard) != words {
			t.Errorf("heard %d words of %d", len(heard), words)
		}
		last := (words - 1) * 59 * time.Second
		within(t, "the tunnel", time.Since(begun), last+60*time.Second, last+61*time.Second)
	})
}
