package resolve

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Record is one record of an answer.
type Record struct {
	Name string // lower case, without a dot at the end
	Type string // "A"
	TTL  time.Duration
	// Data is what the record says: an address of A and AAAA, a plain name of CNAME,
	// NS and PTR, the joined bytes of TXT, and of all others what a zone file says.
	Data string
}

// Answer is what a server said.
type Answer struct {
	Server        string   // who: "ns1.example.com (192.0.2.1)", or an address alone
	Authoritative bool     // it speaks for the zone itself
	Records       []Record // aliases on the way included
	Authority     []Record // of a negative answer: the SOA; of a referral: the NS
}

// Of returns what the records of one type say.
func (a Answer) Of(recordType string) []string {
	var all []string
	for _, r := range a.Records {
		if r.Type == recordType {
			all = append(all, r.Data)
		}
	}
	return all
}

// records turns a section of a message into plain records. What EDNS or a
// signature adds is left out.
func records(section []dns.RR) []Record {
	var all []Record
	for _, rr := range section {
		h := rr.Header()
		if h.Class != dns.ClassINET || h.Rrtype == dns.TypeOPT {
			continue
		}
		all = append(all, Record{
			Name: plain(h.Name), Type: typeName(h.Rrtype), TTL: time.Duration(h.Ttl) * time.Second, Data: data(rr),
		})
	}
	return all
}

func data(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.String()
	case *dns.AAAA:
		return rr.AAAA.String()
	case *dns.CNAME:
		return plain(rr.Target)
	case *dns.NS:
		return plain(rr.Ns)
	case *dns.PTR:
		return plain(rr.Ptr)
	case *dns.TXT:
		return text(rr.Txt)
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// text joins the strings of a TXT record and undoes the escapes with which the
// library shows their bytes (RFC 1035 §5.1).
func text(parts []string) string {
	var b strings.Builder
	for _, part := range parts {
		for i := 0; i < len(part); i++ {
			if part[i] != '\\' || i+1 == len(part) {
				b.WriteByte(part[i])
				continue
			}
			if i+3 < len(part) && digits(part[i+1:i+4]) {
				b.WriteByte((part[i+1]-'0')*100 + (part[i+2]-'0')*10 + part[i+3] - '0')
				i += 3
				continue
			}
			i++
			b.WriteByte(part[i])
		}
	}
	return b.String()
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

func typeName(t uint16) string { return dns.Type(t).String() }

// plain is a name as this package shows it. The root is "".
func plain(name string) string { return strings.TrimSuffix(dns.CanonicalName(name), ".") }

// Kind is what went wrong, to be tested with errors.Is.
type Kind string

// The kinds.
const (
	NXDOMAIN    Kind = "NXDOMAIN"       // nothing has this name
	NoData      Kind = "no data"        // the name has no record of this type
	ServFail    Kind = "SERVFAIL"       // the server could not find out, or DNSSEC does not hold
	Refused     Kind = "REFUSED"        // the server does not answer us, or not for this zone
	Timeout     Kind = "timeout"        // nothing came back
	Unreachable Kind = "unreachable"    // no way there, or nobody listens
	Lame        Kind = "lame"           // asked as an authoritative server, it is none of the zone's
	Malformed   Kind = "malformed"      // what came back is no answer
	Endless     Kind = "endless alias"  // aliases in a circle, or too many
	BadName     Kind = "not a name"     // the question itself is wrong
	NoServer    Kind = "no name server" // there is nobody to ask
)

func (k Kind) Error() string { return string(k) }

// Error is a question that was not answered as hoped.
type Error struct {
	Kind   Kind
	Name   string // asked for
	Type   string // asked for; "" when it is about more than one
	Server string // who was asked; "" when nobody was
	Detail string // what else is known, in words; ""
}

func (e *Error) Error() string {
	who := e.Server
	if who == "" {
		who = "the name server"
	}
	var what string
	switch e.Kind {
	case NXDOMAIN:
		what = "there is no such name"
	case NoData:
		what = "it has no such record"
	case ServFail:
		what = who + " failed to find out"
	case Refused:
		what = who + " refuses to answer"
	case Timeout:
		what = who + " does not answer"
	case Unreachable:
		what = who + " cannot be reached"
	case Lame:
		what = who + " does not speak for this zone"
	case Malformed:
		what = who + " sent something that is no answer"
	case Endless:
		what = "its aliases lead nowhere"
	case BadName:
		what = "that is no name"
	case NoServer:
		what = "there is no name server to ask"
	default:
		what = who + ": " + string(e.Kind)
	}
	if e.Detail != "" {
		what += ": " + e.Detail
	}
	return fmt.Sprintf("%s: %s", strings.TrimSpace(shown(e.Name)+" "+e.Type), what)
}

// Is says whether the error is of a kind.
func (e *Error) Is(target error) bool { return target == error(e.Kind) }

// shown keeps hostile names from disturbing a terminal: the library's form
// escapes all but printable ASCII, a caller's name may hold anything.
func shown(name string) string {
	if name == "" {
		return "."
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}

// who names a server and the address it was asked at.
func who(name, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && port == "53" {
		address = host
	}
	if name == "" {
		return address
	}
	return name + " (" + address + ")"
}
