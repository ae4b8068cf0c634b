package acm

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/albion-lb/albion"
)

const (
	maxHooksAtATime = 8
	sightPatience   = 5 * time.Minute // for the look at what is served, before a hook is told of it
	hookTimeout     = time.Minute
	webhookTimeout  = 10 * time.Second
)

// Herald tells hooks what becomes of certificates, and says itself when one that
// listeners show is at risk or has expired. Every field but Changed and Log is
// needed.
//
// What is to be told is journalled together with what has happened, and an
// attempt before it begins. So a restart loses no notice and repeats none that
// was taken; only what a kill interrupts is told again, under the same ID.
type Herald struct {
	State   func() *albion.State                                                               // the one in force; must not block
	Changed <-chan struct{}                                                                    // receives after certificates may have changed; may be nil
	Update  func(ctx context.Context, change func(*albion.Draft) error) (*albion.State, error) // makes change durable, or returns why not
	HTTP    http.RoundTripper                                                                  // to addresses
	Dir     string                                                                             // made when it is needed: where programs find the files of a certificate
	Environ []string                                                                           // of programs, as NAME=VALUE; what tells of the event is added
	Agent   string                                                                             // User-Agent of what is sent
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time // time.After
	Log     *slog.Logger                         // nil: silent
}

// Run tells until ctx is done, and returns nil when every program has ended.
func (h *Herald) Run(ctx context.Context) error {
	if err := h.sweep(); err != nil {
		h.log().Warn("what a killed hook left cannot be removed", "error", err)
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	done := make(chan told)
	running, held := map[string]bool{}, map[string]time.Time{}
	for ctx.Err() == nil {
		h.raise(ctx)
		s, now := h.State(), h.Now()
		_, wait := alarms(s, now)
		for _, n := range oldest(s) {
			at := latest(tellAt(s, n, now), held[n.Hook]).Sub(now)
			switch {
			case running[n.Hook]:
			case at > 0:
				wait = min(wait, at)
			case len(running) < maxHooksAtATime:
				running[n.Hook] = true
				telling.Go(func() {
					err := h.tell(ctx, n)
					select {
					case done <- told{n.Hook, err}:
					case <-ctx.Done():
					}
				})
			}
		}
		select {
		case <-ctx.Done():
		case t := <-done:
			delete(running, t.hook)
			delete(held, t.hook)
			if t.err != nil {
				h.log().Error("what hooks are told cannot be kept", "hook", t.hook, "error", t.err)
				held[t.hook] = h.Now().Add(storeRetry)
			}
		case <-h.Changed:
		case <-h.After(max(wait, time.Second)):
		}
	}
	return nil
}

// told is an attempt to tell a hook that has come to its end; err says that not
// even its outcome could be kept.
type told struct {
	hook string
	err  error
}

// oldest is the oldest notice of each hook.
func oldest(s *albion.State) []*albion.Notice {
	var all []*albion.Notice
	seen := map[string]bool{}
	for n := range s.Notices.All() {
		if !seen[n.Hook] {
			seen[n.Hook] = true
			all = append(all, n)
		}
	}
	return all
}

// tellAt is when a notice is due: that there are new contents, once it is known
// what our listeners show.
func tellAt(s *albion.State, n *albion.Notice, now time.Time) time.Time {
	at := n.Next
	if n.Event != albion.EventIssued && n.Event != albion.EventRenewed {
		return at
	}
	c, ok := s.Certificates.Get(string(n.Certificate))
	i, known := s.Issuances.Get(string(n.Certificate))
	if !ok || !known || c.Serial != n.Serial || i.Sighting != nil && i.Sighting.Serial == n.Serial || !shown(s, n.Certificate) {
		return at
	}
	return latest(at, n.At.Add(sightPatience))
}

// shown says whether a listener shows a certificate.
func shown(s *albion.State, arn albion.ARN) bool {
	for l := range s.Listeners.All() {
		for _, a := range l.Certificates {
			if a == arn {
				return true
			}
		}
	}
	return false
}

// raise says which certificates are at risk or have expired, once each.
func (h *Herald) raise(ctx context.Context) {
	due, _ := alarms(h.State(), h.Now())
	for _, arn := range due {
		var kind albion.EventKind
		var c *albion.Certificate
		_, err := h.Update(ctx, func(d *albion.Draft) error {
			kind, c = raise(d, arn, h.Now())
			return nil
		})
		switch {
		case err != nil:
			if ctx.Err() == nil {
				h.log().Error("an alarm cannot be kept", "certificate", arn, "error", err)
			}
		case kind == albion.EventExpired:
			h.log().Error("a certificate has expired and is still shown: browsers refuse it", "certificate", arn, "name", c.Name, "domains", c.Domains, "expired", c.NotAfter)
		case kind == albion.EventAtRisk:
			h.log().Warn("a certificate is at risk: it expires soon and is not renewed yet", "certificate", arn, "name", c.Name, "domains", c.Domains, "expires", c.NotAfter)
		}
	}
}

// tell makes one attempt to tell a hook, and journals it before and afterwards.
// Its error says that the journal could not be written.
func (h *Herald) tell(ctx context.Context, n *albion.Notice) error {
	var hook *albion.Hook
	last := false
	s, err := h.Update(ctx, func(d *albion.Draft) error {
		old, ok := d.Notices.Get(n.ID)
		if hook, _ = d.Hooks.Get(n.Hook); !ok || hook == nil {
			return errSuperseded
		}
		begun := *old
		begun.Attempts++
		begun.Refused = ""
		pauses := hookPauses(hook)
		last = begun.Attempts > len(pauses)
		begun.Next = h.Now().Add(pauses[min(begun.Attempts, len(pauses))-1])
		albion.Put(d, &begun)
		n = &begun
		return nil
	})
	if errors.Is(err, errSuperseded) {
		return nil
	}
	if err != nil {
		return unlessEnded(ctx, err)
	}
	failure := h.deliver(ctx, s, hook, n)
	if failure != nil && ctx.Err() != nil {
		return unlessEnded(ctx, failure) // told again after the restart
	}
	log := h.log().With("hook", hook.Name, "event", n.Event, "certificate", n.Certificate, "notice", n.ID, "attempt", n.Attempts)
	switch {
	case failure == nil:
		log.Info("a hook was told")
	case last:
		log.Error("a hook was told in vain for the last time", "error", failure)
	default:
		log.Warn("a hook was told in vain", "error", failure, "next", n.Next)
		return h.refused(ctx, n.ID, failure)
	}
	// What a program has done is not undone by the end of ours.
	_, err = h.Update(context.WithoutCancel(ctx), func(d *albion.Draft) error {
		albion.Delete[*albion.Notice](d, n.ID)
		return nil
	})
	return err
}

// unlessEnded is an error, but for one that comes of the end of the program.
func unlessEnded(ctx context.Context, err error) error {
	if over(ctx) {
		return nil
	}
	return err
}

// over says that the program ends, which is no mistake of what it interrupts.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// refused keeps why an attempt failed.
func (h *Herald) refused(ctx context.Context, id string, why error) error {
	_, err := h.Update(context.WithoutCancel(ctx), func(d *albion.Draft) error {
		if old, ok := d.Notices.Get(id); ok {
			n := *old
			n.Refused = bounded(printable(why.Error()))
			albion.Put(d, &n)
		}
		return nil
	})
	return err
}

// hookPauses are the pauses after the attempts of a notice; there is one more
// attempt than pauses. A program that fails on this machine does so again; an
// address may be away for two days.
func hookPauses(h *albion.Hook) []time.Duration {
	if h.URL == "" {
		return []time.Duration{time.Minute, 10 * time.Minute}
	}
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, day}
}

func (h *Herald) deliver(ctx context.Context, s *albion.State, hook *albion.Hook, n *albion.Notice) error {
	limit := hookTimeout
	if hook.URL != "" {
		limit = webhookTimeout
	}
	if hook.Timeout > 0 {
		limit = hook.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if hook.URL != "" {
		var secret albion.Secret
		if key, ok := s.Keys.Get(hook.KeyName()); ok {
			secret = key.Secret
		}
		return h.send(ctx, hook, n, secret)
	}
	return h.run(ctx, s, hook, n)
}

// words of an answer or of a program's output, for a log.
func logged(b []byte) string {
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(printable(string(b)))
}

func (h *Herald) log() *slog.Logger {
	if h.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Log
}
