package room

import "time"

// bucket is a token bucket: burst at once, then rate per second.
type bucket struct {
	rate, burst float64
	level       float64 // tokens in it at time at
	at          time.Time
}

func newBucket(rate, burst float64, now time.Time) bucket {
	return bucket{rate: rate, burst: burst, level: burst, at: now}
}

// take takes one token, or returns how long it takes until there is one.
func (b *bucket) take(now time.Time) time.Duration {
	if past := now.Sub(b.at); past > 0 {
		b.level = min(b.burst, b.level+past.Seconds()*b.rate)
		b.at = now
	}
	if b.level >= 1 {
		b.level--
		return 0
	}
	return time.Duration((1-b.level)/b.rate*float64(time.Second)) + time.Millisecond
}
