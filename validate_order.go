package albion

import (
	"net/netip"
	"net/url"
	"strings"
)

// What an order may hold at most, so that what a CA says cannot make a State
// grow without bound.
const (
	MaxNamesPerRequest = 100 // Let's Encrypt's, "Rate Limits"
	maxIssuanceSteps   = 64
	maxIssuanceTimes   = 64
	maxURL             = 2048
	maxWords           = 2048
)

func (c *checker) checkRegistrations(registrations []*Registration) {
	for _, a := range registrations {
		s := c.at(a)
		s.httpsURL("Directory", a.Directory)
		if a.URL != "" {
			s.httpsURL("URL", a.URL)
		}
		s.email(a.Email)
		if _, ok := c.state.Keys.Get(a.KeyName()); !ok {
			s.wrong(CodeValidation, "ID", "its key %q is missing", a.KeyName())
		}
	}
}

func (s subject) request(cert *Certificate) {
	r := cert.Request
	if (cert.Issuer == ACME) != (r != nil) {
		s.wrong(CodeValidation, "Request", "a request belongs to a certificate that a CA issues, and to no other")
	}
	if r == nil {
		if cert.Pending {
			s.wrong(CodeValidation, "Pending", "nothing is requested that could be pending")
		}
		return
	}
	s.authorities(r)
	s.email(r.Email)
	s.method(r)
	s.delegated(r)
	oneOf(s, "Request.KeyType", r.KeyType, "", KeyECDSA, KeyRSA)
	if n := len(r.Domains); n == 0 || n > MaxNamesPerRequest {
		s.wrong(CodeValidation, "Request.Domains", "%d names; a CA takes 1 to %d", n, MaxNamesPerRequest)
	}
	for i, domain := range r.Domains {
		if !requestable(domain) {
			s.wrong(CodeValidation, index("Request.Domains", i), "%s is neither a domain name in lower case nor an IP address; international names are written as A-labels", shown(domain))
		}
	}
}

// requestable accepts host names (RFC 1123 §2.1), wildcards and addresses.
func requestable(domain string) bool {
	if ip, err := netip.ParseAddr(domain); err == nil {
		return ip.Zone() == "" && ip.String() == domain
	}
	name := strings.TrimPrefix(domain, "*.")
	if len(domain) > 253 || !strings.Contains(name, ".") {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

func (s subject) email(email string) {
	if email == "" {
		return
	}
	local, host, ok := strings.Cut(email, "@")
	if !ok || local == "" || host == "" || len(email) > 254 || !visible(email) || strings.ContainsAny(email, "<>,;?&\"") || strings.Contains(host, "@") {
		s.wrong(CodeValidation, "Request.Email", "%s is not one e-mail address, such as me@example.com", shown(email))
	}
}

// httpsURL checks an address of a CA (RFC 8555 §6.1: https only).
func (s subject) httpsURL(field, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(text) > maxURL {
		s.wrong(CodeValidation, field, "%s is not the https address of a CA's ACME directory", shown(text))
	}
}

func (c *checker) checkIssuances(issuances []*Issuance) {
	for _, i := range issuances {
		s := c.at(i)
		cert, ok := c.state.Certificates.Get(string(i.Certificate))
		if !ok || cert.Issuer != ACME {
			s.wrong(CodeValidation, "Certificate", "no certificate that a CA issues belongs to it")
		}
		if len(i.Steps) > maxIssuanceSteps || len(i.Begun) > maxIssuanceTimes || len(i.Issued) > maxIssuanceTimes {
			s.wrong(CodeValidation, "Steps", "it remembers more than it may")
		}
		s.setback(i.Last)
		s.sighting(i.Sighting)
		if i.Order != nil {
			s.order(i.Certificate, i.Order)
		}
	}
}

func (s subject) order(certificate ARN, o *Order) {
	oneOf(s, "Order.Step", o.Step, StepBegun, StepOrdered, StepChosen, StepAsked, StepValidated, StepIssued, StepDownloaded)
	if _, ok := s.state.Keys.Get(OrderKeyName(certificate)); !ok {
		s.wrong(CodeValidation, "Order", "its private key is missing")
	}
	if _, ok := s.state.Registrations.Get(o.Account); !ok {
		s.wrong(CodeValidation, "Order.Account", "there is no account %s", shown(o.Account))
	}
	if len(o.Authorizations) > MaxNamesPerRequest || len(o.Answers) > MaxNamesPerRequest {
		s.wrong(CodeValidation, "Order.Authorizations", "the CA asks for more than %d proofs", MaxNamesPerRequest)
	}
	s.answers("Order.Answers", o.Answers)
	if o.Step != StepBegun {
		s.httpsURL("Order.URL", o.URL)
	}
	if o.Chain != "" {
		s.chain(o.Chain)
	}
}

func (s subject) answers(field string, answers []Answer) {
	for i, a := range answers {
		// RFC 8555 §8.1: tokens are base64url. They become part of a path that is
		// answered before any rule.
		if a.Token == "" || len(a.Token) > 512 || strings.Trim(a.Token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(a.Proof) > 1024 || !visible(a.Proof) {
			s.wrong(CodeValidation, index(field, i), "the CA's token is none")
		}
	}
}
