package acm

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

const (
	prepareTimeout = 2 * time.Minute // for what is to be seen before a CA is asked
	// A person who makes a CNAME for the first time needs a registrar's password, a
	// colleague, a night.
	personTimeout = 24 * time.Hour
)

// job is something that can be done now or later.
type job struct {
	id      string
	at      time.Time
	request *albion.Request // that it is done for; nil: it does not end with one
	clears  bool            // it removes what an attempt left
	do      func(context.Context) error
}

// jobs is all that can be done: what Plan says, and what orders left.
func (m *Manager) jobs(s *albion.State, now time.Time) []job {
	var all []job
	for _, due := range Plan(s, now) {
		if due.Deed == Nothing {
			continue
		}
		j := job{id: string(due.Certificate), at: due.At, do: func(ctx context.Context) error { return m.do(ctx, due) }}
		if c, ok := s.Certificates.Get(j.id); ok {
			j.request = c.Request
		}
		all = append(all, j)
	}
	for l := range s.Leftovers.All() {
		all = append(all, job{id: "leftover/" + l.ID, at: l.Next, clears: true, do: func(ctx context.Context) error { return m.clear(ctx, l.ID) }})
	}
	return all
}

// attempt is a job under way.
type attempt struct {
	request  *albion.Request
	cancel   context.CancelCauseFunc
	stopping bool
}

// ended is an attempt that has come to its end; err says that not even its
// outcome could be kept.
type ended struct {
	id  string
	err error
}

// supersede ends attempts at what nobody wants any more. An attempt may wait for
// a person for days.
func supersede(running map[string]*attempt, s *albion.State) {
	for id, a := range running {
		if a.request == nil {
			continue
		}
		if c, ok := s.Certificates.Get(id); !ok || c.Request != a.request && !reflect.DeepEqual(c.Request, a.request) {
			a.stopping = true
			a.cancel(errSuperseded)
		}
	}
}

// stopping says whether an attempt is being ended: until it has, it may present
// what is to be cleared.
func stopping(running map[string]*attempt) bool {
	for _, a := range running {
		if a.stopping {
			return true
		}
	}
	return false
}

func tooLong() *albion.Setback {
	return &albion.Setback{Kind: albion.SetbackUnavailable, Sentence: "the CA took more than " + attemptTimeout.String(), Advice: "it is tried again by itself"}
}

// solver is who presents the proofs of a request; nil when our own listeners and
// zones answer.
func (m *Manager) solver(ctx context.Context, s *albion.State, arn albion.ARN, r *albion.Request) (acme.Solver, error) {
	switch {
	case r.Method == albion.MethodAuto, r.Method == albion.MethodHTTP, r.Method == albion.MethodALPN:
		return nil, nil
	case m.Solver == nil:
		return nil, &albion.Setback{Kind: albion.SetbackName, Sentence: "nothing here can prove names by " + r.Way(), Advice: "choose another challenge"}
	}
	solver, err := m.Solver(ctx, s, r, func(all []albion.Wanted) { m.waits.set(arn, all) })
	if err == nil {
		return solver, nil
	}
	return nil, ours(err, "names cannot be proved by "+r.Way())
}

// ours is what failed here and not at the CA. sentence says what, should the error
// be none for people.
func ours(err error, sentence string) *albion.Setback {
	out := &albion.Setback{Kind: albion.SetbackName, Sentence: sentence, Advice: "mend that, and request the certificate again; it is tried again by itself too"}
	var known *albion.Setback
	if errors.As(err, &known) {
		*out = *known
	} else {
		out.Words = strings.TrimPrefix(strings.Map(visible, err.Error()), "solve: ")
		out.Words = strings.ToValidUTF8(out.Words[:min(len(out.Words), 500)], "")
	}
	out.Ours = true
	return out
}

// visible keeps what others wrote from disturbing a terminal.
func visible(r rune) rune {
	if r < ' ' || r == 0x7f || r == '\uFFFD' {
		return ' '
	}
	return r
}

// solving is a client with whoever presents what proves the names.
func (m *Manager) solving(ctx context.Context, s *albion.State, arn albion.ARN, r *albion.Request) (*acme.Client, error) {
	solver, err := m.solver(ctx, s, arn, r)
	if err != nil {
		return nil, err
	}
	config := m.CA
	config.Directory, config.Roots, config.Now, config.Solver = r.Directory, r.Roots, m.Now, solver
	return acme.New(config)
}

// prepare looks at what has to be there before a CA is asked, such as the CNAME
// of a delegation. For a new certificate it waits until a person has made it; a
// renewal, where it was there before, fails soon and says so.
func (m *Manager) prepare(ctx context.Context, arn albion.ARN) error {
	s := m.State()
	cert, ok := s.Certificates.Get(string(arn))
	if !ok || cert.Request == nil {
		return errSuperseded
	}
	i, known := s.Issuances.Get(string(arn))
	if !known {
		i = &albion.Issuance{}
	}
	if i.Order != nil && i.Order.Step != albion.StepBegun {
		return nil
	}
	solver, err := m.solver(ctx, s, arn, cert.Request)
	if err != nil {
		return err
	}
	preparer, ok := solver.(acme.Preparer)
	if !ok {
		return nil
	}
	limit := prepareTimeout
	if unfit(cert, i) != "" {
		limit = personTimeout
	}
	m.waits.begin(arn)
	defer m.waits.end(arn)
	return m.awaited(ctx, arn, limit, func(ctx context.Context) error {
		err := preparer.Prepare(ctx, cert.Request.Domains)
		if err == nil || ctx.Err() != nil {
			return err
		}
		return ours(err, "it cannot be seen whether names can be proved by "+cert.Request.Way())
	})
}

// awaited bounds what waits for the world; when the time is up the error says for
// what.
func (m *Manager) awaited(ctx context.Context, arn albion.ARN, limit time.Duration, wait func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := wait(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return missing(m.waits.of(arn))
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// missing is what was waited for in vain.
func missing(all []albion.Wanted) *albion.Setback {
	out := &albion.Setback{Ours: true, Kind: albion.SetbackName, Sentence: "what proves the names was not to be seen in time", Advice: "it is tried again by itself"}
	for _, w := range all {
		has, asked := w.Seen()
		switch {
		case asked > 0 && has == asked && w.Problem == "":
			continue
		case w.Problem != "":
			out.Sentence = w.Problem
		default:
			out.Sentence = "the " + string(w.Type) + " record of " + w.Name + " was not to be seen in time"
		}
		out.Advice = w.String()
		if w.Type == albion.TypeTXT {
			out.Advice = "request the certificate again: there will be another value to add"
		}
		var laggards []string
		for _, s := range w.Servers {
			if !s.Has {
				laggards = append(laggards, s.Server+": "+s.Says)
			}
		}
		out.Words = printable(strings.Join(laggards[:min(len(laggards), 8)], "; "))
		return out
	}
	return out
}

// limit bounds a step: all steps of an attempt have a time together, apart from
// one in which a person has something to do, which has as long as the CA waits.
// done ends it and says whether it was one of those.
func (m *Manager) limit(ctx context.Context, arn albion.ARN, t *acme.Task, until time.Time) (limited context.Context, done func() bool) {
	person := waits(t.Request, t.Order)
	if !person {
		ctx, cancel := context.WithTimeoutCause(ctx, until.Sub(m.Now()), tooLong())
		return ctx, func() bool {
			cancel()
			return false
		}
	}
	m.waits.begin(arn)
	patience := personTimeout
	if end := expiry(t.Order); !end.IsZero() {
		patience = end.Sub(m.Now())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(missing(m.waits.of(arn))) })
	return ctx, func() bool {
		timer.Stop()
		cancel(nil)
		m.waits.end(arn)
		return true
	}
}

// waits says whether an order is at the step in which a person has something to
// do.
func waits(r *albion.Request, o *albion.Order) bool {
	return r.Method == albion.MethodManual && o != nil && o.Step == albion.StepChosen && len(o.Answers) > 0
}

// expiry is when the CA stops waiting for the proofs of an order; zero: it does
// not say.
func expiry(o *albion.Order) time.Time {
	end := o.Expires
	for _, a := range o.Answers {
		if !a.Expires.IsZero() && (end.IsZero() || a.Expires.Before(end)) {
			end = a.Expires
		}
	}
	return end
}

// records says what a person has to add for an order.
func records(o *albion.Order) string {
	var all []string
	for _, a := range o.Answers {
		w := albion.Wanted{Type: albion.TypeTXT, Name: albion.ChallengeName(a.Domain), Value: a.TXT()}
		all = append(all, w.String())
	}
	return strings.Join(all, "; ")
}
