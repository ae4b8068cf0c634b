package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

const (
	attemptTimeout = 2 * time.Minute
	maxAttempts    = 4 // at a time
	longestWait    = time.Hour
	storeRetry     = time.Minute // after an outcome that could not be journalled
	maxWords       = 500         // bytes of what a place says
)

// Place brings a certificate with its key to where a delivery leads. It may block
// until ctx ends. Bringing the same twice must do no harm. Errors that are
// *albion.Setback are shown as they are.
type Place func(ctx context.Context, v *albion.Delivery, cert *albion.Certificate, files acm.Files) error

// Runner delivers. Every field but Changed and Log is needed.
type Runner struct {
	State   func() *albion.State                                                               // the one in force; must not block
	Changed <-chan struct{}                                                                    // receives after certificates may have changed; may be nil
	Update  func(ctx context.Context, change func(*albion.Draft) error) (*albion.State, error) // makes change durable, or returns why not
	To      map[albion.DeliveryKind]Place
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time // time.After
	Log     *slog.Logger                         // nil: silent
}

// ended is an attempt that is over; err says that not even its outcome could be
// kept.
type ended struct {
	id  string
	err error
}

// Run delivers until ctx is done, and returns nil when all attempts have ended.
// What fails is journalled and tried again.
func (r *Runner) Run(ctx context.Context) error {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	done := make(chan ended)
	running, held := map[string]bool{}, map[string]time.Time{}
	for {
		now, wait := r.Now(), longestWait
		for _, due := range Plan(r.State()) {
			at := due.At
			if held[due.ID].After(at) {
				at = held[due.ID]
			}
			switch {
			case running[due.ID]:
			case at.After(now):
				wait = min(wait, at.Sub(now))
			case len(running) < maxAttempts:
				running[due.ID] = true
				attempts.Go(func() {
					err := r.attempt(ctx, due)
					select {
					case done <- ended{due.ID, err}:
					case <-ctx.Done():
					}
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-done:
			delete(running, e.id)
			delete(held, e.id)
			if e.err != nil {
				held[e.id] = r.Now().Add(storeRetry)
			}
		case <-r.Changed:
		case <-r.After(wait):
		}
	}
}

// attempt delivers once and journals how that ended.
func (r *Runner) attempt(ctx context.Context, due Due) error {
	s := r.State()
	v, ok := s.Deliveries.Get(due.ID)
	if !ok {
		return nil
	}
	cert, ok := s.Certificates.Get(string(v.Certificate))
	if !ok || cert.Digest() != due.Digest {
		return nil // there is something newer by now
	}
	problem := setback(r.bring(ctx, s, v, cert))
	select {
	case <-ctx.Done():
		return nil // the end of the program; the next one tries again
	default:
	}
	_, err := r.Update(ctx, func(d *albion.Draft) error {
		settle(d, due, cert.Serial, problem, r.Now())
		return nil
	})
	switch {
	case err != nil:
		r.log().Error("what became of a delivery cannot be kept", "certificate", cert.Name, "to", v.To, "error", err.Error())
	case problem != nil:
		r.log().Error("a certificate could not be delivered", "certificate", cert.Name, "kind", string(v.Kind), "to", v.To, "problem", problem.Sentence, "advice", problem.Advice, "words", problem.Words)
	default:
		r.log().Info("certificate delivered", "certificate", cert.Name, "kind", string(v.Kind), "to", v.To, "serial", cert.Serial)
	}
	return err
}

// bring hands a certificate to the place, which has a limited time.
func (r *Runner) bring(ctx context.Context, s *albion.State, v *albion.Delivery, cert *albion.Certificate) error {
	files, err := acm.Export(s, string(cert.ARN))
	if err != nil {
		return err
	}
	place, ok := r.To[v.Kind]
	if !ok {
		return &albion.Setback{Kind: albion.SetbackRefused, Sentence: "there is no way here to deliver to " + string(v.Kind)}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err = place(ctx, v, cert, files)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &albion.Setback{Kind: albion.SetbackUnavailable, Sentence: "it took more than " + attemptTimeout.String(), Advice: "it is tried again by itself"}
	}
	return err
}

// setback is an error as it is journalled: nil for nil.
func setback(err error) *albion.Setback {
	if err == nil {
		return nil
	}
	var s *albion.Setback
	if !errors.As(err, &s) {
		return &albion.Setback{Kind: albion.SetbackRefused, Sentence: short(err.Error())}
	}
	out := *s
	out.Sentence, out.Advice, out.Words = short(s.Sentence), short(s.Advice), short(s.Words)
	return &out
}

func short(text string) string {
	if len(text) <= maxWords {
		return text
	}
	cut := maxWords
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

func (r *Runner) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}
