package acm

import (
	"time"

	"github.com/albion-lb/albion"
)

const (
	// While something valid is served, the preferred CA is worth some patience.
	patience       = time.Hour
	triesOfTheBest = 3
)

// turn says which of the request's CAs the next order is for, and from when on it
// may be asked. A CA that wants to be left alone is passed over when another one
// could issue meanwhile.
func turn(s *albion.State, c *albion.Certificate, i *albion.Issuance, at time.Time) (n int, from time.Time) {
	all := c.Request.CAs()
	first := min(i.Turn, len(all)-1)
	bearable := at
	if !urgent(c, at) {
		bearable = at.Add(patience)
	}
	for n := first; n < len(all); n++ {
		if from := blocked(s, c.Request.At(all[n]), at); !from.After(bearable) {
			return n, from
		}
	}
	return first, blocked(s, c.Request.At(all[first]), at)
}

// urgent: clients see nothing that they trust.
func urgent(c *albion.Certificate, now time.Time) bool { return c.Pending || !now.Before(c.NotAfter) }

// asked is the request as it is put to the CA that the order under way is for.
func asked(c *albion.Certificate, i *albion.Issuance) (*albion.Request, bool) {
	if i.Order == nil {
		return nil, false
	}
	for _, ca := range c.Request.CAs() {
		if r := c.Request.At(ca); registrationID(r) == i.Order.Account {
			return r, true
		}
	}
	return nil, false
}

// underWay is the request as it is put to the CA that a certificate's order is
// for; ok is false when there is no order.
func underWay(s *albion.State, arn albion.ARN) (r *albion.Request, ok bool) {
	c, there := s.Certificates.Get(string(arn))
	i, known := s.Issuances.Get(string(arn))
	if !there || !known || c.Request == nil {
		return nil, false
	}
	return asked(c, i)
}

// issuedBy is the request as it would be put to the CA whose contents a
// certificate has.
func issuedBy(c *albion.Certificate, i *albion.Issuance) *albion.Request {
	for _, ca := range c.Request.CAs() {
		if ca.Directory == i.Directory {
			return c.Request.At(ca)
		}
	}
	return c.Request
}

// pass says whose turn it is after a failure, and whether that is another CA at
// once. Only a CA that cannot issue at all is passed over: a name that one CA
// cannot prove, no other one can, and would only count the failure as well.
func pass(c *albion.Certificate, i *albion.Issuance, why *albion.Setback, now time.Time) (next int, over bool) {
	if why.Kind != albion.SetbackUnavailable && why.Kind != albion.SetbackLimited {
		return 0, false
	}
	all, n := c.Request.CAs(), 0
	for k, ca := range all {
		if i.Order != nil && registrationID(c.Request.At(ca)) == i.Order.Account {
			n = k
		}
	}
	if n+1 == len(all) {
		return 0, false // from the beginning, after a pause
	}
	if n == 0 && i.Failures < triesOfTheBest && !why.Until.After(now.Add(patience)) && (!urgent(c, now) || far(i.Order)) {
		return 0, false
	}
	return n + 1, true
}

// far: what is left of an order is the CA's signature, which is worth waiting
// for.
func far(o *albion.Order) bool {
	return o != nil && (o.Step == albion.StepValidated || o.Step == albion.StepIssued)
}
