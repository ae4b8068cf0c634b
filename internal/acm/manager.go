package acm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

const (
	attemptTimeout = 15 * time.Minute
	maxAttempts    = 10          // at a time
	storeRetry     = time.Minute // after a journal entry that could not be made
	maxSkew        = 5 * time.Minute
)

// Manager obtains and renews the certificates that CAs issue. Every field but
// Changed, Live, Log, Keeps and Solver is needed.
type Manager struct {
	State   func() *albion.State                                                               // the one in force; must not block
	Changed <-chan struct{}                                                                    // receives after certificates may have changed; may be nil
	Update  func(ctx context.Context, change func(*albion.Draft) error) (*albion.State, error) // makes change durable, or returns why not
	Live    func(ctx context.Context, version uint64) error                                    // returns when this version is served; nil: it is at once
	CA      acme.Config                                                                        // for every CA; Directory, Roots and Now are filled in
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time // time.After
	Rand    io.Reader                            // crypto/rand.Reader
	Log     *slog.Logger                         // nil: silent

	// Keeps says why this machine could not keep what a CA issues, before it is
	// asked; nil: it can. It may block on a disk.
	Keeps func(r *albion.Request) error

	// Solver returns who presents the proofs of a request whose method needs
	// somebody; nil: there is nobody. tell is to be called with what is waited for,
	// whenever that changes.
	Solver func(ctx context.Context, s *albion.State, r *albion.Request, tell func([]albion.Wanted)) (acme.Solver, error)

	waits board
}

// Run obtains and renews until ctx is done, and returns nil when all its
// attempts have ended. What fails is journalled and tried again.
func (m *Manager) Run(ctx context.Context) error {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	turned := m.waits.listen()
	done := make(chan ended)
	running, held := map[string]*attempt{}, map[string]time.Time{}
	for {
		now, wait, state := m.Now(), longestWait, m.State()
		supersede(running, state)
		for _, j := range m.jobs(state, now) {
			at := latest(j.at, held[j.id]).Sub(now)
			switch {
			case running[j.id] != nil:
			case at > 0:
				wait = min(wait, at)
			case len(running)-m.waits.count() < maxAttempts && !(j.clears && stopping(running)):
				a := &attempt{request: j.request}
				running[j.id] = a
				var own context.Context
				own, a.cancel = context.WithCancelCause(ctx)
				attempts.Go(func() {
					defer a.cancel(nil)
					err := j.do(own)
					select {
					case done <- ended{j.id, err}:
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
				held[e.id] = m.Now().Add(storeRetry)
			}
		case <-m.Changed:
		case <-turned:
		case <-m.After(wait):
		}
	}
}

// do does what is due. Its error says that the journal could not be written;
// what the CA refused is in the journal.
func (m *Manager) do(ctx context.Context, due Due) error {
	var err error
	if due.Deed == Look {
		err = m.look(ctx, due.Certificate)
	} else {
		err = m.obtain(ctx, due.Certificate)
	}
	var s *albion.Setback
	switch {
	case ctx.Err() != nil, errors.Is(err, errSuperseded):
		err = nil // what is wanted has changed, or the program ends: the journal says how to go on
	case errors.Is(err, context.DeadlineExceeded):
		err = tooLong()
	}
	if err == nil {
		return nil
	}
	if !errors.As(err, &s) {
		m.log().Error("a certificate cannot be worked on", "certificate", due.Certificate, "error", err)
		return err
	}
	return m.fail(ctx, due.Certificate, s)
}

// obtain goes on with the order of a certificate, or begins one, until it is in
// place.
func (m *Manager) obtain(ctx context.Context, arn albion.ARN) error {
	if err := m.prepare(ctx, arn); err != nil {
		return err
	}
	until := m.Now().Add(attemptTimeout)
	s, err := m.Update(ctx, func(d *albion.Draft) error { return begin(d, arn, m.Now(), m.Rand) })
	if err != nil {
		return err
	}
	request, ok := underWay(s, arn)
	if !ok {
		return errSuperseded
	}
	client, err := m.solving(ctx, s, arn, request)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := m.ready(ctx, client, s, arn); err != nil {
		return err
	}
	task, err := m.task(ctx, client, s, arn)
	if err != nil {
		return err
	}
	if task.Order.Step == albion.StepChosen { // from before a restart
		if err := m.live(ctx, s.Version); err != nil {
			return err
		}
	}
	for task.Order.Step != albion.StepDownloaded {
		limited, done := m.limit(ctx, arn, &task, until)
		err := m.step(limited, client, arn, &task)
		if done() {
			until = m.Now().Add(attemptTimeout)
		}
		if err != nil {
			return err
		}
	}
	s, err = m.Update(ctx, func(d *albion.Draft) error { return install(d, arn, m.Now()) })
	if err != nil {
		return err
	}
	m.checkClock(client)
	if now, ok := s.Certificates.Get(string(arn)); ok {
		m.log().Info("certificate issued", "certificate", arn, "name", now.Name, "domains", now.Domains, "serial", now.Serial, "until", now.NotAfter, "ca", request.Host())
	}
	return nil
}

// step takes one step, keeps it, and waits until what it made known is served.
func (m *Manager) step(ctx context.Context, client *acme.Client, arn albion.ARN, task *acme.Task) error {
	next, err := client.Advance(ctx, *task)
	if err != nil {
		return err
	}
	said := describe(next, task.Request)
	s, err := m.Update(ctx, func(d *albion.Draft) error { return record(d, arn, task.Order, next, said) })
	if invalid := (*albion.Error)(nil); errors.As(err, &invalid) {
		// Tokens that are none, addresses without end: not to be asked for again at once.
		return &albion.Setback{Kind: albion.SetbackRefused, Sentence: "what the CA answers makes no sense", Advice: "tell the CA, or choose another one", Words: printable(invalid.Message)}
	}
	if err != nil {
		return err
	}
	m.log().Debug("step", "certificate", arn, "done", said)
	task.Order = next
	if next.Step == albion.StepChosen {
		return m.live(ctx, s.Version)
	}
	return nil
}

// describe says in a sentence what a step has done.
func describe(o *albion.Order, r *albion.Request) string {
	switch o.Step {
	case albion.StepOrdered:
		return "ordered " + strings.Join(r.Domains, ", ") + " from " + r.Host()
	case albion.StepChosen:
		var ways []string
		for _, a := range o.Answers {
			ways = append(ways, a.Domain+" by "+string(a.Challenge))
		}
		if len(ways) == 0 {
			return "every name was proved before"
		}
		return "ready to prove " + strings.Join(ways, ", ")
	case albion.StepAsked:
		return "the CA looks"
	case albion.StepValidated:
		return "every name is proved"
	case albion.StepIssued:
		return "the CA has signed"
	case albion.StepDownloaded:
		return "the certificate is here"
	}
	return ""
}

// task gathers what the steps need, and registers the account if the CA does not
// know it yet.
func (m *Manager) task(ctx context.Context, client *acme.Client, s *albion.State, arn albion.ARN) (acme.Task, error) {
	none := acme.Task{}
	request, ok := underWay(s, arn)
	if !ok {
		return none, errSuperseded
	}
	i, _ := s.Issuances.Get(string(arn)) // it is under way
	account, ok := s.Registrations.Get(i.Order.Account)
	if !ok {
		return none, fmt.Errorf("acm: there is no account %s", i.Order.Account)
	}
	accountKey, ok := s.Keys.Get(account.KeyName())
	if !ok {
		return none, fmt.Errorf("acm: the key of the account %s is missing", account.ID)
	}
	orderKey, ok := s.Keys.Get(albion.OrderKeyName(arn))
	if !ok {
		return none, fmt.Errorf("acm: the key of the order for %s is missing", arn)
	}
	out := acme.Task{Registration: account, Request: request, Order: i.Order}
	var err error
	if out.AccountKey, err = signer(accountKey); err != nil {
		return none, err
	}
	if out.Key, err = signer(orderKey); err != nil {
		return none, err
	}
	if account.URL != "" {
		return out, nil
	}
	out.Registration, err = register(ctx, client, s, account, out.AccountKey, m.Now())
	if err != nil {
		return none, err
	}
	_, err = m.Update(ctx, func(d *albion.Draft) error {
		albion.Put(d, out.Registration)
		i := issuance(d, arn)
		i.Steps = say(i.Steps, "registered an account at "+request.Host())
		albion.Put(d, i)
		return nil
	})
	return out, err
}

// look asks the CA when it wants a certificate renewed. That it does not say
// delays nothing: the lifetime decides.
func (m *Manager) look(ctx context.Context, arn albion.ARN) error {
	cert, ok := m.State().Certificates.Get(string(arn))
	if !ok || cert.Request == nil {
		return errSuperseded
	}
	leaf, err := parseFirst(cert.Chain)
	if err != nil {
		return err
	}
	i, ok := m.State().Issuances.Get(string(arn))
	if !ok {
		i = &albion.Issuance{}
	}
	client, err := m.client(issuedBy(cert, i))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, attemptTimeout, tooLong())
	defer cancel()
	window, err := client.Window(ctx, leaf)
	switch {
	case errors.Is(err, acme.ErrNoWindow):
		window = albion.Window{Check: m.Now().Add(withoutWindow)}
	case err != nil:
		m.log().Warn("the CA does not say when to renew", "certificate", arn, "error", err)
		window = albion.Window{}
	}
	_, err = m.Update(ctx, func(d *albion.Draft) error { return look(d, arn, window, m.Now()) })
	return err
}

// fail journals why an attempt failed.
func (m *Manager) fail(ctx context.Context, arn albion.ARN, why *albion.Setback) error {
	s, err := m.Update(ctx, func(d *albion.Draft) error { return fail(d, arn, why, m.Now()) })
	if errors.Is(err, errSuperseded) {
		return nil
	}
	if err != nil {
		return err
	}
	if i, ok := s.Issuances.Get(string(arn)); ok {
		m.log().Error("a certificate could not be obtained", "certificate", arn, "problem", why.Sentence, "advice", why.Advice, "words", why.Words, "next", i.Next)
	}
	return nil
}

// checkClock warns when the CA's clock and ours differ: certificates would seem
// to begin in the future, or be renewed too late.
func (m *Manager) checkClock(client *acme.Client) {
	if ahead, ok := client.Skew(); ok && ahead.Abs() > maxSkew {
		m.log().Warn("this machine's clock and the CA's differ: check the time service", "ahead", ahead.Round(time.Second).String())
	}
}

func (m *Manager) live(ctx context.Context, version uint64) error {
	if m.Live == nil {
		return nil
	}
	return m.Live(ctx, version)
}

func (m *Manager) client(r *albion.Request) (*acme.Client, error) {
	config := m.CA
	config.Directory, config.Roots, config.Now = r.Directory, r.Roots, m.Now
	return acme.New(config)
}

func (m *Manager) log() *slog.Logger {
	if m.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Log
}
