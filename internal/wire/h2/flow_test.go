package h2_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// Whatever windows a client gives, in whatever order: never is more sent than
// they allow, and every answer arrives whole.
func TestPropertyWindowsAreKept(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 90_000), 1, 6).Draw(r, "sizes")
		initial := rapid.IntRange(0, 70_000).Draw(r, "initial")
		step := rapid.IntRange(1, 40_000)
		client, _, ended := pipe(h2.Config{Handler: app})
		p := newPeer(t, client, false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(initial)})
		windows, left := map[uint32]int{}, map[uint32]int{}
		all := 65_535
		for i, size := range sizes {
			id := uint32(2*i + 1)
			p.request(id, true, head("GET", "/big?"+itoa(size))...)
			windows[id], left[id] = initial, size
		}
		open := func() {
			if all <= 0 || rapid.IntRange(0, 3).Draw(r, "widen") == 0 {
				n := step.Draw(r, "connection")
				all += n
				p.WriteWindowUpdate(0, uint32(n))
			}
			for i := range sizes {
				id := uint32(2*i + 1)
				if _, unfinished := left[id]; unfinished && windows[id] <= 0 {
					n := step.Draw(r, "stream")
					windows[id] += n
					p.WriteWindowUpdate(id, uint32(n))
				}
			}
			if rapid.IntRange(0, 9).Draw(r, "again") == 0 {
				next := rapid.IntRange(0, 70_000).Draw(r, "next")
				for id := range windows {
					windows[id] += max(0, next-initial) // ours allows the more of both until it is acknowledged
				}
				if next > initial {
					initial = next
					p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(next)})
				}
			}
			p.flush()
		}
		open()
		for len(left) > 0 {
			s := p.wait("all answers", func(s said) bool { return s.Type == http2.FrameData || s.Type == http2.FrameRSTStream })
			if s.Type == http2.FrameRSTStream {
				r.Fatalf("stream %d was reset: %v", s.StreamID, s.code)
			}
			windows[s.StreamID] -= len(s.data)
			left[s.StreamID] -= len(s.data)
			all -= len(s.data)
			if windows[s.StreamID] < 0 || all < 0 || left[s.StreamID] < 0 {
				r.Fatalf("stream %d: window %d, connection %d, %d bytes too few", s.StreamID, windows[s.StreamID], all, left[s.StreamID])
			}
			if s.Flags.Has(http2.FlagDataEndStream) {
				if left[s.StreamID] != 0 {
					r.Fatalf("stream %d lacks %d bytes", s.StreamID, left[s.StreamID])
				}
				delete(left, s.StreamID)
			}
			open()
		}
		client.Close()
		<-ended
	})
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + itoa(n%10)
	}
	return string(rune('0' + n))
}

// Content that nobody reads is bounded for a stream and for a connection.
func TestWindowsOfOursAreEnforced(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	fill := func(id uint32, frames int) {
		p.request(id, false, head("POST", "/hang")...)
		for range frames {
			p.WriteData(id, false, make([]byte, 16<<10))
		}
		p.flush()
	}
	fill(1, 17)
	p.waitReset(1, http2.ErrCodeFlowControl)
	for i := range uint32(4) {
		fill(2*i+3, 16)
	}
	fill(11, 1)
	p.waitGoAway(http2.ErrCodeFlowControl)
}

// Padding is content as far as windows go, and is given back at once.
func TestPaddingIsGivenBack(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	p.request(1, false, head("POST", "/hang")...)
	for range 2000 { // 512,000 bytes with their lengths, twice the window
		if err := p.WriteDataPadded(1, false, []byte("x"), make([]byte, 254)); err != nil {
			t.Fatal(err)
		}
		p.flush()
	}
	p.WritePing(false, [8]byte{7})
	p.flush()
	p.wait("an answer to the PING", func(s said) bool { return s.Type == http2.FramePing && s.Flags.Has(http2.FlagPingAck) })
}

// A stream that waits for its window does not hold up the others.
func TestAStalledStreamHoldsUpNobody(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	for i := range uint32(50) {
		p.request(2*i+1, true, head("GET", "/big?1000")...)
	}
	p.request(201, true, head("GET", "/")...)
	if _, body := p.waitAnswer(201); body != "hello" {
		t.Errorf("%q", body)
	}
}

func TestASmallAnswerIsOneWrite(t *testing.T) {
	client, server := net.Pipe()
	conn := &counted{Conn: server, writes: new(atomic.Int64)}
	ended := make(chan error, 1)
	go func() { ended <- h2.New(conn, h2.Config{Handler: app}, h2.NewShared()).Serve() }()
	p := newPeer(t, client, false)
	p.wait("the acknowledgement", func(s said) bool { return s.Type == http2.FrameSettings && s.Flags.Has(http2.FlagSettingsAck) })
	before := conn.writes.Load()
	for i := range uint32(10) {
		p.request(2*i+1, true, head("GET", "/")...)
		p.waitAnswer(2*i + 1)
	}
	if n := conn.writes.Load() - before; n != 10 {
		t.Errorf("10 answers took %d writes", n)
	}
	client.Close()
	<-ended
}

// After so many requests a client is asked to open another connection, and none
// of its requests fails.
func TestRequestsOfAConnectionAreLimited(t *testing.T) {
	s := serve(t, h2.Config{Handler: app, Requests: 10})
	dials := 0
	transport := &http.Transport{TLSClientConfig: s.tls(), ForceAttemptHTTP2: true}
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	for range 60 {
		if _, body := do(t, c, "GET", "https://"+s.addr+"/", nil); body != "hello" {
			t.Fatalf("%q", body)
		}
	}
	if dials < 4 || dials > 7 {
		t.Errorf("60 requests took %d connections", dials)
	}
}
