package h2

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// In any stretch of time no more is spent than the burst, what the rate brings
// and what was granted; and what keeps to the rate is always allowed.
func TestPropertyBudgets(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		burst, rate := rapid.Float64Range(1, 100).Draw(r, "burst"), rapid.Float64Range(1, 1000).Draw(r, "rate")
		now := time.Unix(1_000_000, 0)
		began := now
		b := budget{burst: burst, rate: rate, at: now}
		spent, granted := 0.0, 0.0
		for range rapid.IntRange(1, 300).Draw(r, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(r, "ms")) * time.Millisecond)
			if rapid.IntRange(0, 9).Draw(r, "grant") == 0 {
				b.grant(1)
				granted++
			}
			if !b.spend(now) {
				break // the connection ends
			}
			if spent++; spent > burst+rate*now.Sub(began).Seconds()+granted+1e-6 {
				r.Fatalf("spent %v in %v", spent, now.Sub(began))
			}
		}
		calm := budget{burst: burst, rate: rate, at: began}
		for i := range 200 {
			at := began.Add(time.Duration(float64(i) / rate * 1.001 * float64(time.Second)))
			if !calm.spend(at) {
				r.Fatalf("the rate was kept, and %d refused", i)
			}
		}
	})
}

func TestThePastIsRemembered(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var p past
		ids := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 1<<30-1), 1, 100, rapid.ID).Draw(r, "halves")
		model := map[uint32]ending{}
		for _, half := range ids {
			id := half<<1 | 1
			how := ending(rapid.IntRange(1, 3).Draw(r, "how"))
			p.add(id, how)
			for other := range model {
				if (other>>1)%remembered == half%remembered {
					delete(model, other)
				}
			}
			model[id] = how
		}
		for _, half := range ids {
			id := half<<1 | 1
			if got := p.of(id); got != model[id] {
				r.Fatalf("stream %d: %v, want %v", id, got, model[id])
			}
		}
		if p.of(1<<31-1) != model[1<<31-1] {
			r.Fatal("an id that was never added")
		}
	})
}
