package h2

import "time"

// worker is a goroutine that answers one request after the other. One that waits
// for the next costs a few kilobytes for a moment; a new one for each request
// would have to grow its stack anew each time, which took a tenth of the whole
// time that a request took.
type worker struct{ next chan *Stream }

const (
	spareMost = 16          // workers of a connection that wait for a request
	spareTime = time.Second // after so long, or a little more, none does
)

// hand gives a request to a worker. With mu held, as all below but answer.
func (c *Conn) hand(s *Stream) {
	if last := len(c.spare) - 1; last >= 0 {
		w := c.spare[last]
		c.spare[last], c.spare = nil, c.spare[:last]
		c.useful = true
		w.next <- s // there is room for one
		return
	}
	w := &worker{next: make(chan *Stream, 1)}
	c.workers.Go(func() { c.answer(s, w) }) // end waits for workers
}

// answer is the life of a worker.
func (c *Conn) answer(s *Stream, w *worker) {
	for s != nil {
		c.cfg.Handler(s)
		if !c.finish(s, w) {
			return
		}
		s = <-w.next
	}
}

// keep puts a worker among those that wait. False: it is one too many.
func (c *Conn) keep(w *worker) bool {
	if c.closing || len(c.spare) >= spareMost {
		return false
	}
	c.spare = append(c.spare, w)
	if !c.trims {
		c.trims = true
		if c.trimming == nil {
			c.trimming = time.AfterFunc(spareTime, c.trim)
		} else {
			c.trimming.Reset(spareTime)
		}
	}
	return true
}

// trim sends workers home that nobody has needed for a while. Takes mu.
func (c *Conn) trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.useful {
		c.dismiss()
	}
	c.useful = false
	if c.trims = len(c.spare) > 0; c.trims {
		c.trimming.Reset(spareTime)
	}
}

// dismiss ends all workers that wait.
func (c *Conn) dismiss() {
	for i, w := range c.spare {
		close(w.next)
		c.spare[i] = nil
	}
	c.spare = c.spare[:0]
	if c.closing && c.trimming != nil {
		c.trimming.Stop()
	}
}
