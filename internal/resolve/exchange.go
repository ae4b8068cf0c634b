package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxUDP is what passes everywhere unfragmented: the 2020 DNS flag day.
const maxUDP = 1232

// question is what one server is asked.
type question struct {
	name, recordType string
	recurse          bool
	unchecked        bool   // what DNSSEC would withhold is wanted too
	address          string // host and port
	server           string // as people name it
}

func (q question) fail(k Kind, detail string) *Error {
	return &Error{Kind: k, Name: q.name, Type: q.recordType, Server: q.server, Detail: detail}
}

// message is the question on the wire.
func (q question) message(edns bool) (*dns.Msg, error) {
	kind, known := dns.StringToType[q.recordType]
	name := dns.Fqdn(strings.TrimSuffix(q.name, "."))
	if _, ok := dns.IsDomainName(name); !ok || !known || strings.Contains(q.name, "..") {
		return nil, q.fail(BadName, "")
	}
	m := new(dns.Msg).SetQuestion(name, kind)
	m.RecursionDesired, m.CheckingDisabled = q.recurse, q.unchecked // RFC 4035 §3.2.2
	if edns {
		m.SetEdns0(maxUDP, false)
	}
	return m, nil
}

// exchange asks over UDP, over TCP when the answer does not fit (RFC 1035 §4.2.1),
// and without EDNS when the server does not know it (RFC 6891 §7). A server that
// answers late is asked again.
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, error) {
	for _, edns := range []bool{true, false} {
		m, err := q.message(edns)
		if err != nil {
			return nil, err
		}
		answer, err := r.patiently(ctx, q, m)
		if err != nil {
			return nil, err
		}
		if answer.Truncated {
			if answer, err = r.once(ctx, "tcp", q, m); err != nil {
				return nil, err
			}
		}
		if !edns || answer.Rcode != dns.RcodeFormatError && answer.Rcode != dns.RcodeNotImplemented {
			return answer, nil
		}
	}
	return nil, q.fail(Malformed, "")
}

// patiently repeats a question that is lost on the way.
func (r *Resolver) patiently(ctx context.Context, q question, m *dns.Msg) (answer *dns.Msg, err error) {
	for range r.cfg.Attempts {
		m.Id = dns.Id()
		if answer, err = r.once(ctx, "udp", q, m); !errors.Is(err, Timeout) || ctx.Err() != nil {
			return answer, err
		}
	}
	return answer, err
}

// once sends one message and waits for its answer.
func (r *Resolver) once(ctx context.Context, network string, q question, m *dns.Msg) (*dns.Msg, error) {
	packed, err := m.Pack()
	if err != nil {
		return nil, q.fail(BadName, err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	raw, err := r.roundTrip(ctx, network, q.address, packed, func(b []byte) error { _, err := parse(m, b); return err })
	if err != nil {
		return nil, q.fail(kindOf(err), detailOf(err))
	}
	answer, err := parse(m, raw)
	if err != nil {
		return nil, q.fail(Malformed, err.Error())
	}
	return answer, nil
}

// roundTrip sends one message and returns the first that good accepts. Over UDP
// others are passed over: whoever guesses our port must not be able to end the
// question with rubbish.
func (r *Resolver) roundTrip(ctx context.Context, network, address string, packed []byte, good func([]byte) error) ([]byte, error) {
	conn, err := r.cfg.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(packed)+2), uint16(len(packed)))
		if _, err := conn.Write(append(framed, packed...)); err != nil {
			return nil, err
		}
		return readTCP(conn)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if good(buf[:n]) == nil {
			return buf[:n], nil
		}
	}
}

// readTCP reads a message with its length in front (RFC 1035 §4.2.2).
func readTCP(conn net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, raw)
	return raw, err
}

// parse reads an answer and holds it against its question: an answer to another
// one is none (RFC 5452 §9.1).
func parse(asked *dns.Msg, raw []byte) (*dns.Msg, error) {
	var m dns.Msg
	if err := m.Unpack(raw); err != nil {
		return nil, err
	}
	switch {
	case m.Id != asked.Id || !m.Response || m.Opcode != asked.Opcode:
		return nil, errors.New("it is no answer to this message")
	case len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return &m, nil // some leave the question out of a refusal
	case len(m.Question) != 1 || len(asked.Question) != 1:
		return nil, errors.New("it does not repeat the question")
	}
	got, want := m.Question[0], asked.Question[0]
	if got.Qtype != want.Qtype || got.Qclass != want.Qclass || !strings.EqualFold(got.Name, want.Name) {
		return nil, errors.New("it answers another question")
	}
	return &m, nil
}

func kindOf(err error) Kind {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Malformed
	}
	return Unreachable
}

// detailOf is the system's reason without the addresses that come with it.
func detailOf(err error) string {
	if kindOf(err) == Timeout {
		return ""
	}
	var system *os.SyscallError
	if errors.As(err, &system) {
		return system.Err.Error()
	}
	return err.Error()
}
