package park

import "time"

// Tick is how coarse time is here.
const Tick = tick

// Wheel is for tests of the wheel alone.
type Wheel struct{ w wheel }

// Add puts number n where it is due.
func (w *Wheel) Add(n uint32, due time.Duration) { w.w.add(place{slot: n}, due) }

// Turn returns who stood at the ticks until now.
func (w *Wheel) Turn(now time.Duration) (late []uint32) {
	for _, p := range w.w.turn(now, nil) {
		late = append(late, p.slot)
	}
	return late
}

// Count is how many are in the wheel.
func (w *Wheel) Count() int { return w.w.count }
