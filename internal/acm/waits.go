package acm

import (
	"slices"
	"sync"

	"github.com/albion-lb/albion"
)

// board is what attempts wait for: seen, not stored. The zero value is empty.
type board struct {
	mu     sync.Mutex // guards what follows
	wanted map[albion.ARN][]albion.Wanted
	people map[albion.ARN]bool // attempts that wait for a person
	turned chan struct{}
}

// listen returns a channel that receives after the number of those who wait for a
// person has changed.
func (b *board) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted, b.people = map[albion.ARN][]albion.Wanted{}, map[albion.ARN]bool{}
	b.turned = make(chan struct{}, 1)
	return b.turned
}

// begin says that an attempt waits for a person, who is not to keep others from
// being made; end that it does not any more.
func (b *board) begin(arn albion.ARN) { b.turn(func() { b.people[arn] = true }) }

func (b *board) end(arn albion.ARN) {
	b.turn(func() {
		delete(b.people, arn)
		delete(b.wanted, arn)
	})
}

func (b *board) turn(change func()) {
	b.mu.Lock()
	change()
	turned := b.turned
	b.mu.Unlock()
	select {
	case turned <- struct{}{}:
	default:
	}
}

func (b *board) set(arn albion.ARN, all []albion.Wanted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wanted != nil {
		b.wanted[arn] = all
	}
}

func (b *board) of(arn albion.ARN) []albion.Wanted {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wanted[arn])
}

func (b *board) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.people)
}

// Wanted lists the DNS records that the order of a certificate waits for at this
// moment, and where they are seen.
func (m *Manager) Wanted(certificate albion.ARN) []albion.Wanted { return m.waits.of(certificate) }
