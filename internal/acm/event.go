package acm

import (
	"time"

	"github.com/albion-lb/albion"
)

const reportEvery = day // while one attempt after the other fails

// announce puts a notice for every hook that wants to hear of something. Too many
// for one hook push out its oldest.
func announce(d *albion.Draft, kind albion.EventKind, c *albion.Certificate, about albion.Notice) {
	for h := range d.Hooks.All() {
		if !h.Wants(kind, c.Name) {
			continue
		}
		n := about
		n.ID = about.At.UTC().Format("20060102T150405.000000000Z") + "-" + string(kind) + "-" + h.Name + "-" + string(c.ARN[max(0, len(c.ARN)-8):])
		n.Hook, n.Event, n.Certificate, n.Name, n.Domains = h.Name, kind, c.ARN, c.Name, c.Domains
		n.Serial, n.NotAfter, n.Next = c.Serial, c.NotAfter, about.At
		makeRoom(d, h.Name)
		albion.Put(d, &n)
	}
}

// makeRoom drops the oldest notices of a hook that takes none.
func makeRoom(d *albion.Draft, hook string) {
	most := albion.MaxNotices / max(1, d.Hooks.Len())
	var mine []string
	for n := range d.Notices.All() {
		if n.Hook == hook {
			mine = append(mine, n.ID) // by age
		}
	}
	for len(mine) >= most {
		albion.Delete[*albion.Notice](d, mine[0])
		mine = mine[1:]
	}
}

// report announces a failure: the first one, and one a day of those that follow.
func report(d *albion.Draft, c *albion.Certificate, i *albion.Issuance, r *albion.Request, now time.Time) {
	if !i.Reported.IsZero() && now.Before(i.Reported.Add(reportEvery)) && !i.Reported.After(now) {
		return
	}
	i.Reported = now
	announce(d, albion.EventFailed, c, albion.Notice{At: now, CA: r.Host(), Problem: i.Last})
}

// riskAt is when a certificate that is shown is at risk: half of the time for its
// renewal is over. Of one that comes from outside the whole time is somebody
// else's, who is told at its beginning.
func riskAt(c *albion.Certificate) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	if c.Issuer == albion.Imported {
		return c.NotAfter.Add(-min(30*day, life/3))
	}
	return c.NotAfter.Add(-lead(life) / 2)
}

// lead is how long before its end a certificate is renewed at the latest ([LE]
// integration guide).
func lead(life time.Duration) time.Duration {
	if life < shortLife {
		return life / 2
	}
	return life / 3
}

// alarm is what is to be said of a certificate that listeners show, and from when
// on; "" is nothing.
func alarm(c *albion.Certificate, now time.Time) (kind albion.EventKind, at time.Time) {
	switch {
	case c.Pending || c.Told == albion.EventExpired:
		return "", time.Time{}
	case c.Told == albion.EventAtRisk || !now.Before(c.NotAfter):
		return albion.EventExpired, c.NotAfter
	}
	return albion.EventAtRisk, riskAt(c)
}

// alarms lists the certificates of which something is to be said, and how long
// to wait until there is one.
func alarms(s *albion.State, now time.Time) (due []albion.ARN, wait time.Duration) {
	wait = longestWait
	seen := map[albion.ARN]bool{}
	for l := range s.Listeners.All() {
		for _, arn := range l.Certificates {
			c, ok := s.Certificates.Get(string(arn))
			if !ok || seen[arn] {
				continue
			}
			seen[arn] = true
			kind, at := alarm(c, now)
			switch {
			case kind == "":
			case at.After(now):
				wait = min(wait, at.Sub(now))
			default:
				due = append(due, arn)
			}
		}
	}
	return due, wait
}

// raise journals that an alarm has been said, with what hooks are told.
func raise(d *albion.Draft, arn albion.ARN, now time.Time) (albion.EventKind, *albion.Certificate) {
	old, ok := d.Certificates.Get(string(arn))
	if !ok {
		return "", nil
	}
	kind, at := alarm(old, now)
	if kind == "" || at.After(now) {
		return "", nil
	}
	c := *old
	c.Told = kind
	albion.Put(d, &c)
	about := albion.Notice{At: now}
	if i, ok := d.Issuances.Get(string(arn)); ok {
		about.Problem = i.Last
	}
	if c.Request != nil {
		about.CA = c.Request.Host()
	}
	announce(d, kind, &c, about)
	return kind, &c
}
