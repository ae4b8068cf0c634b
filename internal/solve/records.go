package solve

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// recordTTL is short: nothing is to remember a proof that is gone.
const recordTTL = time.Minute

// keeper changes TXT records in somebody's zones.
type keeper interface {
	// check says whether records can be changed there, as far as that can be seen
	// without changing any.
	check(ctx context.Context, at place) error
	// add adds a value beside those that the name has. Adding it twice is no mistake.
	add(ctx context.Context, at place, value string) error
	// remove removes exactly this value. That it is not there is no mistake.
	remove(ctx context.Context, at place, value string) error
}

// records proves names by TXT records that a keeper adds.
type records struct {
	*watch
	keeper keeper
	way    string // as users write it
}

// Prepare looks whether the records belong where they can be written, before a CA
// is asked for anything.
func (r *records) Prepare(ctx context.Context, domains []string) error {
	for _, domain := range domains {
		at, err := locate(ctx, r.cfg.Resolver, albion.ChallengeName(domain))
		if err != nil {
			return err
		}
		if err := r.keeper.check(ctx, at); err != nil {
			return r.failed("added", at, err)
		}
	}
	return nil
}

// Present adds the records and waits until all servers show them.
func (r *records) Present(ctx context.Context, all []acme.Presentation) error {
	sights := r.sights(ctx, all)
	for _, s := range sights {
		if s.err != nil {
			return s.err
		}
		if err := r.keeper.add(ctx, s.place, s.value); err != nil {
			return r.failed("added", s.place, err)
		}
	}
	return r.until(ctx, r.cfg.Patience, func(context.Context) []sight { return sights })
}

// CleanUp removes the records.
func (r *records) CleanUp(ctx context.Context, all []acme.Presentation) (err error) {
	for _, s := range r.sights(ctx, all) {
		failed := s.err
		if failed == nil {
			failed = r.keeper.remove(ctx, s.place, s.value)
		}
		if failed != nil {
			err = errors.Join(err, r.failed("removed", s.place, failed))
		}
	}
	return err
}

// failed says which record could not be changed, unless the error does.
func (r *records) failed(what string, at place, err error) error {
	var known *albion.Setback
	if errors.As(err, &known) {
		return err
	}
	method, _, _ := strings.Cut(r.way, "=")
	return setback("the TXT record "+at.name+" could not be "+what+" by "+method, "mend what the words below name; it is tried again by itself"+at.leads(), err)
}
