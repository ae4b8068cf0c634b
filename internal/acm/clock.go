package acm

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// mostSkew is how far our clock may be from the CA's before nothing is decided by
// it any more: a wrong one sees certificates expire that do not.
const mostSkew = day

// ready says what is in the way of a new order on this machine.
func (m *Manager) ready(ctx context.Context, client *acme.Client, s *albion.State, arn albion.ARN) error {
	r, ok := underWay(s, arn)
	if i, known := s.Issuances.Get(string(arn)); !ok || !known || i.Order.Step != albion.StepBegun {
		return nil
	}
	if m.Keeps != nil {
		if err := m.Keeps(r); err != nil {
			return &albion.Setback{
				Kind: albion.SetbackHere, Sentence: "what the CA issues could not be kept on this machine",
				Advice: "mend the data folder, or choose another one with --data; it is tried again by itself", Words: printable(err.Error()),
			}
		}
	}
	return checkTime(ctx, client)
}

// checkTime asks the CA what time it is before anything is ordered.
func checkTime(ctx context.Context, client *acme.Client) error {
	ahead, known, err := client.Clock(ctx)
	if err != nil || !known || ahead.Abs() <= mostSkew {
		return err
	}
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	return &albion.Setback{
		Kind: albion.SetbackClock, Sentence: "this machine's clock is " + span(ahead.Abs()) + " " + way + " the CA's",
		Advice: "set it right, by a time service such as chrony or systemd-timesyncd; nothing is renewed by a clock that is wrong",
	}
}

// early says that what the CA has issued is not valid yet by our clock. It is kept
// until it is.
func early(chain string, now time.Time) error {
	if leaf, err := parseFirst(chain); err == nil && now.Before(leaf.NotBefore) {
		return notYet(leaf)
	}
	return nil // one that cannot be read is refused by who installs it
}

func notYet(leaf *x509.Certificate) error {
	return &albion.Setback{
		Kind: albion.SetbackClock, Sentence: "what the CA has issued is not valid before " + date(leaf.NotBefore) + " by this machine's clock",
		Advice: "check the clock; it is put in place by itself once it is valid", Until: leaf.NotBefore,
	}
}
