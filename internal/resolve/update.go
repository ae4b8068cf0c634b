package resolve

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Key signs updates (RFC 8945).
type Key struct {
	Name      string
	Algorithm string // HMAC-SHA256, hmac-sha512., …; "": HMAC-SHA512, as certbot has it
	Secret    string // base64
}

// Check says what is wrong with a key.
func (k Key) Check() error {
	if _, ok := dns.IsDomainName(k.Name); !ok || k.Name == "" {
		return errors.New("the key's name is missing or not a domain name")
	}
	if raw, err := base64.StdEncoding.DecodeString(k.Secret); err != nil || len(raw) == 0 {
		return errors.New("the key's secret is not base64")
	}
	if _, ok := k.algorithm(); !ok {
		return errors.New("the key's algorithm is not one of HMAC-SHA1, HMAC-SHA224, HMAC-SHA256, HMAC-SHA384 and HMAC-SHA512")
	}
	return nil
}

// algorithm is the algorithm's name in a message. HMAC-MD5 is not spoken any more
// (RFC 8945 §6).
func (k Key) algorithm() (string, bool) {
	name := dns.CanonicalName(k.Algorithm)
	if k.Algorithm == "" {
		name = dns.HmacSHA512
	}
	return name, slices.Contains([]string{dns.HmacSHA1, dns.HmacSHA224, dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512}, name)
}

// Update is a change of one TXT record by its server (RFC 2136).
type Update struct {
	Server string // host and port
	Zone   string
	Name   string
	Value  string // up to 255 bytes
	TTL    time.Duration
	Key    Key
}

// AddTXT adds the record beside those that the name has. Adding it twice is no
// mistake (RFC 2136 §3.4.2.2).
func (r *Resolver) AddTXT(ctx context.Context, u Update) error {
	return r.update(ctx, u, func(m *dns.Msg, rr dns.RR) { m.Insert([]dns.RR{rr}) })
}

// RemoveTXT deletes exactly this record. Deleting what is not there is no mistake
// (RFC 2136 §3.4.2.4).
func (r *Resolver) RemoveTXT(ctx context.Context, u Update) error {
	return r.update(ctx, u, func(m *dns.Msg, rr dns.RR) { m.Remove([]dns.RR{rr}) })
}

func (r *Resolver) update(ctx context.Context, u Update, change func(*dns.Msg, dns.RR)) error {
	q := question{name: u.Name, recordType: "TXT", address: u.Server, server: who("", u.Server)}
	if err := u.Key.Check(); err != nil {
		return q.fail(Refused, err.Error())
	}
	if len(u.Value) > 255 {
		return q.fail(BadName, "the value has more than 255 bytes")
	}
	m := new(dns.Msg).SetUpdate(dns.Fqdn(u.Zone))
	change(m, &dns.TXT{
		Hdr: dns.RR_Header{Name: dns.Fqdn(u.Name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(u.TTL / time.Second)},
		Txt: []string{escaped(u.Value)},
	})
	algorithm, _ := u.Key.algorithm()
	m.SetTsig(dns.CanonicalName(u.Key.Name), algorithm, 300, r.cfg.Now().Unix())
	answer, err := r.signed(ctx, q, m, u.Key.Secret)
	if err != nil {
		return err
	}
	return updated(answer, q, u.Zone)
}

// signed sends a signed message over TCP and checks the answer's signature.
func (r *Resolver) signed(ctx context.Context, q question, m *dns.Msg, secret string) (*dns.Msg, error) {
	packed, mac, err := dns.TsigGenerate(m, secret, "", false)
	if err != nil {
		return nil, q.fail(Refused, "the update cannot be signed: "+err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	raw, err := r.roundTrip(ctx, "tcp", q.address, packed, nil)
	if err != nil {
		return nil, q.fail(kindOf(err), detailOf(err))
	}
	answer, err := parseUpdated(m, raw)
	if err != nil {
		return nil, q.fail(Malformed, err.Error())
	}
	// A server that does not accept the signature cannot sign its answer (RFC 8945
	// §5.2.2), so a refusal is taken as it is; that something was done has to be proved.
	if answer.Rcode == dns.RcodeSuccess {
		if err := dns.TsigVerify(raw, secret, mac, false); err != nil {
			return nil, q.fail(Malformed, "it is not signed as it should be: "+err.Error())
		}
	}
	return answer, nil
}

// parseUpdated reads the answer to an update. It need not repeat the zone (RFC 2136
// §3.8); the signature ties it to the update.
func parseUpdated(asked *dns.Msg, raw []byte) (*dns.Msg, error) {
	var m dns.Msg
	if err := m.Unpack(raw); err != nil {
		return nil, err
	}
	if m.Id != asked.Id || !m.Response || m.Opcode != dns.OpcodeUpdate {
		return nil, errors.New("it is no answer to this update")
	}
	return &m, nil
}

// updated is what the code of an answer to an update means.
func updated(m *dns.Msg, q question, zone string) error {
	if tsig := m.IsTsig(); tsig != nil && tsig.Error != dns.RcodeSuccess {
		return q.fail(Refused, map[uint16]string{
			dns.RcodeBadKey: "it does not know a key of this name and algorithm", dns.RcodeBadSig: "the key's secret is not the one that it has",
			dns.RcodeBadTime: "its clock and this machine's differ by more than five minutes",
		}[tsig.Error])
	}
	switch m.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeNotZone, dns.RcodeNotAuth:
		return q.fail(Lame, "it is not the primary server of "+shown(plain(zone)))
	case dns.RcodeRefused:
		return q.fail(Refused, "the key may not change this name")
	}
	return q.fail(ServFail, dns.RcodeToString[m.Rcode])
}

// escaped writes a value as the library wants the strings of a TXT record.
func escaped(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
}

// Reach turns a host, or an address, and a port into addresses to send updates to.
// Names are asked of the recursive servers.
func (r *Resolver) Reach(ctx context.Context, host, port string) ([]string, error) {
	if net.ParseIP(host) != nil {
		return []string{net.JoinHostPort(host, port)}, nil
	}
	var all []string
	for _, addr := range r.addresses(ctx, plain(host)) {
		all = append(all, net.JoinHostPort(addr.String(), port))
	}
	if len(all) == 0 {
		return nil, &Error{Kind: NXDOMAIN, Name: host, Type: "A", Detail: "the server has no address"}
	}
	return all, nil
}
