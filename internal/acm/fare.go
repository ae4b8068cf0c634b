package acm

import (
	"time"

	"github.com/albion-lb/albion"
)

// The words of Fare for certificates that a CA issues, besides those of Status.
const (
	StatusPending  = "pending"    // the first contents are on their way
	StatusRenewing = "renewing"   // a renewal is under way
	StatusRetrying = "retrying"   // the last attempt failed
	StatusAtRisk   = "at risk"    // half of the time for the renewal is over
	StatusUnserved = "not served" // it is in place, and a listener shows something else
	StatusWaiting  = "waiting"    // for something that a person has to do
)

// Fare is how a certificate fares.
type Fare struct {
	Word   string // ok, pending, …
	Reason string
	Next   string // what happens next and when, or ""
	Method string // how the next contents come: import, local CA, http at a CA, …
}

// FareOf says how a certificate is, what happens next, and how.
func FareOf(s *albion.State, c *albion.Certificate, now time.Time, used bool) Fare {
	switch c.Issuer {
	case albion.Imported:
		word, reason := Status(c, now, used)
		return Fare{word, reason, "import it again before " + c.NotAfter.UTC().Format(time.DateOnly), "import"}
	case albion.Local:
		word, reason := Status(c, now, used)
		return Fare{word, reason, "renewed " + moment(dueAt(c), now), "local CA"}
	}
	i, ok := s.Issuances.Get(string(c.ARN))
	if !ok {
		i = &albion.Issuance{}
	}
	f := Fare{Method: method(c.Request)}
	if i.Directory != "" && i.Directory != c.Request.Directory && c.Request.MayGoTo(i.Directory) {
		f.Method += ", this one by " + IssuerName(i.Directory)
	}
	due := plan(s, c, used, now)
	f.Next = next(due, i, c, now)
	f.Word, f.Reason = condition(c, i, now, used)
	return f
}

// DueAt is when a CA is asked for the next contents of a certificate; ok is false
// when it is not, because nothing uses the certificate.
func DueAt(s *albion.State, c *albion.Certificate, now time.Time) (at time.Time, ok bool) {
	used := shown(s, c.ARN)
	due := plan(s, c, used, now)
	if due.Deed == Look {
		i, known := s.Issuances.Get(string(c.ARN))
		if !known {
			i = &albion.Issuance{}
		}
		return latest(renewAt(c, i), now), true
	}
	return latest(due.At, now), due.Deed == Obtain
}

// condition is the word for a certificate of a CA, and why.
func condition(c *albion.Certificate, i *albion.Issuance, now time.Time, used bool) (word, reason string) {
	word, reason = lifetime(c.NotBefore, c.NotAfter, now)
	if word == StatusExpiring {
		word = StatusOK // which of the certificates that a CA issues is late is said by its journal
	}
	switch {
	case waits(c.Request, i.Order):
		return StatusWaiting, records(i.Order)
	case c.Pending && i.Last != nil:
		return StatusRetrying, i.Last.Error()
	case c.Pending:
		return StatusPending, "the CA has not issued it yet; meanwhile the local CA's is shown"
	case word == StatusExpired:
		if i.Last != nil {
			reason += "; " + i.Last.Error()
		}
		return StatusExpired, reason
	case used && !now.Before(riskAt(c)):
		return StatusAtRisk, "expires in " + span(c.NotAfter.Sub(now)) + lastWords(i)
	case i.Last != nil:
		return StatusRetrying, i.Last.Error()
	case used && i.Sighting != nil && i.Sighting.Serial == c.Serial && i.Sighting.Problem != "":
		return StatusUnserved, i.Sighting.Problem
	case i.Order != nil:
		return StatusRenewing, "an order is under way"
	case word == StatusOK && !used:
		return StatusUnused, "no listener shows it, so it is not renewed"
	}
	return word, reason
}

// lastWords is why the last attempt failed, to follow something else.
func lastWords(i *albion.Issuance) string {
	if i.Last == nil {
		return ""
	}
	return ": " + i.Last.Error()
}

func next(due Due, i *albion.Issuance, c *albion.Certificate, now time.Time) string {
	switch {
	case due.Deed == Nothing:
		return ""
	case waits(c.Request, i.Order):
		if end := expiry(i.Order); !end.IsZero() {
			return "goes on by itself once it is seen, until " + date(end)
		}
		return "goes on by itself once it is seen"
	case due.Deed == Look:
		return "renewed " + moment(renewAt(c, i), now)
	case i.Last != nil:
		return "tried again " + moment(due.At, now)
	case c.Pending || i.Order != nil:
		return "obtained " + moment(due.At, now)
	}
	return "renewed " + moment(due.At, now)
}

// moment is "now" or "at 2026-01-02 15:04 UTC".
func moment(at, now time.Time) string {
	if !at.After(now) {
		return "now"
	}
	return "at " + date(at)
}

// method is "http at letsencrypt".
func method(r *albion.Request) string {
	way := r.Way()
	if r.Method == albion.MethodAuto {
		way = "http or tls-alpn"
	}
	ca := IssuerName(r.Directory)
	if ca == r.Directory {
		ca = r.Host()
	}
	return way + " at " + ca
}

// Expiry is when the CA stops waiting for the proofs of a certificate's order;
// zero: nothing is under way, or the CA does not say.
func Expiry(i *albion.Issuance) time.Time {
	if i.Order == nil {
		return time.Time{}
	}
	return expiry(i.Order)
}
