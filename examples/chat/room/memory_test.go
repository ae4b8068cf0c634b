package room_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion/examples/chat/room"
)

// A message that is sent twice is said once, within two minutes.
func TestMemoryLogKnowsARepetition(t *testing.T) {
	now := time.Unix(1000, 0)
	l := room.NewMemoryLog(func() time.Time { return now })
	for _, seconds := range []int{0, 1, 118, 2, 1} { // the fourth comes at 121 s, the fifth a second later
		now = now.Add(time.Duration(seconds) * time.Second)
		if err := l.Append(t.Context(), "lobby", "once", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	if err := l.Follow(ctx, func(room.Entry) { n++ }, cancel); err != nil || n != 2 {
		t.Errorf("%d entries, %v; want 2", n, err)
	}
}

// All followers see all entries in one order, however slow they are.
func TestMemoryLogLosesNothingToASlowFollower(t *testing.T) {
	const total = 5000 // several times what may wait
	l := room.NewMemoryLog(time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ready, followers, writers sync.WaitGroup
	gate := make(chan struct{})
	seen := make([][]uint64, 3)
	ready.Add(len(seen))
	for i := range seen {
		followers.Go(func() {
			mine, stop := context.WithCancel(ctx)
			defer stop()
			err := l.Follow(mine, func(e room.Entry) {
				if i == 0 {
					<-gate
				}
				if seen[i] = append(seen[i], e.ID); len(seen[i]) == total {
					stop()
				}
			}, ready.Done)
			if err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	for w := range 5 {
		writers.Go(func() {
			for range total / 5 {
				if err := l.Append(ctx, fmt.Sprint("r", w), "", []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(gate)
	writers.Wait()
	followers.Wait()
	for i := range seen {
		if len(seen[i]) != total {
			t.Fatalf("follower %d saw %d of %d", i, len(seen[i]), total)
		}
		for j := 1; j < total; j++ {
			if seen[i][j] != seen[i][j-1]+1 {
				t.Fatalf("follower %d saw %d after %d", i, seen[i][j], seen[i][j-1])
			}
		}
	}
}
