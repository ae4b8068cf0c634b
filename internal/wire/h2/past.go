package h2

// How a stream ended, which decides what a late frame means (RFC 9113 §5.1).
type ending uint32

const (
	forgotten    ending = iota // too long ago, or never opened
	completed                  // both sides said all they had to
	resetByUs                  // frames sent before the client knew are no fault
	resetByThem                // nothing may follow
	endingMask   = 3
	remembered   = 128 // as many as may be open at once
	streamIDStep = 1   // odd numbers only: half of an id tells it from the others
)

// past remembers how the latest streams ended. An entry is half of an odd stream
// id, which has 30 bits, and an ending.
type past [remembered]uint32

func (p *past) add(id uint32, how ending) {
	half := id >> streamIDStep
	p[half%remembered] = half<<2 | uint32(how)
}

func (p *past) of(id uint32) ending {
	half := id >> streamIDStep
	if e := p[half%remembered]; e>>2 == half {
		return ending(e & endingMask)
	}
	return forgotten
}
