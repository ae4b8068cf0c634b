package store_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/albion-lb/albion"
)

func TestWatchYieldsWhatIsAndWhatComes(t *testing.T) {
	s := open(t, t.TempDir())
	var versions []uint64
	for state := range s.Watch(t.Context()) {
		versions = append(versions, state.Version)
		if state.Version == 3 {
			break
		}
		update(t, s, func(d *albion.Draft) { albion.Put(d, group(int(state.Version), 1)) })
	}
	if len(versions) != 4 || versions[0] != 0 || versions[3] != 3 {
		t.Errorf("saw %v", versions)
	}
}

func TestWatchMissesWhatIsBetweenAndNeverTheNewest(t *testing.T) {
	s := open(t, t.TempDir())
	var versions []uint64
	for state := range s.Watch(t.Context()) {
		versions = append(versions, state.Version)
		if len(versions) == 1 {
			for n := range 5 {
				update(t, s, func(d *albion.Draft) { albion.Put(d, group(n, 1)) })
			}
			closeStore(t, s) // also when this comes at once
		}
	}
	if len(versions) != 2 || versions[1] != 5 {
		t.Errorf("saw %v, want 0 and 5", versions)
	}
}

func TestEveryWatchEndsWithItsContextOrTheStore(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		ended := map[string]int{}
		for name, of := range map[string]context.Context{"context": ctx, "store": t.Context()} {
			for range 3 {
				go func() {
					for range s.Watch(of) {
					}
					mu.Lock()
					defer mu.Unlock()
					ended[name]++
				}()
			}
		}
		check := func(contexts, stores int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if ended["context"] != contexts || ended["store"] != stores {
				t.Errorf("ended: %v", ended)
			}
		}
		check(0, 0)
		cancel()
		check(3, 0)
		closeStore(t, s)
		check(3, 3)
	})
}

func TestWatchersSeeVersionsInOrderWhileOthersWrite(t *testing.T) {
	s := open(t, t.TempDir())
	const updates = 30
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var last uint64
			for state := range s.Watch(t.Context()) {
				if state.Version < last {
					t.Errorf("%d after %d", state.Version, last)
				}
				if last = state.Version; last == updates {
					return
				}
			}
		})
	}
	for n := range updates {
		update(t, s, func(d *albion.Draft) { albion.Put(d, group(n, 1)) })
	}
	wg.Wait()
}
