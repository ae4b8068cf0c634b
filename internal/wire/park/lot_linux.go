package park

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Lot is where connections wait. Its methods may be called from anywhere. It
// takes nobody in before Run and after it.
type Lot struct {
	next  atomic.Uint32 // the row whose turn it is to take somebody in
	tasks sync.WaitGroup

	mu   sync.RWMutex // guards rows
	rows []*row       // while Run runs
}

// NewLot makes a Lot.
func NewLot() *Lot { return &Lot{} }

// Run looks after who is parked until ctx ends. Whoever is parked then is woken,
// and tunnels are ended. It returns when all of those have ended.
func (l *Lot) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var rows []*row
	var err error
	for range runtime.GOMAXPROCS(0) {
		r, failed := openRow(l)
		if failed != nil {
			err = failed
			break
		}
		rows = append(rows, r)
	}
	var running sync.WaitGroup
	var first sync.Once
	if err == nil {
		for _, r := range rows {
			running.Go(func() {
				if failed := r.run(ctx); failed != nil {
					first.Do(func() { err = failed })
					cancel()
				}
			})
		}
		l.set(rows)
	}
	running.Wait()
	l.set(nil)
	for _, r := range rows {
		r.close()
	}
	l.tasks.Wait()
	return err
}

func (l *Lot) set(rows []*row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = rows
}

// row chooses where to park, nil when there is no place.
func (l *Lot) row() *row {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.rows) == 0 {
		return nil
	}
	return l.rows[l.next.Add(1)%uint32(len(l.rows))]
}

// Ticket is for somebody who waits.
type Ticket struct {
	row    *row
	place  place
	socket syscall.RawConn
	wake   func()
	due    time.Duration
}

// Wait watches an idle connection, and calls wake once, on a goroutine of its
// own that Run waits for, when the other side says something or ends it, when the
// time is over, or after Wake. The connection must not be used before. Wait
// returns nil when nobody can be taken in; then the caller has to wait by itself.
func (l *Lot) Wait(s *Socket, limit time.Duration, wake func()) *Ticket {
	r := l.row()
	if r == nil {
		return nil
	}
	socket, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	t := &Ticket{row: r, socket: socket, wake: wake, due: r.since() + limit}
	if !r.enter(t, &t.place, func(p place) error {
		var failed error
		err := socket.Control(func(fd uintptr) { failed = r.watch(int(fd), p, 0, wantWord) })
		return errors.Join(err, failed)
	}) {
		return nil
	}
	return t
}

// Wake ends the wait, from anywhere. It has no effect on one that has ended.
func (t *Ticket) Wake() { t.leave() }

// leave ends the wait, for the first who calls it.
func (t *Ticket) leave() {
	t.row.leave(t.place, t.forget, t.wake)
}

func (t *Ticket) forget() {
	// Closed in the meantime, it is no longer watched either.
	_ = t.socket.Control(func(fd uintptr) { t.row.forget(int(fd)) })
}

func (t *Ticket) ready(int, uint32)    { t.leave() }
func (t *Ticket) until() time.Duration { return t.due }
func (t *Ticket) expire()              { t.leave() }
func (t *Ticket) evict()               { t.leave() }
