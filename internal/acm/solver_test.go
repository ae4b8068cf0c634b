package acm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// helper presents TXT records in the DNS that the CA asks, as a person or a
// provider would.
type helper struct {
	dns   *acmetest.DNS
	ready <-chan struct{} // when to do so; nil: at once
	asked chan<- []string // what was wanted, a value each; nil: nobody listens

	mu       sync.Mutex // guards what follows
	stubborn bool       // nothing can be removed
	cleaned  int
}

// hired is a helper for one attempt.
type hired struct {
	*helper
	tell func([]albion.Wanted)
}

func (h hired) Present(ctx context.Context, all []acme.Presentation) error {
	var wanted []albion.Wanted
	var values []string
	for _, p := range all {
		wanted = append(wanted, albion.Wanted{Domain: p.Domain, Type: albion.TypeTXT, Name: p.Name, Value: p.Value})
		values = append(values, p.Value)
	}
	h.tell(wanted)
	if h.asked != nil {
		h.asked <- values
	}
	if h.ready != nil {
		select {
		case <-h.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, p := range all {
		if !slices.Contains(h.dns.Records(p.Name), p.Value) {
			h.dns.Add(p.Name, p.Value)
		}
	}
	return nil
}

func (h *helper) CleanUp(_ context.Context, all []acme.Presentation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cleaned++
	if h.stubborn {
		return errors.New("the provider is away")
	}
	for _, p := range all {
		h.dns.Remove(p.Name, p.Value)
	}
	return nil
}

// by makes an estate's requests be proved by a method that the helper solves.
func (e *estate) by(method string, h *helper) {
	h.dns = e.ca.DNS
	e.tune = func(in *acm.CARequest) { in.Challenge = method }
	e.tools = func(m *acm.Manager) {
		m.Solver = func(_ context.Context, _ *albion.State, _ *albion.Request, tell func([]albion.Wanted)) (acme.Solver, error) {
			return hired{h, tell}, nil
		}
	}
}

func clear(s *albion.State) bool { return s.Leftovers.Len() == 0 }

func TestAWildcardIsProvedBySomebodyElseAndNothingIsLeft(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.by("dns-exec=/hook", &helper{})
	e.ca.DNS.Add("_acme-challenge.example.com", "somebody else's")
	arn := e.request("example.com", "*.example.com")
	e.runUntil(func(s *albion.State) bool { return issued(arn)(s) && clear(s) })
	cert, _ := e.certificate(arn)
	if len(cert.Domains) != 2 {
		t.Errorf("%v", cert.Domains)
	}
	if got := e.ca.DNS.Records("_acme-challenge.example.com"); !slices.Equal(got, []string{"somebody else's"}) {
		t.Errorf("%q", got)
	}
}

// The process dies after each entry of the journal; in the end there is one order
// and no record.
func TestAKillLeavesNoRecordBehind(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.by("dns-exec=/hook", &helper{})
	arn := e.request("*.example.com")
	kills, died := 0, map[string]bool{}
	e.kill = func(s *albion.State) bool {
		kills++
		entry := fmt.Sprint("done ", s.Leftovers.Len())
		if i, ok := s.Issuances.Get(string(arn)); ok && i.Order != nil {
			entry = fmt.Sprint(i.Order.Step, i.Steps)
		}
		again := died[entry] // that an order begins is said once more at each start
		died[entry] = true
		return !again
	}
	for !issued(arn)(e.now()) || !clear(e.now()) {
		e.runUntil(func(*albion.State) bool { return false })
		if kills > 25 {
			t.Fatal("it does not come to an end")
		}
	}
	if got := e.ca.DNS.Records("_acme-challenge.example.com"); len(got) != 0 || e.ca.Asked(acmetest.NewOrder) != 1 {
		t.Errorf("%q, %d orders", got, e.ca.Asked(acmetest.NewOrder))
	}
}

// Whoever asks for something else while a person is waited for need not wait too:
// the order is given back, with what it presented.
func TestAnotherRequestEndsTheWaitForAPerson(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	asked := make(chan []string, 1)
	h := &helper{ready: make(chan struct{}), asked: asked}
	e.by("dns-manual", h)
	arn := e.request("example.com", "*.example.com")
	served := make(chan struct{})
	go func() {
		defer close(served)
		values := <-asked
		cert, i := e.certificate(arn)
		if fare := acm.FareOf(e.now(), cert, e.time(), true); fare.Word != acm.StatusWaiting || !strings.Contains(fare.Reason, "add this TXT record: _acme-challenge.example.com with the value "+values[0]) || !strings.Contains(fare.Next, "until 20") {
			t.Errorf("%+v", fare)
		}
		if i.Order.Step != albion.StepChosen {
			t.Errorf("%+v", i.Order)
		}
		e.tune = nil
		e.request("example.com")
	}()
	e.runUntil(func(s *albion.State) bool { return issued(arn)(s) && clear(s) })
	<-served
	if n := e.ca.Asked(acmetest.NewOrder); n != 2 {
		t.Errorf("%d orders", n)
	}
	if left := pending(e); left != 0 {
		t.Errorf("%d names are not given back", left)
	}
}

// pending counts the names that are neither proved nor given back at the CA.
func pending(e *estate) (n int) {
	e.t.Helper()
	for account := range e.now().Registrations.All() {
		_, id, _ := strings.Cut(account.URL, "my-account/")
		for _, order := range e.ca.Store.GetOrdersByAccountID(id) {
			for _, authz := range order.AuthorizationObjects {
				authz.RLock()
				if authz.Status == "pending" {
					n++
				}
				authz.RUnlock()
			}
		}
	}
	return n
}

func TestADeletedCertificateIsClearedToo(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	asked := make(chan []string, 1)
	h := &helper{ready: make(chan struct{}), asked: asked}
	e.by("dns-manual", h)
	arn := e.request("*.example.com")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		<-asked
		if _, err := e.update(t.Context(), func(d *albion.Draft) error {
			for l := range d.Listeners.All() {
				albion.Delete[*albion.Listener](d, string(l.ARN))
			}
			albion.DeleteCertificate(d, arn)
			return nil
		}); err != nil {
			t.Error(err)
		}
	}()
	e.runUntil(func(s *albion.State) bool { return s.Certificates.Len() == 0 && clear(s) })
	<-gone
	if left := pending(e); left != 0 {
		t.Errorf("%d names are not given back", left)
	}
}

// The process ends while a person is waited for; the same order and the same
// value count afterwards.
func TestAPersonIsWaitedForOverARestart(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	asked, ready := make(chan []string, 1), make(chan struct{})
	e.by("dns-manual", &helper{ready: ready, asked: asked})
	arn := e.request("*.example.com")
	var first []string
	e.kill = func(s *albion.State) bool {
		i, ok := s.Issuances.Get(string(arn))
		return ok && i.Order != nil && i.Order.Step == albion.StepChosen
	}
	e.runUntil(func(*albion.State) bool { return false })
	for range 2 { // once more while it waits
		waiting, stop := context.WithCancel(t.Context())
		e.kill = nil
		go func() {
			defer stop()
			first = append(first, (<-asked)...)
			e.mu.Lock()
			e.cancel()
			e.mu.Unlock()
		}()
		e.runUntil(func(*albion.State) bool { return false })
		<-waiting.Done()
	}
	close(ready)
	e.runUntil(issued(arn))
	last := <-asked
	if len(first) != 2 || first[0] != first[1] || first[0] != last[0] || e.ca.Asked(acmetest.NewOrder) != 1 {
		t.Errorf("%q, then %q: %d orders", first, last, e.ca.Asked(acmetest.NewOrder))
	}
}

// As many people as may be waited for keep nobody else from being served.
func TestPeopleKeepNobodyFromBeingServed(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	const people = 12 // more than are worked on at a time
	asked := make(chan []string, people)
	e.by("", &helper{ready: make(chan struct{}), asked: asked})
	n := 0
	e.tune = func(in *acm.CARequest) {
		n++
		in.Name, in.ID = fmt.Sprint("c", n), [16]byte{byte(n)}
		if strings.HasPrefix(in.Domains[0], "*.") {
			in.Challenge = "dns-manual"
		}
	}
	for i := range people {
		e.request(fmt.Sprintf("*.p%d.example.com", i))
	}
	all := make(chan struct{})
	go func() {
		for range people {
			<-asked
		}
		close(all)
		if _, err := e.update(t.Context(), func(d *albion.Draft) error { // wakes whoever looks
			albion.Put(d, &albion.Key{Name: albion.StickinessKey, Secret: []byte("key")})
			return nil
		}); err != nil {
			t.Error(err)
		}
	}()
	arn := e.request("chat.example.com")
	e.runUntil(func(s *albion.State) bool {
		select {
		case <-all:
			return issued(arn)(s)
		default:
			return false
		}
	})
}

func TestWhatCannotBeRemovedIsTriedAgain(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	h := &helper{stubborn: true}
	e.by("dns-exec=/hook", h)
	arn := e.request("*.example.com")
	e.runUntil(func(s *albion.State) bool {
		for l := range s.Leftovers.All() {
			return issued(arn)(s) && l.Failures > 0
		}
		return false
	})
	for l := range e.now().Leftovers.All() {
		if l.Next.Before(e.time().Add(30*time.Second)) || !l.Proved {
			t.Errorf("%+v", l)
		}
	}
	h.mu.Lock()
	h.stubborn = false
	h.mu.Unlock()
	e.ahead = 2 * time.Minute
	e.runUntil(clear)
	if got := e.ca.DNS.Records("_acme-challenge.example.com"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestWhatCanNeverBeRemovedIsGivenUp(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	h := &helper{stubborn: true}
	e.by("dns-exec=/hook", h)
	arn := e.request("*.example.com")
	e.runUntil(issued(arn))
	for range 30 {
		if clear(e.now()) {
			break
		}
		before := e.now().Version
		e.ahead += 25 * time.Hour
		e.runUntil(func(s *albion.State) bool { return s.Version > before })
	}
	if !clear(e.now()) || h.cleaned < 10 {
		t.Errorf("after %d times", h.cleaned)
	}
}

func TestNamesThatAreNotProvedAreGivenBack(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.ca.DNS.Lose("lost.example.com")
	arn := e.request("lost.example.com", "chat.example.com", "www.example.com")
	e.runUntil(func(s *albion.State) bool { return failed(arn, 1)(s) && clear(s) })
	if left := pending(e); left != 0 {
		t.Errorf("%d names are not given back", left)
	}
}

// A CA that is away when names are to be given back is asked again.
func TestNamesAreGivenBackWhenTheCAIsThereAgain(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	asked := make(chan []string, 1)
	e.by("dns-manual", &helper{ready: make(chan struct{}), asked: asked})
	arn := e.request("*.example.com")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		<-asked
		e.ca.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "away")
			return true
		})
		if _, err := e.update(t.Context(), func(d *albion.Draft) error {
			albion.EndOrder(d, arn)
			i, _ := d.Issuances.Get(string(arn))
			later := *i
			later.Next = e.time().Add(time.Hour)
			albion.Put(d, &later)
			return nil
		}); err != nil {
			t.Error(err)
		}
	}()
	e.runUntil(func(s *albion.State) bool {
		for l := range s.Leftovers.All() {
			return l.Failures > 0
		}
		return false
	})
	<-gone
	e.ca.Fault(nil)
	e.ahead = 5 * time.Minute
	e.runUntil(clear)
	if left := pending(e); left != 0 {
		t.Errorf("%d names are not given back", left)
	}
}

func TestAMethodThatNobodySolvesSaysSo(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.tune = func(in *acm.CARequest) { in.Challenge = "dns-rfc2136=/etc/albion/key.ini" }
	e.tools = func(m *acm.Manager) {
		m.Solver = func(context.Context, *albion.State, *albion.Request, func([]albion.Wanted)) (acme.Solver, error) {
			return nil, fmt.Errorf("the file is not there")
		}
	}
	arn := e.request("*.example.com")
	e.runUntil(failed(arn, 1))
	_, i := e.certificate(arn)
	if i.Last.Kind != albion.SetbackName || !strings.Contains(i.Last.Error(), "the file is not there") || e.ca.Asked(acmetest.NewOrder) != 0 {
		t.Errorf("%+v, %d orders", i.Last, e.ca.Asked(acmetest.NewOrder))
	}
}

// The CA looks from several places, and one of them sees an old answer. It is
// said where to look, nothing is left, and the next attempt goes well.
func TestAServerThatLagsBehindFailsAnAttemptOnly(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.by("dns-exec=/hook", &helper{})
	e.ca.DNS.Stale("_acme-challenge.example.com", 3)
	arn := e.request("*.example.com")
	e.runUntil(func(s *albion.State) bool { return failed(arn, 1)(s) && clear(s) })
	_, i := e.certificate(arn)
	if i.Last.Kind != albion.SetbackName || !strings.Contains(i.Last.Advice, "every authoritative server") || i.Last.Ours {
		t.Errorf("%+v", i.Last)
	}
	if got := e.ca.DNS.Records("_acme-challenge.example.com"); len(got) != 0 {
		t.Errorf("%q", got)
	}
	e.ahead = 3 * time.Minute
	e.runUntil(issued(arn))
}
