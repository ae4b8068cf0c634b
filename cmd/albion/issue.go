package main

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme"
)

// served knows which version of the State the data plane serves.
type served struct {
	mu      sync.Mutex // guards what follows
	version uint64
	changed chan struct{} // closed at the next change; nil: nobody waits
}

func (v *served) set(version uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.version = version
	if v.changed != nil {
		close(v.changed)
		v.changed = nil
	}
}

// wait returns when a version, or a newer one, is served.
func (v *served) wait(ctx context.Context, version uint64) error {
	for {
		v.mu.Lock()
		if v.version >= version {
			v.mu.Unlock()
			return nil
		}
		if v.changed == nil {
			v.changed = make(chan struct{})
		}
		changed := v.changed
		v.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// changes returns a channel that receives after the State has changed; end waits
// for what feeds it, once ctx has ended.
func (s *server) changes(ctx context.Context) (changed <-chan struct{}, end func()) {
	out := make(chan struct{}, 1)
	var watch sync.WaitGroup
	watch.Go(func() {
		for range s.store.Watch(ctx) {
			select {
			case out <- struct{}{}:
			default:
			}
		}
	})
	return out, watch.Wait
}

// newManager makes who obtains and renews the certificates of CAs.
func (s *server) newManager() *acm.Manager {
	return &acm.Manager{
		State: s.store.State, Update: s.store.Update, Live: s.served.wait, Solver: s.solver, Keeps: s.keeps,
		CA:  acme.Config{UserAgent: "albion/" + version()},
		Now: time.Now, After: time.After, Rand: rand.Reader, Log: s.log,
	}
}

// issue obtains and renews the certificates of CAs.
func (s *server) issue(ctx context.Context) error {
	changed, end := s.changes(ctx)
	defer end()
	s.manager.Changed = changed
	defer s.solvers.Wait()
	return s.manager.Run(ctx)
}
