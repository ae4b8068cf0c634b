package acm

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

const (
	clearTimeout = 2 * time.Minute
	// By the pauses between them that is two weeks: what could not be removed by then
	// needs a person.
	maxClears = 16
)

// clear removes what an order left. It is tried again until it is done.
func (m *Manager) clear(ctx context.Context, id string) error {
	s := m.State()
	l, ok := s.Leftovers.Get(id)
	if !ok {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	err := m.tidy(limited, s, l)
	if ctx.Err() != nil {
		return nil // it is still in the journal
	}
	last := err != nil && l.Failures+1 >= maxClears
	_, kept := m.Update(ctx, func(d *albion.Draft) error {
		old, ok := d.Leftovers.Get(id)
		if !ok {
			return nil
		}
		if err == nil || last {
			albion.Delete[*albion.Leftover](d, id)
			return nil
		}
		next := *old
		next.Failures++
		next.Next = m.Now().Add(pause(next.Failures, 90*day))
		albion.Put(d, &next)
		return nil
	})
	if err != nil {
		m.log().Warn("what proved names could not be removed", "method", l.Request.Way(), "names", strings.Join(proved(l), " "), "error", printable(err.Error()), "given_up", last)
	}
	return kept
}

// proved lists where the proofs are.
func proved(l *albion.Leftover) []string {
	var all []string
	for _, a := range l.Answers {
		name := a.Domain
		if a.Challenge == albion.ChallengeDNS {
			name = albion.ChallengeName(a.Domain)
		}
		all = append(all, name)
	}
	return all
}

// tidy removes what was presented and gives back the names that are not proved.
func (m *Manager) tidy(ctx context.Context, s *albion.State, l *albion.Leftover) error {
	solver, err := m.solver(ctx, s, "", l.Request)
	if err != nil && l.Request.Method.Presents() {
		return err
	}
	config := m.CA
	config.Directory, config.Roots, config.Now, config.Solver = l.Request.Directory, l.Request.Roots, m.Now, solver
	client, err := acme.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	order := &albion.Order{Answers: l.Answers}
	err = client.CleanUp(ctx, order)
	if l.Proved {
		return err
	}
	account, ok := s.Registrations.Get(l.Account)
	key, there := s.Keys.Get("account/" + l.Account)
	if !ok || !there || account.URL == "" {
		return err // nobody is there any more to whom they count
	}
	signs, broken := signer(key)
	if broken != nil {
		return errors.Join(err, broken)
	}
	return errors.Join(err, client.GiveBack(ctx, acme.Task{Registration: account, AccountKey: signs, Request: l.Request, Order: order}))
}
