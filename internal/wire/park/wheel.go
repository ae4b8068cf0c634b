package park

import "time"

// A wheel finds out whose time is over, without a timer for each. Time is
// counted in ticks; who is due later than a turn of the wheel is looked at once
// a turn. Nobody is moved when his time is extended: he is asked when it is over.
type wheel struct {
	spokes [spokes][]place
	at     int64 // the tick up to which it has turned
	count  int
}

const (
	spokes = 256
	tick   = 250 * time.Millisecond
)

// place says where somebody is parked, and that it is still he.
type place struct {
	slot, number uint32
}

// add puts p where it is found once due has passed, at the next tick at the
// earliest. The time is since an epoch of the caller's.
func (w *wheel) add(p place, due time.Duration) {
	at := int64((due + tick - 1) / tick)
	at = min(max(at, w.at+1), w.at+spokes)
	w.spokes[at%spokes] = append(w.spokes[at%spokes], p)
	w.count++
}

// turn appends to late all that stood at the ticks until now. They are no longer
// in the wheel.
func (w *wheel) turn(now time.Duration, late []place) []place {
	end := int64(now / tick)
	for range min(end-w.at, spokes) {
		w.at++
		spoke := &w.spokes[w.at%spokes]
		late = append(late, *spoke...)
		w.count -= len(*spoke)
		if cap(*spoke) > 64 {
			*spoke = nil
		} else {
			*spoke = (*spoke)[:0]
		}
	}
	w.at = max(w.at, end)
	return late
}
