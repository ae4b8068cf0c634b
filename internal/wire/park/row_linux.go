package park

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// row is one epoll set and the goroutine that looks after it.
type row struct {
	lot   *Lot
	set   *os.File // the epoll set, itself watched by the runtime's poller
	fd    int
	epoch time.Time

	// The goroutine's own.
	events [128]syscall.EpollEvent
	now    time.Duration // since epoch, as of the last look at the set
	queue  []*tunnel     // that have more to do than one turn allows
	spare  []*tunnel
	late   []place
	buf    []byte // what tunnels read into

	mu     sync.Mutex // guards what follows
	closed bool
	slots  []slot
	free   []uint32
	wheel  wheel
	due    time.Duration // of the next tick, when there is one
}

// slot is where one is parked.
type slot struct {
	who    occupant
	number uint32 // of the one who is or was here
}

// occupant is somebody who is parked. All is called by the row's goroutine,
// which must not be kept waiting, and possibly once more after he has left.
type occupant interface {
	ready(side int, events uint32)
	until() time.Duration // when his time is over, since the row's epoch
	expire()
	evict()
}

// What to be told of a descriptor, by epoll_ctl(2). In a tunnel every change is
// told once, for as long as it lasts; who waits is told of the first one.
const (
	edgeTriggered = 1 << 31
	wantWord      = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT
	wantChanges   = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered

	canRead  = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	isEnding = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
)

func openRow(l *Lot) (*row, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("park: epoll_create1: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or os would not have it watched
		syscall.Close(fd)
		return nil, fmt.Errorf("park: fcntl: %w", err)
	}
	return &row{
		lot: l, set: os.NewFile(uintptr(fd), "epoll"), fd: fd, epoch: time.Now(), buf: make([]byte, readSize),
	}, nil
}

func (r *row) since() time.Duration { return time.Since(r.epoch) }

// run looks after the row until ctx ends.
//
// The runtime's poller says when the set has something to tell. It is asked only
// between calls of look, and remembers what comes meanwhile.
func (r *row) run(ctx context.Context) error {
	raw, err := r.set.SyscallConn()
	if err != nil {
		return fmt.Errorf("park: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { r.set.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		r.turnWheel()
		if ctx.Err() != nil { // after the deadline has been set for the last time
			r.evictAll()
			return nil
		}
		err := raw.Read(r.look)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			r.evictAll()
			return fmt.Errorf("park: %w", err)
		}
	}
}

func (r *row) close() { r.set.Close() }

// look does all that there is to do. True: the wheel has to be turned.
func (r *row) look(uintptr) bool {
	for {
		n := r.poll()
		r.now = r.since()
		for i := range r.events[:n] {
			e := &r.events[i]
			slot := uint32(e.Fd)
			if who := r.at(place{slot: slot >> 1, number: uint32(e.Pad)}); who != nil {
				who.ready(int(slot&1), e.Events)
			}
		}
		busy := r.queue
		r.queue, r.spare = r.spare[:0], busy
		for i, t := range busy {
			busy[i] = nil
			t.queued = false
			t.turn()
		}
		if r.isDue() {
			return true
		}
		if n < len(r.events) && len(r.queue) == 0 {
			return false
		}
	}
}

// poll asks the set what is new, without waiting.
func (r *row) poll() int {
	n, err := syscall.EpollWait(r.fd, r.events[:], 0)
	if err != nil { // EINTR: the next time then
		return 0
	}
	return n
}

func (r *row) isDue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wheel.count > 0 && r.now >= r.due
}

// turnWheel ends what is over, and has the goroutine woken for the next tick, if
// there is anything to look after.
func (r *row) turnWheel() {
	r.now = r.since()
	r.mu.Lock()
	r.late = r.wheel.turn(r.now, r.late[:0])
	r.mu.Unlock()
	for _, p := range r.late {
		who := r.at(p)
		if who == nil {
			continue
		}
		if due := who.until(); due > r.now {
			r.mu.Lock()
			r.wheel.add(p, due)
			r.mu.Unlock()
			continue
		}
		who.expire()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setDue()
}

// setDue has the goroutine woken for the next tick. mu is held.
func (r *row) setDue() {
	if r.wheel.count == 0 {
		r.set.SetReadDeadline(time.Time{})
		return
	}
	r.due = time.Duration(r.wheel.at+1) * tick
	r.set.SetReadDeadline(r.epoch.Add(r.due))
}

// enter gives who a place, and lets watch have him watched there. False: it
// could not be done, or the row is closed.
func (r *row) enter(who occupant, where *place, watch func(place) error) bool {
	r.mu.Lock() // held for all of it: nobody is told of before he has entered
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if len(r.free) == 0 {
		r.slots = append(r.slots, slot{})
		r.free = append(r.free, uint32(len(r.slots)-1))
	}
	p := place{slot: r.free[len(r.free)-1]}
	s := &r.slots[p.slot]
	s.number++
	p.number = s.number
	*where = p
	if watch(p) != nil {
		return false
	}
	r.free = r.free[:len(r.free)-1]
	s.who = who
	if r.wheel.count == 0 {
		r.wheel.at = int64(r.since() / tick)
	}
	r.wheel.add(p, who.until())
	if r.wheel.count == 1 {
		r.setDue()
	}
	return true
}

// at is who stands there, nil when he has left.
func (r *row) at(p place) occupant {
	r.mu.Lock()
	defer r.mu.Unlock()
	if int(p.slot) >= len(r.slots) || r.slots[p.slot].number != p.number {
		return nil
	}
	return r.slots[p.slot].who
}

// leave frees a place, undoes the watching, and lets who was there go on by then,
// unless he has left before.
func (r *row) leave(p place, undo, then func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.slots[p.slot]
	if s.number != p.number || s.who == nil {
		return
	}
	s.who = nil
	r.free = append(r.free, p.slot)
	undo()
	r.lot.tasks.Go(then) // before Run can wait for tasks: evictAll needs mu
}

// evictAll lets nobody in any more, and everybody out.
func (r *row) evictAll() {
	r.mu.Lock()
	r.closed = true
	var all []occupant
	for i := range r.slots {
		if who := r.slots[i].who; who != nil {
			all = append(all, who)
		}
	}
	r.mu.Unlock()
	for _, who := range all {
		who.evict()
	}
}

// watch adds a descriptor to the set.
func (r *row) watch(fd int, p place, side uint32, events uint32) error {
	e := syscall.EpollEvent{Events: events, Fd: int32(p.slot<<1 | side), Pad: int32(p.number)}
	return syscall.EpollCtl(r.fd, syscall.EPOLL_CTL_ADD, fd, &e)
}

// forget takes a descriptor out of the set.
func (r *row) forget(fd int) {
	_ = syscall.EpollCtl(r.fd, syscall.EPOLL_CTL_DEL, fd, &syscall.EpollEvent{})
}
