package h2_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// Every known flood ends its connection, soon, with ENHANCE_YOUR_CALM. The
// number of rounds is far beyond what a client has reason for, and each round
// keeps the connection right but for the flood.
func TestFloodsEndTheirConnection(t *testing.T) {
	request := head("GET", "/hang")
	for name, flood := range map[string]func(p *peer, i uint32){
		"rapid reset (CVE-2023-44487)": func(p *peer, i uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true, EndStream: true, BlockFragment: p.pack(request...)})
			p.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		},
		"made you reset (CVE-2025-8671): window overflow": func(p *peer, i uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true, EndStream: true, BlockFragment: p.pack(request...)})
			p.WriteWindowUpdate(2*i+1, 1<<31-1)
		},
		"made you reset: empty window update": func(p *peer, i uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true, EndStream: true, BlockFragment: p.pack(request...)})
			p.WriteWindowUpdate(2*i+1, 0)
		},
		"made you reset: DATA after the end": func(p *peer, i uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true, EndStream: true, BlockFragment: p.pack(request...)})
			p.WriteData(2*i+1, true, nil)
		},
		"made you reset: malformed requests": func(p *peer, i uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true, EndStream: true, BlockFragment: p.pack("x", "y")})
		},
		"too many streams": func(p *peer, i uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, EndHeaders: true, EndStream: true, BlockFragment: p.pack(request...)})
		},
		"PING (CVE-2019-9512)":     func(p *peer, _ uint32) { p.WritePing(false, [8]byte{}) },
		"SETTINGS (CVE-2019-9515)": func(p *peer, _ uint32) { p.WriteSettings() },
		"SETTINGS acknowledgement": func(p *peer, _ uint32) { p.WriteSettingsAck() },
		"PRIORITY": func(p *peer, i uint32) {
			p.WritePriority(2*i+1, http2.PriorityParam{Weight: 1})
		},
		"unknown frames": func(p *peer, _ uint32) { p.WriteRawFrame(0x42, 0, 0, nil) },
		"GOAWAY":         func(p *peer, _ uint32) { p.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"WINDOW_UPDATE":  func(p *peer, _ uint32) { p.WriteWindowUpdate(0, 1) },
		"empty DATA (CVE-2019-9518)": func(p *peer, i uint32) {
			if i == 0 {
				p.request(1, false, head("POST", "/hang")...)
			}
			p.WriteData(1, false, nil)
		},
		"empty CONTINUATION": func(p *peer, i uint32) {
			if i == 0 {
				p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.pack(request...)})
			}
			p.WriteContinuation(1, false, nil)
		},
		"CONTINUATION (CVE-2024-27316)": func(p *peer, i uint32) {
			if i == 0 {
				p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.pack(request...)})
			}
			p.WriteContinuation(1, false, p.pack("x", fmt.Sprint(i)))
		},
		"frames for a stream that is over": func(p *peer, i uint32) {
			if i == 0 {
				p.request(1, false, head("POST", "/early")...)
				p.waitAnswer(1)
			}
			p.WriteData(1, false, []byte("x"))
		},
		"HPACK bomb": func(p *peer, i uint32) {
			if i == 0 {
				p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.pack(head("GET", "/", "a", strings.Repeat("x", 3800))...)})
			}
			one := p.pack("a", strings.Repeat("x", 3800)) // one byte: it is in the table
			p.WriteContinuation(1, false, []byte(strings.Repeat(string(one), 500)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var running, most atomic.Int64
			s := serve(t, h2.Config{Handler: func(s *h2.Stream) {
				for n := running.Add(1); ; {
					if seen := most.Load(); n <= seen || most.CompareAndSwap(seen, n) {
						break
					}
				}
				defer running.Add(-1)
				app(s)
			}})
			p := dial(t, s)
			for i := range uint32(20_000) {
				flood(p, i)
				if i%64 == 63 && p.out.Flush() != nil {
					break // the server has had enough
				}
			}
			p.flush()
			p.waitGoAway(http2.ErrCodeEnhanceYourCalm)
			if err := <-s.ends; err == nil {
				t.Error("Serve did not say what was wrong")
			}
			if running.Load() != 0 {
				t.Errorf("%d requests outlived their connection", running.Load())
			}
			if most.Load() > 256 {
				t.Errorf("%d requests were served at once", most.Load())
			}
		})
	}
}

// What browsers and gRPC do in bursts is no flood.
func TestBusyClientsAreNoFlood(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	for i := range uint32(2000) {
		id := 2*i + 1
		p.request(id, true, head("GET", "/")...)
		p.WritePing(false, [8]byte{1})
		p.WritePriority(id, http2.PriorityParam{Weight: 3})
		if status, _ := p.waitAnswer(id); status != "200" {
			t.Fatalf("request %d: %s", i, status)
		}
		p.WriteWindowUpdate(0, 5)
	}
	for i := range uint32(100) { // a page is left: all that is under way is reset
		p.request(2*(2000+i)+1, true, head("GET", "/hang")...)
	}
	for i := range uint32(100) {
		p.WriteRSTStream(2*(2000+i)+1, http2.ErrCodeCancel)
	}
	p.request(8001, true, head("GET", "/")...)
	if status, _ := p.waitAnswer(8001); status != "200" {
		t.Fatalf("after the resets: %s", status)
	}
}

// A client that says of every kilobyte twice that it has read it reads only.
func TestReadersOfMuchAreNoFlood(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	const size = 16 << 20
	p.request(1, true, head("GET", "/big?"+itoa(size))...)
	for left := size; left > 0; {
		got := p.wait("all of it", func(s said) bool { return s.Type == http2.FrameData || s.Type == http2.FrameGoAway })
		if got.Type == http2.FrameGoAway {
			t.Fatalf("%d bytes before the end: %s", left, got.data)
		}
		left -= len(got.data)
		for n := len(got.data); n > 0; n -= 1024 {
			p.WriteWindowUpdate(0, uint32(min(n, 1024)))
			p.WriteWindowUpdate(1, uint32(min(n, 1024)))
		}
		p.flush()
	}
}

// A client that makes the server talk and does not listen costs a bounded
// amount of memory, for a bounded time.
func TestAnswersThatAreNotReadEndTheConnection(t *testing.T) {
	client, _, ended := pipe(h2.Config{Handler: app, IdleTimeout: 200 * time.Millisecond})
	p := newPeer(t, client, true)
	for range 2000 {
		if p.WritePing(false, [8]byte{}) != nil || p.out.Flush() != nil {
			break
		}
	}
	<-ended
}

func TestSettingsAreBoundedInNumber(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	p.WriteSettings(make([]http2.Setting, 1000)...)
	p.flush()
	p.waitGoAway(http2.ErrCodeEnhanceYourCalm)
}
