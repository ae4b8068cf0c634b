package room

import (
	"bytes"
	"context"
	"sync"
	"time"
)

const (
	onceWindow   = 2 * time.Minute // as Log promises
	retained     = 1024            // entries kept for a follower that comes late
	followerRoom = 1024            // deliveries that may wait for a slow follower
)

// feed hands every published value to every follower, in order. A follower
// that is followerRoom behind holds up whoever publishes: nothing is dropped.
type feed[T any] struct {
	followers map[*follower[T]]struct{}
}

type follower[T any] struct {
	values chan T
	done   chan struct{} // closed when the follower has left
}

func (f *feed[T]) add() *follower[T] {
	if f.followers == nil {
		f.followers = make(map[*follower[T]]struct{})
	}
	w := &follower[T]{values: make(chan T, followerRoom), done: make(chan struct{})}
	f.followers[w] = struct{}{}
	return w
}

func (f *feed[T]) publish(v T) {
	for w := range f.followers {
		select {
		case w.values <- v:
		case <-w.done:
			delete(f.followers, w)
		}
	}
}

// run delivers the backlog and then what is published, until ctx ends.
func (w *follower[T]) run(ctx context.Context, backlog []T, deliver func(T), ready func()) {
	defer close(w.done)
	for _, v := range backlog {
		deliver(v)
	}
	ready()
	for {
		select {
		case v := <-w.values:
			deliver(v)
		case <-ctx.Done():
			return
		}
	}
}

// memoryLog is the Log of a server that stands alone.
type memoryLog struct {
	now func() time.Time

	mu      sync.Mutex // guards all below; held while publishing, so that all followers see one order
	last    uint64
	entries []Entry
	once    map[string]time.Time
	feed    feed[Entry]
}

// NewMemoryLog returns a Log that lives in this process; several servers of
// one process may share it. Its IDs begin at the present time, so that a page
// that outlived a restart never takes new messages for old ones.
func NewMemoryLog(now func() time.Time) Log {
	return &memoryLog{now: now, once: make(map[string]time.Time), last: uint64(now().UnixMilli()) * 1000}
}

func (l *memoryLog) Append(ctx context.Context, topic, once string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if once != "" {
		if at, ok := l.once[once]; ok && now.Sub(at) < onceWindow {
			return nil
		}
		l.once[once] = now
		l.forget(now)
	}
	l.last++
	e := Entry{ID: l.last, Time: now, Topic: topic, Data: bytes.Clone(data)}
	l.entries = append(l.entries, e)
	if len(l.entries) >= 2*retained {
		l.entries = append([]Entry(nil), l.entries[len(l.entries)-retained:]...)
	}
	l.feed.publish(e)
	return nil
}

// forget drops what is older than the window, now and then: the map holds at
// most what two minutes of allowed posts bring, twice.
func (l *memoryLog) forget(now time.Time) {
	if len(l.once)%1024 != 0 {
		return
	}
	for k, at := range l.once {
		if now.Sub(at) >= onceWindow {
			delete(l.once, k)
		}
	}
}

func (l *memoryLog) Follow(ctx context.Context, deliver func(Entry), ready func()) error {
	l.mu.Lock()
	backlog := append([]Entry(nil), l.entries...)
	w := l.feed.add()
	l.mu.Unlock()
	w.run(ctx, backlog, deliver, ready)
	return nil
}

// memoryTable is the Table of a server that stands alone.
type memoryTable struct {
	mu   sync.Mutex // guards all below; held while publishing, as in memoryLog
	rev  uint64
	rows map[string]Row
	feed feed[Row]
}

// NewMemoryTable returns a Table that lives in this process; several servers
// of one process may share it.
func NewMemoryTable() Table {
	return &memoryTable{rows: make(map[string]Row)}
}

func (t *memoryTable) Put(ctx context.Context, r Row) (Row, error) {
	if err := ctx.Err(); err != nil {
		return Row{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	stands, ok := t.rows[r.Key]
	if !ok {
		stands = Row{Key: r.Key}
	}
	if stands.Rev != r.Rev {
		return stands, ErrConflict
	}
	t.rev++
	r.Rev = t.rev
	if r.Data == nil {
		delete(t.rows, r.Key)
	} else {
		t.rows[r.Key] = r
	}
	t.feed.publish(r)
	return r, nil
}

func (t *memoryTable) Follow(ctx context.Context, deliver func(Row), ready func()) error {
	t.mu.Lock()
	backlog := make([]Row, 0, len(t.rows))
	for _, r := range t.rows {
		backlog = append(backlog, r)
	}
	w := t.feed.add()
	t.mu.Unlock()
	w.run(ctx, backlog, deliver, ready)
	return nil
}
