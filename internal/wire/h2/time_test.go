package h2_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// within runs a story on a clock of its own and says how long it took.
func within(t *testing.T, want, slack time.Duration, cfg h2.Config, story func(t *testing.T, p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, _, ended := pipe(cfg)
		p := newPeer(t, client, false)
		began := time.Now()
		story(t, p)
		<-ended
		if took := time.Since(began); took < want || took > want+slack {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

func TestIdleConnectionsEndWhateverTheyPing(t *testing.T) {
	within(t, time.Minute, time.Second, h2.Config{Handler: app}, func(t *testing.T, p *peer) {
		over := make(chan struct{})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for tick := time.NewTicker(5 * time.Second); ; {
				select {
				case <-tick.C:
				case <-over:
					tick.Stop()
					return
				}
				p.WritePing(false, [8]byte{1})
				p.flush()
			}
		}()
		p.waitGoAway(http2.ErrCodeNo)
		close(over)
		<-stopped
	})
}

func TestIdlenessBeginsWithTheLastAnswer(t *testing.T) {
	within(t, 100*time.Second, time.Second, h2.Config{Handler: func(s *h2.Stream) {
		timer := time.NewTimer(40 * time.Second)
		<-timer.C
		answer(s, 200, "late")
	}}, func(t *testing.T, p *peer) {
		p.request(1, true, head("GET", "/")...)
		p.waitAnswer(1)
		p.waitGoAway(http2.ErrCodeNo)
	})
}

func TestAPrefaceThatDoesNotComeEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, ended := pipe(h2.Config{Handler: app, HeadTimeout: 10 * time.Second})
		began := time.Now()
		io.Copy(io.Discard, client)
		if err := <-ended; err == nil {
			t.Error("no error")
		}
		client.Close()
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAHeadThatTricklesEndsTheConnection(t *testing.T) {
	within(t, 10*time.Second, 2*time.Second, h2.Config{Handler: app, HeadTimeout: 10 * time.Second}, func(t *testing.T, p *peer) {
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.pack(head("GET", "/")...)})
		p.flush()
		over, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for tick := time.NewTicker(time.Second); ; {
				select {
				case <-tick.C:
				case <-over:
					tick.Stop()
					return
				}
				p.WriteContinuation(1, false, p.pack("a", "b"))
				p.flush()
			}
		}()
		p.waitGoAway(http2.ErrCodeEnhanceYourCalm)
		close(over)
		<-stopped
	})
}

// A client that opens its window byte by byte cannot hold an answer for ever.
func TestASlowReaderLosesItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		client, _, ended := pipe(h2.Config{Handler: func(s *h2.Stream) {
			if err := s.WriteHead(&wire.Response{Status: 200}, nil, false); err != nil {
				failed <- err
				return
			}
			_, err := s.Write(make([]byte, 16<<10))
			failed <- err
		}})
		p := newPeer(t, client, false, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		began := time.Now()
		p.request(1, true, head("GET", "/")...)
		over, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for tick := time.NewTicker(time.Second); ; {
				select {
				case <-tick.C:
				case <-over:
					tick.Stop()
					return
				}
				p.WriteWindowUpdate(1, 1)
				p.flush()
			}
		}()
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the write ended with %v", err)
		}
		p.waitReset(1, http2.ErrCodeInternal)
		close(over)
		<-stopped
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		client.Close()
		<-ended
	})
}

// A client that takes nothing from its socket at all loses the connection.
func TestADeafClientIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, ended := pipe(h2.Config{Handler: app})
		began := time.Now()
		go func() {
			io.WriteString(client, http2.ClientPreface)
			http2.NewFramer(client, nil).WriteSettings()
		}()
		<-ended
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		client.Close()
	})
}

func TestDeadlinesWakeReadsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := make(chan error, 3)
		client, _, ended := pipe(h2.Config{Handler: func(s *h2.Stream) {
			began := time.Now()
			_, err := s.Read(make([]byte, 1)) // no deadline: as long as a connection may be idle
			if time.Since(began) < time.Minute {
				err = errors.New("woken too early")
			}
			result <- err
			wake := time.AfterFunc(time.Second, func() { s.SetDeadline(time.Unix(1, 0)) })
			defer wake.Stop()
			_, err = s.Read(make([]byte, 1))
			result <- err
			s.SetWriteDeadline(time.Now().Add(time.Hour))
			s.WriteHead(&wire.Response{Status: 200}, nil, false)
			again := time.AfterFunc(time.Second, func() { s.SetWriteDeadline(time.Unix(1, 0)) })
			defer again.Stop()
			_, err = s.Write(make([]byte, 100_000)) // more than the client's window
			result <- err
		}})
		p := newPeer(t, client, false)
		p.request(1, false, head("POST", "/")...)
		for i := range 3 {
			if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("wait %d ended with %v", i, err)
			}
		}
		client.Close()
		<-ended
	})
}

// A drain finishes what has begun, serves what crosses the first GOAWAY on its
// way, and ends.
func TestDrainInTwoSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		client, conn, ended := pipe(h2.Config{Handler: func(s *h2.Stream) {
			<-release
			answer(s, 200, "done")
		}})
		p := newPeer(t, client, false)
		p.request(1, true, head("GET", "/")...)
		synctest.Wait()
		conn.Drain()
		conn.Drain() // once more changes nothing
		first := p.wait("GOAWAY", func(s said) bool { return s.Type == http2.FrameGoAway })
		if first.last != 1<<31-1 || first.code != http2.ErrCodeNo {
			t.Errorf("first GOAWAY: %+v", first)
		}
		p.request(3, true, head("GET", "/")...) // it crossed the GOAWAY
		ping := p.wait("PING", func(s said) bool { return s.Type == http2.FramePing })
		p.WritePing(true, [8]byte(ping.data))
		p.flush()
		second := p.wait("GOAWAY", func(s said) bool { return s.Type == http2.FrameGoAway })
		if second.last != 3 || second.code != http2.ErrCodeNo {
			t.Errorf("second GOAWAY: %+v", second)
		}
		p.request(5, false, head("POST", "/")...) // too late: ignored
		p.WriteData(5, true, []byte("x"))
		p.flush()
		close(release)
		for range 2 {
			p.wait("an answer", func(s said) bool {
				return s.Type == http2.FrameData && string(s.data) == "done" && s.StreamID < 5
			})
		}
		for s := range p.heard {
			t.Errorf("said after the last answer: %+v", s)
		}
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestDrainDoesNotWaitForAPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, ended := pipe(h2.Config{Handler: app})
		p := newPeer(t, client, false)
		synctest.Wait()
		began := time.Now()
		conn.Drain()
		if last := p.waitGoAway(http2.ErrCodeNo); last.last != 1<<31-1 {
			t.Errorf("%+v", last)
		}
		<-ended
		if took := time.Since(began); took < time.Second || took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
