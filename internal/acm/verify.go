package acm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

const (
	lookAgain   = 10 * time.Minute // after a listener showed something else
	lookTimeout = 10 * time.Second // of one handshake
	maxSeen     = 500              // letters of a report
)

// ErrNotLetIn says that a listener's security groups keep this machine out, so
// that it cannot see what others see.
var ErrNotLetIn = errors.New("its security groups do not let this machine in")

// Witness looks at what our own listeners show after the contents of a CA's
// certificate have changed, as a client would, and keeps what it saw. Every field
// but Changed, Live and Log is needed.
type Witness struct {
	State   func() *albion.State                                                               // the one in force; must not block
	Changed <-chan struct{}                                                                    // receives after certificates may have changed; may be nil
	Update  func(ctx context.Context, change func(*albion.Draft) error) (*albion.State, error) // makes change durable, or returns why not
	Live    func(ctx context.Context, version uint64) error                                    // returns when this version is served; nil: it is at once
	// Shake returns the leaf that a listener shows to a client that asks for a
	// name, or for none; ErrNotLetIn when it cannot be asked. It may block until ctx
	// ends.
	Shake func(ctx context.Context, l *albion.Listener, name string) (*x509.Certificate, error)
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time // time.After
	Log   *slog.Logger                         // nil: silent
}

// Run looks until ctx is done and returns nil then.
func (w *Witness) Run(ctx context.Context) error {
	retry := time.Duration(0)
	for ctx.Err() == nil {
		s := w.State()
		arn, wait := unseen(s, w.Now())
		if wait = max(wait, retry); wait > 0 {
			retry = 0
			select {
			case <-ctx.Done():
			case <-w.Changed:
			case <-w.After(wait):
			}
			continue
		}
		if err := w.look(ctx, s, arn); err != nil && ctx.Err() == nil {
			w.log().Error("what is served cannot be looked at", "certificate", arn, "error", err)
			retry = lookAgain
		}
	}
	return nil
}

// unseen is the certificate to look at next, and how long to wait until then, at
// most longestWait.
func unseen(s *albion.State, now time.Time) (albion.ARN, time.Duration) {
	arn, wait := albion.ARN(""), longestWait
	for l := range s.Listeners.All() {
		for _, shown := range l.Certificates {
			c, ok := s.Certificates.Get(string(shown))
			if !ok || c.Issuer != albion.ACME || c.Pending {
				continue
			}
			i, ok := s.Issuances.Get(string(shown))
			until := time.Duration(0)
			switch {
			case !ok:
				continue
			case i.Sighting == nil || i.Sighting.Serial != c.Serial:
			case i.Sighting.Problem == "":
				continue
			default:
				until = max(0, i.Sighting.At.Add(lookAgain).Sub(now))
			}
			if until < wait || arn == "" && until == wait {
				arn, wait = shown, until
			}
		}
	}
	return arn, wait
}

// look asks every listener that shows a certificate.
func (w *Witness) look(ctx context.Context, s *albion.State, arn albion.ARN) error {
	c, ok := s.Certificates.Get(string(arn))
	if !ok {
		return nil
	}
	if w.Live != nil {
		if err := w.Live(ctx, s.Version); err != nil {
			return err
		}
	}
	var problems, notes []string
	for l := range s.Listeners.All() {
		if !slices.Contains(l.Certificates, arn) {
			continue
		}
		problem, note := w.ask(ctx, s, l, c)
		if problem != "" {
			problems = append(problems, listenerName(s, l)+" "+problem)
		}
		if note != "" {
			notes = append(notes, listenerName(s, l)+" "+note)
		}
	}
	if over(ctx) {
		return nil
	}
	saw := &albion.Sighting{Serial: c.Serial, At: w.Now(), Problem: bounded(strings.Join(problems, "; ")), Note: bounded(strings.Join(notes, "; "))}
	_, err := w.Update(ctx, func(d *albion.Draft) error { return sight(d, arn, saw) })
	if errors.Is(err, errSuperseded) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case saw.Problem != "":
		w.log().Warn("a certificate is in place and not served", "certificate", arn, "name", c.Name, "serial", c.Serial, "problem", saw.Problem)
	default:
		w.log().Info("the certificate is served", "certificate", arn, "name", c.Name, "serial", c.Serial, "note", saw.Note)
	}
	return nil
}

// ask says what is wrong with what one listener shows, or why it could not be
// asked.
func (w *Witness) ask(ctx context.Context, s *albion.State, l *albion.Listener, c *albion.Certificate) (problem, note string) {
	name, ok := askedName(l, c)
	if !ok {
		return "", "shows it only to clients that it cannot be told from"
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	leaf, err := w.Shake(ctx, l, name)
	switch {
	case errors.Is(err, ErrNotLetIn):
		return "", "could not be asked: " + err.Error()
	case err != nil:
		return "does not answer a handshake for " + name + ": " + printable(err.Error()), ""
	}
	found := serial(leaf)
	if found == c.Serial {
		return "", ""
	}
	for _, other := range l.Certificates {
		if o, ok := s.Certificates.Get(string(other)); ok && o.ARN != c.ARN && o.Serial == found {
			return "", "answers for " + name + " with the certificate " + o.Name + ", which is for the same name"
		}
	}
	return fmt.Sprintf("still shows the certificate with the serial %s for %s, valid until %s", found, name, date(leaf.NotAfter)), ""
}

// askedName is a name by which a client gets a certificate; "" for a client that
// names none, which gets the default.
func askedName(l *albion.Listener, c *albion.Certificate) (name string, ok bool) {
	for _, domain := range c.Domains {
		if _, err := netip.ParseAddr(domain); err == nil {
			continue
		}
		if rest, wild := strings.CutPrefix(domain, "*."); wild {
			return "any." + rest, true
		}
		return domain, true
	}
	return "", len(l.Certificates) > 0 && l.Certificates[0] == c.ARN
}

// sight journals what was seen.
func sight(d *albion.Draft, arn albion.ARN, saw *albion.Sighting) error {
	c, ok := d.Certificates.Get(string(arn))
	if _, known := d.Issuances.Get(string(arn)); !ok || !known || c.Serial != saw.Serial {
		return errSuperseded
	}
	i := issuance(d, arn)
	i.Sighting = saw
	albion.Put(d, i)
	return nil
}

func bounded(text string) string {
	if letters := []rune(text); len(letters) > maxSeen {
		return string(letters[:maxSeen]) + "…"
	}
	return text
}

// listenerName is LOADBALANCER:PORT.
func listenerName(s *albion.State, l *albion.Listener) string {
	name := string(l.LoadBalancer)
	if lb, ok := s.LoadBalancers.Get(name); ok {
		name = lb.Name
	}
	return name + ":" + strconv.Itoa(int(l.Port))
}

func (w *Witness) log() *slog.Logger {
	if w.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return w.Log
}
