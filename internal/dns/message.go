package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Sizes of messages.
const (
	headerSize = 12   // RFC 1035 §4.1.1
	plainUDP   = 512  // what a client takes that says nothing: RFC 1035 §4.2.1
	maxUDP     = 1232 // what passes everywhere unfragmented: the 2020 DNS flag day
	maxTCP     = 1<<16 - 1
)

// reply is what to send back, with what a limit needs to know of it.
type reply struct {
	message []byte // nil: nothing
	rcode   int
	zone    string // "" when it is no answer of a zone
	imputed string
}

// respond answers one message, in buf if it has room. It never answers what is
// an answer itself, so that two servers cannot be made to talk for ever.
func (t *table) respond(query, buf []byte, tcp bool, number float64) reply {
	if len(query) < headerSize || query[2]&0x80 != 0 {
		return reply{}
	}
	var in dns.Msg
	if err := in.Unpack(query); err != nil || len(in.Question) != 1 {
		if in.Opcode = int(query[2]>>3) & 0xf; in.Opcode != dns.OpcodeQuery {
			return bare(query, buf, dns.RcodeNotImplemented)
		}
		return bare(query, buf, dns.RcodeFormatError)
	}
	if in.Opcode != dns.OpcodeQuery {
		return bare(query, buf, dns.RcodeNotImplemented)
	}
	out := &dns.Msg{Question: in.Question}
	out.Id, out.Response, out.RecursionDesired, out.Compress = in.Id, true, in.RecursionDesired, true
	size := maxTCP
	if !tcp {
		size = plainUDP
	}
	opt, ok := edns(&in)
	if !ok {
		return bare(query, buf, dns.RcodeFormatError)
	}
	var r result
	if opt != nil {
		if !tcp {
			size = min(max(int(opt.UDPSize()), plainUDP), maxUDP)
		}
		if opt.Version() != 0 {
			r.rcode = dns.RcodeBadVers
		}
	}
	if r.rcode == 0 {
		r = t.question(&in.Question[0], number)
	}
	out.Rcode, out.Authoritative = r.rcode, r.authoritative
	out.Answer, out.Ns, out.Extra = r.answer, r.authority, r.ad
	if opt != nil {
		// The library puts the upper bits of the code into this record.
		out.Extra = append(out.Extra[:len(out.Extra):len(out.Extra)], ownOPT(opt.Do()))
	}
	return reply{message: pack(out, buf, size), rcode: r.rcode, zone: r.zone, imputed: r.imputed}
}

// question answers the one question of a message.
func (t *table) question(q *dns.Question, number float64) result {
	refused := result{rcode: dns.RcodeRefused}
	if q.Qclass != dns.ClassINET {
		return refused
	}
	switch {
	case q.Qtype == dns.TypeANY:
	case q.Qtype == 0 || q.Qtype == dns.TypeOPT:
		return result{rcode: dns.RcodeFormatError}
	case q.Qtype >= 128 && q.Qtype < 256: // RFC 6895 §3.1: no data but ways of asking, transfers among them
		return refused
	}
	name := canonical(q.Name)
	z := t.find(name, q.Qtype)
	if z == nil {
		return refused
	}
	return t.resolve(z, q.Name, name, q.Qtype, number)
}

// edns returns the OPT record of a message; of two neither counts, and the
// message is malformed (RFC 6891 §6.1.1).
func edns(in *dns.Msg) (opt *dns.OPT, ok bool) {
	for _, rr := range in.Extra {
		if o, is := rr.(*dns.OPT); is {
			if opt != nil || o.Hdr.Name != "." {
				return nil, false
			}
			opt = o
		}
	}
	return opt, true
}

func ownOPT(do bool) *dns.OPT {
	o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	o.SetUDPSize(maxUDP)
	if do {
		o.SetDo() // RFC 3225 §3: copied
	}
	return o
}

// pack writes a message. One that is too large loses everything but its
// question and says so, and the client asks again over TCP (RFC 2181 §9).
func pack(out *dns.Msg, buf []byte, size int) []byte {
	message, err := out.PackBuffer(buf)
	if err == nil && len(message) <= size {
		return message
	}
	var opt []dns.RR
	if n := len(out.Extra); n > 0 && out.Extra[n-1].Header().Rrtype == dns.TypeOPT {
		opt = out.Extra[n-1:]
	}
	out.Answer, out.Ns, out.Extra = nil, nil, opt
	out.Truncated = err == nil
	if err != nil || size == maxTCP {
		out.Rcode, out.Truncated, out.Authoritative = dns.RcodeServerFailure, false, false
	}
	if message, err = out.PackBuffer(buf); err != nil {
		return nil
	}
	return message
}

// bare is an answer without sections to a message that cannot be read, or is no
// question.
func bare(query, buf []byte, rcode int) reply {
	message := append(buf[:0], query[0], query[1])
	message = append(message, 0x80|query[2]&0x79, byte(rcode)) // QR; opcode and RD as they were
	return reply{message: append(message, 0, 0, 0, 0, 0, 0, 0, 0), rcode: rcode}
}

// slip makes of a reply the shortest that is one: the client, if there is one,
// asks again over TCP, where nobody can pretend to be somebody else.
func slip(message []byte) []byte {
	message[2] |= 0x02
	end := headerSize
	if binary.BigEndian.Uint16(message[4:]) == 1 {
		for end < len(message) && message[end] != 0 {
			end += int(message[end]) + 1 // the question's name is never compressed
		}
		end += 5
	}
	if end > len(message) {
		end = headerSize
		binary.BigEndian.PutUint16(message[4:], 0)
	}
	for i := 6; i < headerSize; i++ {
		message[i] = 0
	}
	return message[:end]
}
