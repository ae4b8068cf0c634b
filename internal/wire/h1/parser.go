package h1

import (
	"bytes"

	"github.com/albion-lb/albion/internal/wire"
)

// Parser reads one head that arrives in pieces. The functions of this package
// read from the first byte on each time, so a peer that sends single bytes would
// cost the square of the head's size; a Parser looks at each byte once before
// it reads the whole. The zero value is ready, and is so again after a head or
// an error.
type Parser struct {
	seen int // bytes looked at
	line int // where the last line begins
	size int // how many lines have ended
}

// ReadRequest is the function ReadRequest for a buf that begins with the bytes
// of the call before.
func (p *Parser) ReadRequest(r *wire.Request, buf []byte, lim *Limits) (n int, err error) {
	most := lim.resolve()
	if p.wait(buf, &most, most.Head) {
		return 0, nil
	}
	n, err = ReadRequest(r, buf, lim)
	p.settle(buf, n, err)
	return n, err
}

// ReadResponse is the function ReadResponse, likewise.
func (p *Parser) ReadResponse(r *wire.Response, buf []byte, method []byte, lim *Limits) (n int, err error) {
	most := lim.resolve()
	if p.wait(buf, &most, most.Answer) {
		return 0, nil
	}
	n, err = ReadResponse(r, buf, method, lim)
	p.settle(buf, n, err)
	return n, err
}

func (p *Parser) settle(buf []byte, n int, err error) {
	if n > 0 || err != nil {
		*p = Parser{}
		return
	}
	p.seen = len(buf)
	p.line = bytes.LastIndexByte(buf, '\n') + 1
}

// wait reports whether reading again would find out nothing yet: there is no
// empty line, no lone LF, and no limit that must have been passed. A limit on
// all fields may be noticed one line late, which is one line of memory.
func (p *Parser) wait(buf []byte, most *Limits, fields int) bool {
	if p.seen == 0 || p.seen > len(buf) || len(buf) >= 2*maxEmptyLines+most.Line+fields+2 {
		return false
	}
	for p.seen < len(buf) {
		i := bytes.IndexByte(buf[p.seen:], '\n')
		if i < 0 {
			p.seen = len(buf)
			break
		}
		end := p.seen + i
		empty := end-p.line < 2
		p.seen, p.line = end+1, end+1
		p.size++
		if empty || buf[end-1] != '\r' || p.size >= most.Fields {
			return false
		}
	}
	return len(buf)-p.line < min(most.Line, most.Field)
}
