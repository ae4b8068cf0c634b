package h2_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// Goroutines wait for the next requests, for a moment, and all are gone with the
// last connection.
func TestWorkersWaitForAMoment(t *testing.T) {
	const requests = 100
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		client, _, ended := pipe(h2.Config{Handler: func(s *h2.Stream) { <-let; answer(s, 200, "ok") }})
		p := newPeer(t, client, false)
		synctest.Wait()
		quiet := runtime.NumGoroutine()
		last := uint32(1)
		ask := func(n int) {
			for range n {
				p.request(last, true, head("GET", "/")...)
				last += 2
			}
			synctest.Wait()
		}
		answered := func(n int) {
			for range n {
				let <- struct{}{}
			}
			for range n {
				p.wait("the end of an answer", func(s said) bool { return s.Type == http2.FrameData && s.Flags.Has(http2.FlagDataEndStream) })
			}
			synctest.Wait()
		}
		more := func() int { return runtime.NumGoroutine() - quiet }
		ask(requests)
		if got := more(); got < requests {
			t.Errorf("%d goroutines for %d requests", got, requests)
		}
		answered(requests)
		spare := more()
		if spare != requests {
			t.Errorf("%d goroutines wait after %d requests", spare, requests)
		}
		ask(spare)
		if got := more(); got != spare {
			t.Errorf("%d goroutines answer %d requests", got, spare)
		}
		answered(spare)
		time.Sleep(4 * time.Second) // the test's own clock
		synctest.Wait()
		if got := more(); got > 0 {
			t.Errorf("%d goroutines are left after seconds of quiet", got)
		}
		ask(3)
		answered(3)
		if got := more(); got != 3 {
			t.Errorf("%d goroutines wait", got)
		}
		p.WriteGoAway(0, http2.ErrCodeNo, nil)
		p.flush()
		client.Close()
		<-ended
	})
}
