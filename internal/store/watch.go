package store

import (
	"context"
	"iter"

	"github.com/albion-lb/albion"
)

// published is a State and the news of its end. The two change together, so
// they are one pointer.
type published struct {
	state      *albion.State
	superseded chan struct{} // closed when there is a newer one
}

func (s *Store) publish(next *albion.State) {
	old := s.now.Swap(&published{state: next, superseded: make(chan struct{})})
	close(old.superseded)
}

// Watch yields the State as it is, then each newer one, until ctx ends or the
// store is closed. It never holds a writer up: who is slow misses the States in
// between and never the newest, also when the store is closed meanwhile. Every
// range over it watches on its own.
func (s *Store) Watch(ctx context.Context) iter.Seq[*albion.State] {
	return func(yield func(*albion.State) bool) {
		for {
			p := s.now.Load()
			if !yield(p.state) {
				return
			}
			select {
			case <-p.superseded:
			case <-s.closed:
			case <-ctx.Done():
			}
			if ctx.Err() != nil || s.now.Load() == p {
				return
			}
		}
	}
}
