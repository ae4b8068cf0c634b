package target_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/target"
)

// TestWorkIsWhatItsStepsSay compares with the obvious: a number and two claims.
func TestWorkIsWhatItsStepsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			w               target.Work
			count           uint64
			draining, ended bool
		)
		same := func(step string, got, want bool) {
			if got != want {
				t.Fatalf("%s: %v, want %v, with %d in flight, draining %v, ended %v", step, got, want, count, draining, ended)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(*rapid.T) {
				want := !draining && !ended
				same("begin", w.Begin(), want)
				if want {
					count++
				}
			},
			"join": func(*rapid.T) {
				want := count > 0 && !ended
				same("join", w.Join(), want)
				if want {
					count++
				}
			},
			"finish": func(*rapid.T) {
				if count == 0 {
					return
				}
				count--
				same("finish", w.Finish(), draining && !ended && count == 0)
			},
			"drain": func(*rapid.T) { w.Drain(); draining = true },
			"revive": func(*rapid.T) {
				same("revive", w.Revive(), !ended)
				draining = draining && ended
			},
			"end": func(*rapid.T) {
				want := draining && !ended && count == 0
				same("end", w.End(), want)
				ended = ended || want
			},
			"expire": func(*rapid.T) { w.Expire(); draining, ended = true, true },
			"": func(*rapid.T) {
				if w.Count() != count {
					t.Fatalf("%d in flight, want %d", w.Count(), count)
				}
			},
		})
	})
}
