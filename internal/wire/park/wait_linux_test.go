package park_test

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire/park"
)

func TestWaitEndsWithAWordOrAnEnd(t *testing.T) {
	lot, _ := open(t)
	for name, act := range map[string]func(*net.TCPConn){
		"a word":    func(c *net.TCPConn) { c.Write([]byte("x")) },
		"an end":    func(c *net.TCPConn) { c.Close() },
		"half one":  func(c *net.TCPConn) { c.CloseWrite() },
		"a reset":   func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"all there": nil,
	} {
		near, far := pair(t)
		if act == nil {
			far.Write([]byte("x"))
		}
		woken := make(chan struct{})
		if lot.Wait(near, time.Minute, func() { close(woken) }) == nil {
			t.Fatal("nobody was taken in")
		}
		if act != nil {
			select {
			case <-woken:
				t.Errorf("%s: it was woken before", name)
			default:
			}
			act(far)
		}
		<-woken
	}
}

func TestWaitEndsInTime(t *testing.T) {
	lot, _ := open(t)
	near, _ := pair(t)
	begun, woken := time.Now(), make(chan time.Duration)
	const limit = 700 * time.Millisecond
	lot.Wait(near, limit, func() { woken <- time.Since(begun) })
	if took := <-woken; took < limit || took > limit+5*time.Second {
		t.Errorf("it ended after %v", took)
	}
}

// Whatever happens at the same time, a wait ends once, and the connection is
// there for the next one.
func TestWaitEndsOnce(t *testing.T) {
	lot, _ := open(t)
	rapid.Check(t, func(t *rapid.T) {
		near, far := pair(t)
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			var times atomic.Int32
			woken := make(chan struct{}, 10)
			ticket := lot.Wait(near, time.Minute, func() { times.Add(1); woken <- struct{}{} })
			if ticket == nil {
				t.Fatal("nobody was taken in")
			}
			var all sync.WaitGroup
			speaks := rapid.Bool().Draw(t, "speaks")
			if speaks {
				all.Go(func() { far.Write([]byte("x")) })
			}
			for range rapid.IntRange(1, 3).Draw(t, "wakers") {
				all.Go(ticket.Wake)
			}
			<-woken
			all.Wait()
			if speaks {
				if _, err := near.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if n := times.Load(); n != 1 {
				t.Fatalf("woken %d times", n)
			}
		}
	})
}

func TestThousandsEndAtOnce(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	crowd := int(min(10_000, (files.Cur-200)/2)) // both ends are ours
	lot, _ := open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var woken sync.WaitGroup
	far := make([]*net.TCPConn, crowd)
	for i := range far {
		var near *park.Socket
		near, far[i] = pairBy(t, l)
		woken.Add(1)
		if lot.Wait(near, time.Hour, woken.Done) == nil {
			t.Fatalf("number %d was not taken in", i)
		}
	}
	for _, c := range far {
		c.Close()
	}
	woken.Wait()
}

func TestWaitEndsWithTheLot(t *testing.T) {
	lot, end := open(t)
	near, _ := pair(t)
	woken := make(chan struct{})
	ticket := lot.Wait(near, time.Minute, func() { close(woken) })
	end()
	<-woken
	ticket.Wake()
	if lot.Wait(near, time.Minute, func() { t.Error("woken") }) != nil {
		t.Error("somebody was taken in after the end")
	}
}

func TestClosedSocketsDoNotWait(t *testing.T) {
	lot, _ := open(t)
	near, _ := pair(t)
	near.Close()
	if lot.Wait(near, time.Minute, func() { t.Error("woken") }) != nil {
		t.Error("it was taken in")
	}
	// Closed while it waits, it is not told of; Wake ends the wait.
	near, _ = pair(t)
	woken := make(chan struct{})
	ticket := lot.Wait(near, time.Minute, func() { close(woken) })
	near.Close()
	ticket.Wake()
	<-woken
}
