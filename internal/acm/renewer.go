package acm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/albion-lb/albion"
)

const (
	renewalGrace = 2 * time.Hour // after which a table no longer says that a renewal is under way
	firstRetry   = time.Minute
	lastRetry    = time.Hour

	// A timer does not notice that the machine slept or that its clock was set,
	// so none is set for longer.
	longestWait = time.Hour
)

// Renewer renews the local certificates in time. Every field but Changed and
// Log is needed.
type Renewer struct {
	State   func() *albion.State                                              // the one in force; must not block
	Changed <-chan struct{}                                                   // receives after certificates may have changed; may be nil
	Update  func(ctx context.Context, change func(*albion.Draft) error) error // makes change durable, or returns why not
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time // time.After
	Rand    io.Reader                            // crypto/rand.Reader
	Log     *slog.Logger                         // nil: silent
}

// Run renews until ctx is done and returns nil then. A renewal that fails is
// logged and tried again.
func (r *Renewer) Run(ctx context.Context) error {
	retry := time.Duration(0)
	for ctx.Err() == nil {
		if !r.wait(ctx, retry) {
			continue
		}
		if err := r.renew(ctx); err != nil {
			retry = min(max(2*retry, firstRetry), lastRetry)
			r.log().Error("local certificates could not be renewed", "error", err, "retry", retry)
			continue
		}
		retry = 0
	}
	return nil
}

// wait returns true when it is time to renew: retry after a failure, or when a
// certificate is due. It returns early, for another look, when something has
// happened.
func (r *Renewer) wait(ctx context.Context, retry time.Duration) bool {
	span := retry
	if retry == 0 {
		span = untilDue(r.State(), r.Now())
	}
	if span == 0 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-r.Changed:
	case <-r.After(span):
	}
	return retry > 0
}

func (r *Renewer) renew(ctx context.Context) error {
	var renewed []albion.ARN
	err := r.Update(ctx, func(d *albion.Draft) (err error) {
		renewed, err = Renew(d, r.Now(), r.Rand)
		return err
	})
	if err != nil {
		return err
	}
	for _, arn := range renewed {
		r.log().Info("local certificate renewed", "certificate", arn)
	}
	if untilDue(r.State(), r.Now()) == 0 {
		return fmt.Errorf("acm: certificates are still due after their renewal")
	}
	return nil
}

func (r *Renewer) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

// untilDue is how long nothing needs to be done, at most longestWait.
func untilDue(s *albion.State, now time.Time) time.Duration {
	wait := longestWait
	for c := range s.Certificates.All() {
		if c.Issuer == albion.Local || c.Pending {
			wait = min(wait, max(0, dueAt(c).Sub(now)))
		}
	}
	return wait
}
