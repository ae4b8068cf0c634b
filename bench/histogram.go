package main

import (
	"math/bits"
	"time"
)

// fine is how many buckets there are between a power of two and the next one:
// durations are kept to within 1/32, about 3 %.
const fine = 32

// histogram counts durations. It grows with nothing, so a run may be as long as
// it likes.
type histogram struct {
	counts [64 * fine]uint32
	total  uint64
}

// bucketOf is the bucket of a duration, in nanoseconds; negative ones count as 0.
func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < fine {
		return int(n)
	}
	shift := bits.Len64(n) - 6 // leaves fine..2*fine-1
	return (shift+1)*fine + int(n>>shift) - fine
}

// valueOf is the lower bound of a bucket.
func valueOf(bucket int) time.Duration {
	if bucket < fine {
		return time.Duration(bucket)
	}
	shift := bucket/fine - 1
	return time.Duration(uint64(bucket%fine+fine) << shift)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile is the duration that the share q of all, from 0 to 1, did not exceed;
// 0 of an empty histogram.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total-1))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen > rank {
			return valueOf(i)
		}
	}
	return 0
}
