package h2_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// reading is a target that takes its time, 3 MB a second, and lets the first
// streams say what they like.
func reading(far net.Conn, unbounded int) {
	s, err := scripted(far)
	if err != nil {
		return
	}
	s.WriteWindowUpdate(0, 1<<30)
	for {
		f, err := s.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			if int(f.StreamID) < 2*unbounded {
				s.WriteWindowUpdate(f.StreamID, 1<<30)
			}
		case *http2.DataFrame:
			time.Sleep(5 * time.Millisecond) // of the bubble's time
		}
	}
}

// While uploads keep the way out full, heads of new requests have their turn, and
// so have trailers whose stream has used up its window.
func TestUploadsDoNotStarveHeadsAndTrailers(t *testing.T) {
	for _, uploads := range []int{1, 2, 8} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			read := make(chan struct{})
			go func() { defer close(read); reading(far, uploads) }()
			c := h2.NewClient(near, h2.ClientConfig{}, h2.NewShared())
			served := make(chan struct{})
			go func() { defer close(served); c.Serve() }()
			if err := c.Await(context.Background()); err != nil {
				t.Fatal(err)
			}
			begin := func(end bool) *h2.Stream {
				s := open(t, c)
				s.SetWriteDeadline(time.Now().Add(3 * time.Second))
				if err := s.WriteRequest(request1("POST"), end); err != nil {
					t.Errorf("%d uploads: a head: %v", uploads, err)
				}
				return s
			}
			stop := make(chan struct{})
			var all sync.WaitGroup
			for range uploads {
				s := begin(false)
				s.SetWriteDeadline(time.Time{})
				all.Go(func() {
					defer s.Release()
					piece := make([]byte, 32<<10)
					for {
						if _, err := s.Write(piece); err != nil {
							return
						}
						select {
						case <-stop:
							return
						default:
						}
					}
				})
			}
			synctest.Wait() // all of them fill the way out
			for range 4 {
				begin(true).Release()
			}
			s := begin(false)
			if err := s.Finish(make([]byte, 65_535), []wire.Field{field("x-sum", "7")}); err != nil {
				t.Errorf("%d uploads: trailers: %v", uploads, err)
			}
			s.Release()
			close(stop)
			c.Cut()
			all.Wait()
			<-served
			far.Close()
			<-read
		})
	}
}

// WriteReady takes what the target's windows allow, and does not wait for more.
func TestWhatNeedsNoWaiting(t *testing.T) {
	near, far := net.Pipe()
	got := make(chan []byte, 1)
	go func() {
		defer far.Close()
		s, err := scripted(far, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		var all []byte
		for err == nil {
			var f http2.Frame
			if f, err = s.ReadFrame(); err != nil {
				break
			}
			if d, ok := f.(*http2.DataFrame); ok {
				all = append(all, d.Data()...)
				if d.StreamEnded() {
					break
				}
				err = s.WriteWindowUpdate(1, 100)
			}
		}
		got <- all
		io.Copy(io.Discard, far)
	}()
	c := awaited(t, askOn(t, near, h2.ClientConfig{}))
	s := open(t, c)
	defer s.Release()
	if err := s.WriteRequest(request1("POST"), false); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789"), 5)
	n, err := s.WriteReady(want, true)
	if n != 10 || err != nil {
		t.Errorf("%d bytes at once, %v", n, err)
	}
	if rest, err := s.WriteLast(want[n:], true); rest != len(want)-n || err != nil {
		t.Errorf("%d bytes afterwards, %v", rest, err)
	}
	if all := <-got; !bytes.Equal(all, want) {
		t.Errorf("the target got %q", all)
	}
}

// Streams whose content nobody reads leave the others room: what was read is given
// back in time.
func TestStalledAnswersLeaveRoomForOthers(t *testing.T) {
	const streams = 8
	near, far := net.Pipe()
	credit := make(chan int, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s, err := scripted(far)
		if err != nil {
			return
		}
		if _, err := s.read(http2.FrameWindowUpdate); err != nil { // of the preface
			return
		}
		for id := uint32(1); id <= 3; id += 2 {
			if _, err := s.read(http2.FrameHeaders); err != nil {
				return
			}
		}
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() { // a pipe has no buffer
			for id := uint32(1); id <= 3; id += 2 {
				s.head(id, false, ":status", "200")
				for range 9 {
					if s.WriteData(id, false, make([]byte, 16<<10)) != nil {
						return
					}
				}
			}
		})
		for {
			f, err := s.ReadFrame()
			if err != nil {
				return
			}
			if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 {
				credit <- int(w.Increment)
			}
		}
	}()
	c := awaited(t, askOn(t, near, h2.ClientConfig{Streams: streams}))
	var both [2]*h2.Stream
	for i := range both {
		both[i] = open(t, c)
		defer both[i].Release()
		if err := both[i].WriteRequest(request1("GET"), true); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range both {
		if _, err := io.CopyN(io.Discard, s, 144<<10); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case n := <-credit:
		if n < 256<<10 {
			t.Errorf("%d bytes are given back", n)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing is given back to the connection")
	}
	far.Close()
	<-done
}
