package target

import "sync/atomic"

// work counts what a target has in flight, and decides in the same word whether
// it takes more, so that no lease can slip past the end of a drain.
type work struct {
	word atomic.Uint64 // a count in the low half, draining and ended above
}

const (
	counted  = 1<<32 - 1
	draining = 1 << 32 // no new work
	ended    = 1 << 33 // no work at all, for ever
)

// begin counts one more, unless the target drains.
func (w *work) begin() bool {
	for {
		word := w.word.Load()
		if word&(draining|ended) != 0 {
			return false
		}
		if w.word.CompareAndSwap(word, word+1) {
			return true
		}
	}
}

// join counts one more beside others in flight, also while the target drains,
// but not once it has ended.
func (w *work) join() bool {
	for {
		word := w.word.Load()
		if word&ended != 0 || word&counted == 0 {
			return false
		}
		if w.word.CompareAndSwap(word, word+1) {
			return true
		}
	}
}

// finish counts one less and says whether that was the last of a drain.
func (w *work) finish() (last bool) {
	return w.word.Add(^uint64(0)) == draining
}

// drain refuses new work from here on.
func (w *work) drain() { w.word.Or(draining) }

// revive takes new work again, unless the target has ended.
func (w *work) revive() bool {
	for {
		word := w.word.Load()
		if word&ended != 0 {
			return false
		}
		if w.word.CompareAndSwap(word, word&^draining) {
			return true
		}
	}
}

// end ends a drain of which nothing is left, once.
func (w *work) end() bool { return w.word.CompareAndSwap(draining, draining|ended) }

// expire ends a drain whatever is left.
func (w *work) expire() { w.word.Or(draining | ended) }

func (w *work) count() uint64 { return w.word.Load() & counted }

// drains says whether new work is refused while what there is may go on.
func (w *work) drains() bool { return w.word.Load()&(draining|ended) == draining }
