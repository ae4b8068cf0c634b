package proxy

import (
	"sync/atomic"
	"time"
)

// Metrics are one listener's counts, by what CloudWatch's AWS/ApplicationELB
// namespace calls them. They only grow, but for Active ones.
type Metrics struct {
	Connections atomic.Uint64    // NewConnectionCount
	Requests    atomic.Uint64    // RequestCount
	Panics      atomic.Uint64    // connections that a mistake of ours ended
	Tunnels     atomic.Int64     // open now
	Received    atomic.Uint64    // bytes from clients
	Sent        atomic.Uint64    // bytes to clients
	Answers     [6]atomic.Uint64 // by the hundreds of the status that the client got
	OwnAnswers  [6]atomic.Uint64 // of those, the ones that no target gave: HTTPCode_ELB_*
	Targets     [6]atomic.Uint64 // by what targets answered: HTTPCode_Target_*
	Latency     Histogram        // TargetResponseTime
}

// LatencyBounds are the upper bounds of Histogram's buckets, in seconds.
var LatencyBounds = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// Histogram counts durations in the buckets of LatencyBounds and one above.
type Histogram struct {
	Buckets [len(LatencyBounds) + 1]atomic.Uint64 // not cumulative
	Micros  atomic.Uint64                         // sum, in microseconds
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	h.Micros.Add(uint64(d.Microseconds()))
	seconds := d.Seconds()
	for i, bound := range LatencyBounds {
		if seconds <= bound {
			h.Buckets[i].Add(1)
			return
		}
	}
	h.Buckets[len(LatencyBounds)].Add(1)
}

// class is the index of a status in the arrays by hundreds; 0 when it is none.
func class(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}
