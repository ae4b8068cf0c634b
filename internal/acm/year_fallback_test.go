package acm_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

const elsewhere = "https://other.example.com/directory"

// shared is what happened in a year to a certificate that two CAs may issue.
type shared struct {
	best, other int           // certificates by each
	failed      int           // attempts
	dark        time.Duration // without a valid certificate, after the first
	astray      int           // orders that name what another CA has issued
	last        string        // directory of the last issuer
}

// liveWithTwo is live with a second CA that is always there.
func liveWithTwo(t *testing.T, life time.Duration, down func(time.Time) bool) (out shared) {
	t.Helper()
	ca, d := newAuthority(t), draft()
	cert, _, err := acm.Request(d, acm.CARequest{
		Domains: []string{"chat.example.com"}, Issuer: "letsencrypt", Fallbacks: []acm.Choice{{Issuer: elsewhere}}, Now: noon, Rand: rand.Reader, ID: [16]byte{7},
	})
	if err != nil {
		t.Fatal(err)
	}
	show(d, cert.ARN)
	state := finish(t, d)
	for now, rounds := noon, 0; now.Before(noon.Add(365 * day)); rounds++ {
		if rounds > 20_000 {
			t.Fatalf("too much is done: %+v", out)
		}
		due := acm.Plan(state, now)[0]
		if due.At.After(now) {
			now = due.At
			continue
		}
		d := albion.NewDraft(state)
		if due.Deed == acm.Look {
			err = acm.Looked(d, cert.ARN, albion.Window{Check: now.Add(day)}, now)
		} else {
			err = out.order(t, ca, d, cert.ARN, now, life, down(now))
		}
		if err != nil {
			t.Fatal(err)
		}
		state = finish(t, d)
	}
	return out
}

// order plays one attempt, at the CA whose turn it is.
func (out *shared) order(t *testing.T, ca *authority, d *albion.Draft, arn albion.ARN, now time.Time, life time.Duration, down bool) error {
	t.Helper()
	before, _ := d.Certificates.Get(string(arn))
	begun(t, d, arn, now)
	i, _ := d.Issuances.Get(string(arn))
	account, _ := d.Registrations.Get(i.Order.Account)
	if i.Order.Replaces != "" && i.Directory != account.Directory {
		out.astray++
	}
	if down && account.Directory != elsewhere {
		out.failed++
		return acm.Fail(d, arn, &albion.Setback{Kind: albion.SetbackUnavailable, Sentence: "down", Advice: "wait"}, now)
	}
	if out.last = account.Directory; out.last == elsewhere {
		out.other++
	} else {
		out.best++
	}
	if !before.Pending {
		out.dark += max(0, now.Sub(before.NotAfter))
	}
	ca.complete(d, arn, now, life)
	return acm.Install(d, arn, now)
}

// The preferred CA is down for twenty days when it is needed. The other one steps
// in, no moment is without a valid certificate, whatever the lifetime, and
// afterwards everything is as before.
func TestAYearWithAnotherCAToFallBackOn(t *testing.T) {
	for _, c := range []struct {
		name        string
		life        time.Duration
		first       int // day that the preferred CA goes down
		best, other [2]int
		failed      int // at most
	}{
		{"90 days", 90 * day, 55, [2]int{5, 6}, [2]int{1, 1}, 3},
		{"45 days", 45 * day, 25, [2]int{10, 12}, [2]int{1, 1}, 3},
		{"6 days", 160 * time.Hour, 100, [2]int{95, 112}, [2]int{5, 8}, 24},
		{"from the beginning", 90 * day, 0, [2]int{4, 6}, [2]int{1, 1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := noon.Add(time.Duration(c.first) * day)
			got := liveWithTwo(t, c.life, func(now time.Time) bool { return !now.Before(from) && now.Before(from.Add(20*day)) })
			t.Logf("%+v", got)
			if got.best < c.best[0] || got.best > c.best[1] || got.other < c.other[0] || got.other > c.other[1] || got.failed > c.failed {
				t.Errorf("want %v by the preferred CA, %v by the other, %d failed", c.best, c.other, c.failed)
			}
			if got.dark != 0 || got.astray != 0 || got.last == elsewhere {
				t.Errorf("%s without a certificate, %d orders astray, last by %s", got.dark, got.astray, got.last)
			}
		})
	}
}
