package acme

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/albion-lb/albion"
)

// situation is what was being done when something went wrong.
type situation struct {
	doing     string
	domains   []string
	challenge albion.Challenge
}

// explain turns an error into one plain sentence, the next thing to do, and the
// words of whoever said no.
func (c *Client) explain(err error, s situation) error {
	if r := c.transport.refused(); r != nil {
		return r.setback(c.cfg.Now())
	}
	var p acme.Problem
	if errors.As(err, &p) {
		return explainProblem(&p, s, c.cfg.Now())
	}
	return unreachable(err, s)
}

// explainOrder is explain for what concerns an order that the CA knew: when it
// does not any more, a new one is needed.
func (c *Client) explainOrder(err error, doing string) error {
	var p acme.Problem
	if errors.As(err, &p) && p.Status == 404 {
		return gone("the CA does not know the order any more")
	}
	return c.explain(err, situation{doing: doing})
}

// setback is an answer 429 or 5xx.
func (r *refusal) setback(now time.Time) *albion.Setback {
	var p acme.Problem
	if json.Unmarshal(r.body, &p) != nil {
		p.Detail = "" // a page of some front of the CA's
	}
	until := r.until
	if until.IsZero() {
		until = retryDetail(p.Detail, now)
	}
	if r.status == 429 {
		return limited(words(p.Detail), until)
	}
	return &albion.Setback{
		Kind: albion.SetbackUnavailable, Sentence: "the CA is out of order for the moment", Advice: "it is asked again when it wishes",
		Words: words(p.Detail), Until: until,
	}
}

func limited(detail string, until time.Time) *albion.Setback {
	advice := "wait: it is tried again by itself"
	if !until.IsZero() {
		advice = "wait until " + until.UTC().Format("2006-01-02 15:04 UTC") + ", then it is tried again by itself"
	}
	return &albion.Setback{
		Kind: albion.SetbackLimited, Sentence: "one of the CA's limits is reached", Advice: advice, Words: detail, Until: until,
	}
}

// retryDetail finds the moment that Let's Encrypt writes into its message.
func retryDetail(detail string, now time.Time) time.Time {
	found := regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC`).FindStringSubmatch(detail)
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.DateTime, found[1])
	if err != nil || at.After(now.Add(maxRetryAfter)) {
		return time.Time{}
	}
	return at
}

// unreachable is an error of the network or of TLS: the words are this machine's.
func unreachable(err error, s situation) error {
	out := &albion.Setback{
		Kind: albion.SetbackUnavailable, Sentence: "the CA cannot be reached", Advice: "check this machine's way out to the Internet; it is tried again by itself",
		Words: words(err.Error()), Ours: true,
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &unknown):
		out.Sentence, out.Advice = "the CA's own server shows a certificate that this machine does not trust", "give the root of a private CA (ca_root in the file, --ca-root on the command line), or install ca-certificates"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		out.Kind = albion.SetbackClock
		out.Sentence, out.Advice = "by this machine's clock, the certificate of the CA's own server is not valid", "check the clock and the time service; nothing is renewed by a clock that is wrong"
	case errors.As(err, &name), errors.As(err, &invalid):
		out.Sentence, out.Advice = "the CA's own server shows a certificate that is not valid", "check the address of the CA and this machine's clock"
	case errors.As(err, &lookup):
		out.Sentence, out.Advice = "the name of the CA's server cannot be found", "check the address of the CA and this machine's DNS (/etc/resolv.conf)"
	case s.doing != "":
		out.Sentence += " (" + s.doing + ")"
	}
	return out
}

// explainProblem reads a problem document (RFC 8555 §6.7).
func explainProblem(p *acme.Problem, s situation, now time.Time) error {
	name, detail := "the name", problemWords(p)
	if len(s.domains) > 0 {
		name = words(strings.Join(s.domains, ", "))
	}
	kind := strings.TrimPrefix(p.Type, "urn:ietf:params:acme:error:")
	out := &albion.Setback{Kind: albion.SetbackRefused, Words: detail}
	switch kind {
	case "rateLimited":
		return limited(detail, retryDetail(p.Detail, now))
	case "serverInternal":
		out.Kind, out.Sentence, out.Advice = albion.SetbackUnavailable, "the CA is out of order for the moment", "it is tried again by itself"
	case "accountDoesNotExist":
		out.Kind, out.Sentence, out.Advice = albion.SetbackAccount, "the CA does not know our account any more", "a new one is registered by itself"
	case "externalAccountRequired":
		out.Kind, out.Sentence, out.Advice = albion.SetbackAccount, "the CA wants an account that is bound to one on its web page", "get an identifier and a key there and give both (--eab-kid and --eab-hmac), or choose a CA that wants none, such as letsencrypt"
	case "invalidContact", "unsupportedContact":
		out.Kind, out.Sentence, out.Advice = albion.SetbackAccount, "the CA does not accept the e-mail address", "give another one, or none"
	case "userActionRequired":
		out.Kind, out.Sentence, out.Advice = albion.SetbackAccount, "the CA wants new terms of service to be agreed to", "read them at the address that it gives, and request the certificate again"
	case "rejectedIdentifier", "unsupportedIdentifier":
		out.Names = blamed(p)
		out.Sentence, out.Advice = "the CA does not issue for "+name, "check the spelling; names inside a private network need the local CA (issuer: local)"
	case "invalidProfile":
		out.Sentence, out.Advice = "the CA does not have this profile", "leave the profile out"
	case "badCSR", "badPublicKey", "badSignatureAlgorithm":
		out.Sentence, out.Advice = "the CA does not accept this kind of key or request", "choose another key type (ecdsa or rsa)"
	case "orderNotReady":
		return gone("the CA holds the order back")
	default:
		if !explainProof(out, kind, name, s) {
			out.Sentence, out.Advice = "the CA said no"+during(s), "its own words say why"
		}
	}
	if p.Status >= 500 {
		out.Kind = albion.SetbackUnavailable
	}
	if s.challenge != "" && out.Kind == albion.SetbackRefused {
		out.Kind = albion.SetbackName
	}
	return out
}

func during(s situation) string {
	if s.doing == "" {
		return ""
	}
	return " (" + s.doing + ")"
}

// explainProof explains why a name could not be proved, if that is what the
// problem is about.
func explainProof(out *albion.Setback, kind, name string, s situation) bool {
	port := "80"
	if s.challenge == albion.ChallengeALPN {
		port = "443"
	}
	switch kind {
	case "dns":
		out.Sentence, out.Advice = "the CA finds no usable address for "+name+" in the DNS", "make an A (or AAAA) record that points to this machine, and wait until it is seen everywhere"
		if strings.Contains(out.Words, " CAA ") {
			explainCAA(out, name)
		}
	case "caa":
		explainCAA(out, name)
	case "connection":
		out.Sentence, out.Advice = "the CA could not reach "+name+" on port "+port, "open port "+port+" in every firewall on the way, and check that the name's A and AAAA records all point to this machine"
		explainAddress(out, name, port)
	case "tls":
		out.Sentence, out.Advice = "what answers for "+name+" on port "+port+" is not this Albion, or something in between ends TLS", "point the name here, or use the http challenge"
	case "unauthorized", "incorrectResponse", "malformed":
		if s.challenge == "" {
			return false
		}
		out.Sentence, out.Advice = "the CA asked "+name+" and got the answer of somebody else", "check that the name's A and AAAA records all point to this machine, and that no CDN or other server answers in front of it on port "+port
		explainAddress(out, name, port)
		if s.challenge == albion.ChallengeDNS {
			out.Sentence, out.Advice = "the CA did not find the right TXT record for "+name, "check the record on every authoritative server of the domain"
		}
	default:
		return false
	}
	out.Kind = albion.SetbackName
	if strings.Contains(out.Words, "secondary validation") {
		out.Advice = "the CA looks from several places of the world, and some saw something else: check every DNS server of the domain, and blocks by country"
	}
	return true
}

// problemWords is what the CA said, with what it said about single names.
func problemWords(p *acme.Problem) string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for i, sub := range p.Subproblems {
		if i == 5 {
			break
		}
		text += "; " + sub.Identifier.Value + ": " + sub.Detail
	}
	return words(text)
}

// words bounds and cleans what somebody else wrote: it reaches terminals and
// logs.
func words(s string) string {
	const most = 500
	clean := strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return ' '
		case r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == '\uFFFD':
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return clean
}
