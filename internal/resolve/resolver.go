package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what one call may cost.
const (
	maxRecursive = 3  // recursive servers asked, as the C library does
	maxServers   = 16 // authoritative servers of a zone; the root has 13
	maxAddresses = 4  // of one of them
	maxAliases   = 8  // in a chain
	maxAtOnce    = 8  // questions under way
)

// Config says whom to ask and how. The zero value asks this machine's servers.
type Config struct {
	// Servers are recursive: addresses, with a port if it is not 53. None: those that
	// this machine uses, looked up at each question, since it may change networks.
	Servers  []string
	Port     int           // of authoritative servers; 0: 53
	Timeout  time.Duration // of one message; 0: 3 s
	Attempts int           // messages to a server before it counts as silent; 0: 2
	// Unchecked asks recursive servers for what they would withhold because DNSSEC
	// does not hold: to find out that this is why they fail, and for nothing else.
	Unchecked bool
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Now       func() time.Time // signatures carry it
}

// Resolver asks name servers. It may be used by many at once.
type Resolver struct {
	cfg     Config
	servers []string // with ports; none: the machine's
}

// New makes a Resolver. It asks nothing yet.
func New(c Config) (*Resolver, error) {
	r := &Resolver{cfg: c}
	for _, server := range c.Servers {
		address, err := withPort(server)
		if err != nil {
			return nil, err
		}
		r.servers = append(r.servers, address)
	}
	r.cfg.Port = cmp.Or(c.Port, 53)
	r.cfg.Timeout = cmp.Or(c.Timeout, 3*time.Second)
	r.cfg.Attempts = cmp.Or(c.Attempts, 2)
	if c.Dial == nil {
		r.cfg.Dial = (&net.Dialer{}).DialContext
	}
	if c.Now == nil {
		r.cfg.Now = time.Now
	}
	return r, nil
}

// withPort reads an address of a server: 192.0.2.1, 192.0.2.1:5353, 2001:db8::1 or
// [2001:db8::1]:5353.
func withPort(server string) (string, error) {
	bare := server
	if strings.HasPrefix(server, "[") && strings.HasSuffix(server, "]") {
		bare = server[1 : len(server)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), nil
	}
	addr, err := netip.ParseAddrPort(server)
	if err != nil || addr.Port() == 0 {
		return "", fmt.Errorf("resolve: %q is not the address of a name server: write 192.0.2.1 or [2001:db8::1]:53", server)
	}
	return addr.String(), nil
}

// Lookup asks the recursive servers, one after the other until one of them knows.
// Kinds of errors: NXDOMAIN and NoData, with the answer that says so; those of
// who was asked last otherwise.
func (r *Resolver) Lookup(ctx context.Context, name, recordType string) (Answer, error) {
	m, from, err := r.recursive(ctx, name, recordType)
	if err != nil {
		return Answer{}, err
	}
	return judge(m, question{name: name, recordType: recordType, server: from})
}

// recursive is the message with which a recursive server answers. Its code is
// NOERROR or NXDOMAIN.
func (r *Resolver) recursive(ctx context.Context, name, recordType string) (*dns.Msg, string, error) {
	servers := r.servers
	if len(servers) == 0 {
		var err error
		if servers, err = systemServers(); err != nil || len(servers) == 0 {
			return nil, "", &Error{Kind: NoServer, Name: name, Type: recordType, Detail: detail(err)}
		}
	}
	var last error
	for _, server := range servers[:min(len(servers), maxRecursive)] {
		q := question{name: name, recordType: recordType, recurse: true, unchecked: r.cfg.Unchecked, address: server, server: who("", server)}
		m, err := r.exchange(ctx, q)
		if err == nil {
			err = code(m, q)
		}
		if err == nil || errors.Is(err, NXDOMAIN) {
			return m, q.server, nil
		}
		if last = err; errors.Is(err, BadName) || ctx.Err() != nil {
			break
		}
	}
	return nil, "", last
}

// Ask asks one server, as an authoritative one: without recursion. Port 0 is the
// authoritative servers'. An answer that is not the server's own is of kind Lame,
// and comes with the error: it may be a referral.
func (r *Resolver) Ask(ctx context.Context, server netip.AddrPort, name, recordType string) (Answer, error) {
	if server.Port() == 0 {
		server = netip.AddrPortFrom(server.Addr(), uint16(r.cfg.Port))
	}
	return r.ask(ctx, question{name: name, recordType: recordType, address: server.String(), server: who("", server.String())})
}

func (r *Resolver) ask(ctx context.Context, q question) (Answer, error) {
	m, err := r.exchange(ctx, q)
	if err != nil {
		return Answer{Server: q.server}, err
	}
	a, err := judge(m, q)
	if !a.Authoritative && (err == nil || errors.Is(err, NoData) || errors.Is(err, NXDOMAIN)) {
		err = q.fail(Lame, "")
	}
	return a, err
}

// judge turns a message into an answer and what is wrong with it.
func judge(m *dns.Msg, q question) (Answer, error) {
	a := Answer{Server: q.server, Authoritative: m.Authoritative, Records: records(m.Answer), Authority: records(m.Ns)}
	if err := code(m, q); err != nil {
		return a, err
	}
	if len(a.Of(q.recordType)) == 0 {
		return a, q.fail(NoData, "")
	}
	return a, nil
}

// code is what the code of an answer means.
func code(m *dns.Msg, q question) error {
	switch m.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNameError:
		return q.fail(NXDOMAIN, "")
	case dns.RcodeRefused, dns.RcodeNotAuth:
		return q.fail(Refused, "")
	}
	text := dns.RcodeToString[m.Rcode]
	if text == "" {
		text = "code " + strconv.Itoa(m.Rcode)
	}
	return q.fail(ServFail, text)
}

func detail(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
