package h2

import (
	"sync"
	"time"
)

// crew is the goroutines that answer the requests of all connections, one after
// the other. A new one for each request would have to grow its stack anew each
// time, which took a tenth of what a request takes in all; and whoever was busy
// last is the next one, since what it needs is still in the processor's caches.
type crew struct {
	mu       sync.Mutex // guards all that follows
	conns    int        // that may have requests
	spare    []*worker  // who wait for one, the latest last
	unneeded int        // the smallest number of spare since the last look
	looking  bool       // timer will fire
	timer    *time.Timer
}

// worker is one of them.
type worker struct {
	next chan task     // has room for one
	done chan struct{} // closed when it has gone home
}

// task is a request to be answered; the zero task is the end of work.
type task struct {
	c *Conn
	s *Stream
}

const (
	spareMost = 1024        // workers that wait for a request
	lookEvery = time.Second // how often those are sent home that were not needed
)

// enter counts a connection whose requests are to be answered.
func (w *crew) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns++
}

// leave takes a connection back that has no requests any more. With the last one
// everybody goes home.
func (w *crew) leave() {
	w.mu.Lock()
	w.conns--
	var idle []*worker
	if w.conns == 0 {
		idle, w.spare, w.unneeded = w.spare, nil, 0
		if w.timer != nil {
			w.timer.Stop()
			w.looking = false
		}
	}
	w.mu.Unlock()
	dismiss(idle)
}

func dismiss(idle []*worker) {
	for _, one := range idle {
		close(one.next)
		<-one.done
	}
}

// hand gives a request to whoever waits for one. The connection waits for its
// requests by its own count.
func (w *crew) hand(t task) {
	t.c.underWay.Add(1)
	w.mu.Lock()
	var one *worker
	if last := len(w.spare) - 1; last >= 0 {
		one = w.spare[last]
		w.spare[last], w.spare = nil, w.spare[:last]
		w.unneeded = min(w.unneeded, last)
	}
	w.mu.Unlock()
	if one != nil {
		one.next <- t
		return
	}
	one = &worker{next: make(chan task, 1), done: make(chan struct{})}
	go w.work(one, t) // ends when it is dismissed, or is one too many
}

// work is the life of a worker.
func (w *crew) work(one *worker, t task) {
	defer close(one.done)
	for t.c != nil {
		t.c.cfg.Handler(t.s)
		t.c.finish(t.s)
		kept := w.keep(one)
		t.c.underWay.Done()
		if !kept {
			return
		}
		t = <-one.next
	}
}

// keep puts a worker among those who wait. False: it is one too many.
func (w *crew) keep(one *worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.spare) >= spareMost {
		return false
	}
	w.spare = append(w.spare, one)
	if !w.looking {
		w.looking = true
		if w.timer == nil {
			w.timer = time.AfterFunc(lookEvery, w.look)
		} else {
			w.timer.Reset(lookEvery)
		}
	}
	return true
}

// look sends those home who were not needed since the last time.
func (w *crew) look() {
	w.mu.Lock()
	idle := append([]*worker(nil), w.spare[:min(w.unneeded, len(w.spare))]...)
	w.spare = append(w.spare[:0:0], w.spare[len(idle):]...)
	w.unneeded = len(w.spare)
	if w.looking = w.unneeded > 0; w.looking {
		w.timer.Reset(lookEvery)
	}
	w.mu.Unlock()
	dismiss(idle)
}
