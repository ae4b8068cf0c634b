package acm_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// world is a store and a clock that only the test moves.
type world struct {
	mu      sync.Mutex
	state   *albion.State
	now     time.Time
	fail    error
	changed chan struct{}
	waits   chan time.Duration // what the renewer waits for, once it waits
	wake    chan time.Time
	updates chan error // one for each attempt to renew
}

func newWorld(state *albion.State) *world {
	return &world{
		state: state, now: noon, changed: make(chan struct{}), waits: make(chan time.Duration),
		wake: make(chan time.Time), updates: make(chan error, 1),
	}
}

func (w *world) renewer() *acm.Renewer {
	return &acm.Renewer{
		State:   func() *albion.State { w.mu.Lock(); defer w.mu.Unlock(); return w.state },
		Now:     func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
		After:   func(d time.Duration) <-chan time.Time { w.waits <- d; return w.wake },
		Changed: w.changed, Update: w.update, Rand: rand.Reader,
	}
}

func (w *world) update(_ context.Context, change func(*albion.Draft) error) error {
	w.mu.Lock()
	d := albion.NewDraft(w.state)
	fail := w.fail
	w.mu.Unlock()
	err := errors.Join(change(d), fail)
	if err == nil {
		w.set(func() { w.state = &d.State })
	}
	w.updates <- err
	return err
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// run starts the renewer and returns what stops it and waits for it.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.renewer().Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func expect[T comparable](t *testing.T, from <-chan T, want T) {
	t.Helper()
	if got := <-from; got != want {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestRenewerRenewsWhenOneIsDue(t *testing.T) {
	d := draft()
	old, _ := local(t, d, "chat", noon, "chat.example.com")
	due := old.NotAfter.Add(-30 * 24 * time.Hour)
	w := newWorld(&d.State)
	w.now = due.Add(-90 * time.Minute)
	stop := w.run(t)
	expect(t, w.waits, time.Hour) // never longer: clocks are set and machines sleep
	w.set(func() { w.now = due.Add(-30 * time.Minute) })
	w.wake <- time.Time{}
	expect(t, w.waits, 30*time.Minute)
	w.set(func() { w.now = due })
	w.wake <- time.Time{}
	if err := <-w.updates; err != nil {
		t.Fatal(err)
	}
	expect(t, w.waits, time.Hour)
	stop()
	cert, _ := w.state.Certificates.Get(string(old.ARN))
	if cert.Serial == old.Serial || acm.LocalDue(cert, w.now) {
		t.Errorf("%+v", cert)
	}
}

func TestRenewerNoticesChanges(t *testing.T) {
	w := newWorld(&albion.State{})
	stop := w.run(t)
	expect(t, w.waits, time.Hour)
	d := draft()
	local(t, d, "chat", noon.AddDate(0, 0, -70), "chat.example.com")
	w.set(func() { w.state = &d.State })
	w.changed <- struct{}{}
	if err := <-w.updates; err != nil {
		t.Fatal(err)
	}
	expect(t, w.waits, time.Hour)
	stop()
}

func TestRenewerTriesAgainMoreAndMoreSlowly(t *testing.T) {
	d := draft()
	local(t, d, "chat", noon.AddDate(0, 0, -70), "chat.example.com")
	w := newWorld(&d.State)
	noSpace := errors.New("no space left on device")
	w.fail = noSpace
	stop := w.run(t)
	for _, minutes := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		if err := <-w.updates; !errors.Is(err, noSpace) {
			t.Fatal(err)
		}
		expect(t, w.waits, time.Duration(minutes)*time.Minute)
		w.wake <- time.Time{}
	}
	<-w.updates
	expect(t, w.waits, time.Hour)
	w.set(func() { w.fail = nil })
	w.wake <- time.Time{}
	if err := <-w.updates; err != nil {
		t.Fatal(err)
	}
	expect(t, w.waits, time.Hour)
	stop()
	for c := range w.state.Certificates.All() {
		if acm.LocalDue(c, noon) {
			t.Error("still due")
		}
	}
}
