package park_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire/park"
)

// Nobody is missed and nobody is looked at early: who is due within a turn is
// found at the first tick that is not before, and all others once a turn.
func TestWheelFindsWhoIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w park.Wheel
		due, added := map[uint32]time.Duration{}, map[uint32]time.Duration{}
		now := time.Duration(0)
		for n := range uint32(rapid.IntRange(1, 200).Draw(t, "steps")) {
			if rapid.Bool().Draw(t, "add") {
				due[n] = now + time.Duration(rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "due"))
				added[n] = now
				w.Add(n, due[n])
				continue
			}
			now += time.Duration(rapid.Int64Range(0, int64(40*time.Second)).Draw(t, "passes"))
			for _, late := range w.Turn(now) {
				d, known := due[late]
				if !known {
					t.Fatalf("%d is found twice", late)
				}
				delete(due, late)
				if now < d && now < added[late]+255*park.Tick {
					t.Fatalf("found at %v, due at %v", now, d)
				}
			}
			for n, d := range due {
				if now-d >= park.Tick && now-added[n] >= park.Tick {
					t.Fatalf("%d, due at %v and there since %v, is not found at %v", n, d, added[n], now)
				}
			}
			if w.Count() != len(due) {
				t.Fatalf("counts %d of %d", w.Count(), len(due))
			}
		}
	})
}
