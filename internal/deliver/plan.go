package deliver

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/albion-lb/albion"
)

// Due is a delivery that is behind its certificate.
type Due struct {
	ID     string
	Digest string    // of the contents to be delivered
	At     time.Time // may be past
}

// Plan lists what is to be delivered, and when. What only stands in for a CA's
// certificate is not delivered.
func Plan(s *albion.State) []Due {
	var all []Due
	for v := range s.Deliveries.All() {
		cert, ok := s.Certificates.Get(string(v.Certificate))
		if !ok || cert.Pending {
			continue
		}
		if digest := cert.Digest(); digest != v.Digest {
			all = append(all, Due{v.ID, digest, v.Next})
		}
	}
	return all
}

// pause is how long to wait after a number of failures in a row. What is wrong
// with a place is mended by people, so that asking often helps nobody; a tenth
// more or less keeps those that failed together from coming together.
func pause(failures int, id string) time.Duration {
	steps := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}
	longest := 6 * time.Hour
	wait := longest
	if failures <= len(steps) {
		wait = steps[failures-1]
	}
	sum := sha256.Sum256([]byte(id))
	return wait + time.Duration(float64(wait)/10*float64(binary.BigEndian.Uint32(sum[:4]))/(1<<32))
}

// settle journals how an attempt ended. Contents that have changed meanwhile are
// due again by themselves.
func settle(d *albion.Draft, due Due, serial string, problem *albion.Setback, now time.Time) {
	old, ok := d.Deliveries.Get(due.ID)
	if !ok { // nobody wants it any more
		return
	}
	v := *old
	if problem == nil {
		v.Digest, v.Serial, v.Delivered = due.Digest, serial, now
		v.Failures, v.Last, v.Failed, v.Next = 0, nil, time.Time{}, time.Time{}
	} else {
		v.Failures++
		v.Last, v.Failed, v.Next = problem, now, now.Add(pause(v.Failures, v.ID))
		if problem.Until.After(v.Next) {
			v.Next = problem.Until
		}
	}
	albion.Put(d, &v)
}
