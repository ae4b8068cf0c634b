package acm

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/albion-lb/albion"
)

const (
	day = 24 * time.Hour

	// Let's Encrypt, "Rate Limits": 5 certificates for the same names in 7 days and
	// 5 failed validations in an hour. One below each is left to others, and to a
	// person who wants to try something.
	maxIssuedPerWeek = 4
	maxBegunPerHour  = 4

	shortLife     = 10 * day // below it half of the lifetime is left at renewal, not a third
	usualLookAt   = 6 * time.Hour
	withoutWindow = day
)

// Deed is what can be done for a certificate.
type Deed int

// Nothing, until something changes; Obtain it, or go on obtaining it; or Look
// when the CA wants it to be renewed.
const (
	Nothing Deed = iota
	Obtain
	Look
)

// Due is what to do next for one certificate, and when.
type Due struct {
	Certificate albion.ARN
	Deed        Deed
	At          time.Time // may be past
	Why         string
}

// Plan says what is due for every certificate that a CA issues.
func Plan(s *albion.State, now time.Time) []Due {
	used := map[albion.ARN]bool{}
	for l := range s.Listeners.All() {
		for _, arn := range l.Certificates {
			used[arn] = true
		}
	}
	var all []Due
	for c := range s.Certificates.All() {
		if c.Issuer == albion.ACME {
			all = append(all, plan(s, c, used[c.ARN], now))
		}
	}
	return all
}

func plan(s *albion.State, c *albion.Certificate, used bool, now time.Time) Due {
	i, ok := s.Issuances.Get(string(c.ARN))
	if !ok {
		i = &albion.Issuance{Certificate: c.ARN}
	}
	obtain := func(at time.Time, why string) Due {
		at = latest(at, plausible(i.Next, now), spent(s, c, i, now))
		_, from := turn(s, c, i, latest(at, now))
		return Due{c.ARN, Obtain, latest(at, from), why}
	}
	switch reason := unfit(c, i); {
	case i.Order != nil && i.Order.Step != albion.StepBegun:
		// What was ordered counts already: neither budget nor use matter.
		from := time.Time{}
		if r, ok := asked(c, i); ok {
			from = blocked(s, r, now)
		}
		return Due{c.ARN, Obtain, latest(plausible(i.Next, now), from), "the order is under way"}
	case reason != "":
		return obtain(time.Time{}, reason)
	case !used:
		return Due{Certificate: c.ARN, Why: "no listener shows it"}
	}
	renew := obtain(renewAt(c, i), "it is time to renew")
	if look := i.Window.Check; look.Before(renew.At) {
		return Due{c.ARN, Look, look, "the CA may want it renewed earlier"}
	}
	return renew
}

// unfit says why the contents are not what was requested, or "".
func unfit(c *albion.Certificate, i *albion.Issuance) string {
	elliptic := len(c.KeyAlgorithm) > 2 && c.KeyAlgorithm[:2] == "EC"
	switch {
	case c.Pending:
		return "it is requested"
	case !c.Request.MayGoTo(i.Directory):
		return "it is requested from another CA"
	case !c.Request.Covers(c.Domains):
		return "its names have changed"
	case elliptic == (c.Request.KeyType == albion.KeyRSA):
		return "its key type has changed"
	}
	return ""
}

// renewAt is when to renew: when the CA says, but no later than with a third of
// the lifetime left, or half of a short one ([LE] integration guide).
func renewAt(c *albion.Certificate, i *albion.Issuance) time.Time {
	backstop := lastCall(c)
	if w := i.Window; !w.Chosen.IsZero() && w.Chosen.Before(backstop) {
		return w.Chosen
	}
	return backstop
}

// lastCall is when a certificate is renewed whatever the CA says. It differs a
// little from one to the next, so that those that were made together do not all
// come at once.
func lastCall(c *albion.Certificate) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	return c.NotAfter.Add(-lead(life) - time.Duration(chance(string(c.ARN), c.Serial)*float64(life)/50))
}

// choose picks the moment in a window at which this certificate is renewed (RFC
// 9773 §4.2): at random over all certificates, and the same at every look.
func choose(c *albion.Certificate, w albion.Window) time.Time {
	part := chance(string(c.ARN), c.Serial, w.Start.Format(time.RFC3339), w.End.Format(time.RFC3339))
	return w.Start.Add(time.Duration(part * float64(w.End.Sub(w.Start))))
}

// chance is a number from 0 to 1 that is the same whenever it is asked for.
func chance(of ...string) float64 {
	h := sha256.New()
	for _, s := range of {
		h.Write([]byte(s)) // a hash takes everything
		h.Write([]byte{0})
	}
	return float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) / (1 << 53)
}

// blocked is until when the CA wants to be left alone.
func blocked(s *albion.State, r *albion.Request, now time.Time) time.Time {
	if account, ok := s.Registrations.Get(registrationID(r)); ok {
		return plausible(account.Blocked, now)
	}
	return time.Time{}
}

// plausible drops a moment that no pause reaches: it was written while the clock
// was wrong.
func plausible(at, now time.Time) time.Time {
	const longest = 10 * day // a CA's limits are of a week
	if at.After(now.Add(longest)) {
		return time.Time{}
	}
	return at
}

// spent is until when our own budget is used up, which is below the CA's.
func spent(s *albion.State, c *albion.Certificate, i *albion.Issuance, now time.Time) time.Time {
	var until time.Time
	if begun := since(i.Begun, now.Add(-time.Hour)); len(begun) >= maxBegunPerHour && !begun[len(begun)-1].After(now.Add(time.Hour)) {
		until = begun[len(begun)-maxBegunPerHour].Add(time.Hour)
	}
	var issued []time.Time
	for other := range s.Issuances.All() {
		if len(other.Issued) == 0 {
			continue
		}
		if o, ok := s.Certificates.Get(string(other.Certificate)); ok && c.Request.MayGoTo(other.Directory) && c.Request.Covers(o.Domains) {
			issued = append(issued, since(other.Issued, now.Add(-7*day))...)
		}
	}
	if slices.SortFunc(issued, time.Time.Compare); len(issued) >= maxIssuedPerWeek {
		until = latest(until, plausible(issued[len(issued)-maxIssuedPerWeek].Add(7*day), now))
	}
	return until
}

// since drops what happened at or before a moment.
func since(times []time.Time, moment time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return !t.After(moment) })
}

// pause is how long to wait after a number of failures in a row ([LE]
// integration guide: a minute, ten, a hundred, then a day), and less than a
// short lifetime can bear.
func pause(failures int, life time.Duration) time.Duration {
	steps := []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute}
	longest := min(day, max(life/20, time.Hour))
	if failures <= len(steps) {
		return min(steps[failures-1], longest)
	}
	return longest
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}
