package acm_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// estate is a store in memory, a site that answers challenges from it, and a CA.
type estate struct {
	t     *testing.T
	ca    *acmetest.CA
	port  int                  // where the site is
	tune  func(*acm.CARequest) // changes what is requested; may be nil
	tools func(*acm.Manager)   // changes the manager; may be nil
	ahead time.Duration        // of the clock

	mu      sync.Mutex // guards what follows
	state   *albion.State
	changed chan struct{}            // closed at the next change
	kill    func(*albion.State) bool // ends the manager when it says so
	cancel  context.CancelFunc
}

func newEstate(t *testing.T, o acmetest.Options) *estate {
	t.Helper()
	e := &estate{t: t, state: &albion.State{}, changed: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	site := &http.Server{Handler: http.HandlerFunc(e.answer)}
	done := make(chan error, 1)
	go func() { done <- site.Serve(l) }()
	t.Cleanup(func() {
		_ = site.Close()
		<-done
	})
	e.port = l.Addr().(*net.TCPAddr).Port
	o.HTTPPort = e.port
	e.ca = acmetest.New(t, o)
	return e
}

func (e *estate) answer(w http.ResponseWriter, r *http.Request) {
	for _, a := range e.now().Answers() {
		if r.URL.Path == "/.well-known/acme-challenge/"+a.Token {
			_, _ = fmt.Fprint(w, a.Proof)
			return
		}
	}
	http.NotFound(w, r)
}

func (e *estate) now() *albion.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// update is a store that can be made to end the process after a change.
func (e *estate) update(_ context.Context, change func(*albion.Draft) error) (*albion.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := albion.NewDraft(e.state)
	if err := change(d); err != nil {
		return nil, err
	}
	next, err := d.Finish()
	if err != nil {
		return nil, err
	}
	if next == e.state {
		return next, nil
	}
	e.state = next
	close(e.changed)
	e.changed = make(chan struct{})
	if e.kill != nil && e.kill(next) {
		e.cancel()
		return nil, context.Canceled
	}
	return next, nil
}

// request asks for a certificate that a listener shows.
func (e *estate) request(domains ...string) albion.ARN {
	e.t.Helper()
	var arn albion.ARN
	_, err := e.update(e.t.Context(), func(d *albion.Draft) error {
		in := acm.CARequest{
			Name: "chat", Domains: domains, Issuer: e.ca.Directory, Roots: e.ca.ServerRoot, Email: "me@example.com", Again: true,
			Now: e.time(), Rand: rand.Reader, ID: [16]byte{1},
		}
		if e.tune != nil {
			e.tune(&in)
		}
		cert, _, err := acm.Request(d, in)
		if err != nil {
			return err
		}
		arn = cert.ARN
		show(d, arn)
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return arn
}

func (e *estate) time() time.Time { return time.Now().Add(e.ahead) }

// runUntil runs a new manager until a State is as it should be, or it is killed.
func (e *estate) runUntil(done func(*albion.State) bool) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	defer cancel()
	e.mu.Lock()
	e.cancel = cancel
	e.mu.Unlock()
	changed := make(chan struct{}, 1)
	m := acm.Manager{
		State: e.now, Changed: changed, Update: e.update, CA: acme.Config{Poll: 10 * time.Millisecond},
		Now: e.time, After: time.After, Rand: rand.Reader,
	}
	if e.tools != nil {
		e.tools(&m)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	for {
		e.mu.Lock()
		state, next := e.state, e.changed
		e.mu.Unlock()
		if done(state) {
			cancel()
		}
		select {
		case <-next:
			select {
			case changed <- struct{}{}:
			default:
			}
			continue
		case err := <-ended:
			if err != nil || ctx.Err() == context.DeadlineExceeded {
				e.t.Fatalf("%v, %v", err, ctx.Err())
			}
			return
		}
	}
}

func (e *estate) certificate(arn albion.ARN) (*albion.Certificate, *albion.Issuance) {
	cert, _ := e.now().Certificates.Get(string(arn))
	i, _ := e.now().Issuances.Get(string(arn))
	return cert, i
}

func issued(arn albion.ARN) func(*albion.State) bool {
	return func(s *albion.State) bool {
		cert, _ := s.Certificates.Get(string(arn))
		i, ok := s.Issuances.Get(string(arn))
		return !cert.Pending && ok && i.Order == nil
	}
}

func failed(arn albion.ARN, times int) func(*albion.State) bool {
	return func(s *albion.State) bool {
		i, ok := s.Issuances.Get(string(arn))
		return ok && i.Failures >= times
	}
}

func TestACertificateComesAndIsRenewedInPlace(t *testing.T) {
	// Short, because the CA's orders, which do not live on our clock, end after a day.
	e := newEstate(t, acmetest.Options{Profiles: map[string]acmetest.Profile{"short": {ValidityPeriod: 30 * 3600}}})
	arn := e.request("chat.example.com", "www.example.com")
	if cert, _ := e.certificate(arn); !cert.Pending || cert.Chain == "" {
		t.Error("nothing is shown meanwhile")
	}
	e.runUntil(issued(arn))
	first, i := e.certificate(arn)
	if first.Pending || len(first.Domains) != 2 || i.Directory != e.ca.Directory || len(i.Issued) != 1 || i.Failures != 0 || len(i.Steps) < 5 {
		t.Errorf("%+v %+v", first, i)
	}
	if fare := acm.FareOf(e.now(), first, e.time(), true); fare.Word != acm.StatusOK || !strings.HasPrefix(fare.Next, "renewed at ") {
		t.Errorf("%+v", fare)
	}
	// Half of its life later.
	e.ahead = 16 * time.Hour
	e.runUntil(func(s *albion.State) bool {
		cert, _ := s.Certificates.Get(string(arn))
		return cert.Serial != first.Serial
	})
	second, i := e.certificate(arn)
	if second.ARN != first.ARN || second.Serial == first.Serial || e.ca.Asked(acmetest.NewAccount) != 1 || e.ca.Asked(acmetest.NewOrder) != 2 {
		t.Errorf("%+v %+v: %d accounts", second, i, e.ca.Asked(acmetest.NewAccount))
	}
	if n := e.now().Keys.Len(); n != 3 { // the certificate's, the account's and the local authority's
		t.Errorf("%d keys are left", n)
	}
}

// The process dies after each change that it has made durable, one after the
// other, and what is left goes on: with one account and one order.
func TestAKillAfterEveryEntryOfTheJournalCostsNoSecondOrder(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	arn := e.request("chat.example.com")
	kills, died := 0, map[string]bool{}
	e.kill = func(s *albion.State) bool {
		kills++
		entry := "done"
		if i, ok := s.Issuances.Get(string(arn)); ok && i.Order != nil {
			entry = fmt.Sprint(i.Order.Step, i.Steps)
		}
		again := died[entry] // that an order begins is said once more at each start
		died[entry] = true
		return !again
	}
	for !issued(arn)(e.now()) {
		e.runUntil(func(*albion.State) bool { return false })
		if kills > 20 {
			t.Fatal("it does not come to an end")
		}
	}
	if kills < 8 {
		t.Errorf("only %d entries", kills)
	}
	if accounts, orders := e.ca.Asked(acmetest.NewAccount), e.ca.Asked(acmetest.NewOrder); accounts != 1 || orders != 1 {
		t.Errorf("%d accounts, %d orders", accounts, orders)
	}
}

func TestACAThatWantsToBeLeftAloneIs(t *testing.T) {
	for _, c := range []struct {
		status  int
		problem string
		kind    albion.SetbackKind
		account bool // the whole account waits
	}{
		{429, "rateLimited", albion.SetbackLimited, false},
		{503, "serverInternal", albion.SetbackUnavailable, true},
	} {
		t.Run(c.problem, func(t *testing.T) {
			e := newEstate(t, acmetest.Options{})
			e.ca.Fail(acmetest.NewOrder, c.status, "7200", c.problem, "too much")
			arn := e.request("chat.example.com")
			e.runUntil(failed(arn, 1))
			_, i := e.certificate(arn)
			if i.Last == nil || i.Last.Kind != c.kind || i.Next.Sub(e.time()) < 110*time.Minute || e.ca.Asked(acmetest.NewOrder) != 1 {
				t.Errorf("%+v after %d requests", i, e.ca.Asked(acmetest.NewOrder))
			}
			for account := range e.now().Registrations.All() {
				if blocked := account.Blocked.After(e.time().Add(110 * time.Minute)); blocked != c.account {
					t.Errorf("blocked until %s", account.Blocked)
				}
			}
			// A new process does not ask either; once the time has come it does.
			if due := acm.Plan(e.now(), e.time())[0]; due.At.Before(e.time().Add(110 * time.Minute)) {
				t.Errorf("%+v", due)
			}
			e.ca.Fault(nil)
			e.ahead = 121 * time.Minute
			e.runUntil(issued(arn))
			if cert, i := e.certificate(arn); cert.Pending || i.Last != nil {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestANameThatCannotBeProvedSaysWhyAndIsGivenBack(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.ca.DNS.Lose("lost.example.com")
	arn := e.request("chat.example.com", "lost.example.com")
	e.runUntil(failed(arn, 1))
	cert, i := e.certificate(arn)
	if i.Last.Kind != albion.SetbackName || !strings.Contains(i.Last.Sentence, "lost.example.com") || i.Order != nil || !cert.Pending {
		t.Errorf("%+v", i)
	}
	if fare := acm.FareOf(e.now(), cert, e.time(), true); fare.Word != acm.StatusRetrying || !strings.HasPrefix(fare.Next, "tried again at ") {
		t.Errorf("%+v", fare)
	}
	// Asking for other names begins anew, at once.
	if arn != e.request("chat.example.com") {
		t.Error("another ARN")
	}
	e.runUntil(issued(arn))
	if cert, _ := e.certificate(arn); len(cert.Domains) != 1 {
		t.Errorf("%v", cert.Domains)
	}
}

func TestAnAccountThatTheCAHasForgottenIsMadeAgain(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	e.ca.Fail(acmetest.NewOrder, 400, "", "accountDoesNotExist", "who?")
	arn := e.request("chat.example.com")
	e.runUntil(failed(arn, 1))
	for account := range e.now().Registrations.All() {
		if account.URL != "" {
			t.Errorf("%+v", account)
		}
	}
	e.ca.Fault(nil)
	e.ahead = 3 * time.Minute
	e.runUntil(issued(arn))
	if n := e.ca.Asked(acmetest.NewAccount); n != 2 {
		t.Errorf("registered %d times", n)
	}
}

func TestTheCAMayWantARenewalEarlier(t *testing.T) {
	e := newEstate(t, acmetest.Options{})
	arn := e.request("chat.example.com")
	e.runUntil(issued(arn))
	first, _ := e.certificate(arn)
	past := e.time().UTC().Add(-time.Hour)
	e.ca.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, acmetest.Renewal) {
			return false
		}
		// A window of a second, as for a certificate that was revoked.
		_, _ = fmt.Fprintf(w, `{"suggestedWindow":{"start":%q,"end":%q},"explanationURL":"https://ca.example.com/why"}`, past.Format(time.RFC3339), past.Add(time.Second).Format(time.RFC3339))
		return true
	})
	e.ahead = 7 * time.Hour
	e.runUntil(func(s *albion.State) bool {
		cert, _ := s.Certificates.Get(string(arn))
		return cert.Serial != first.Serial
	})
	if e.ca.Asked(acmetest.NewOrder) != 2 {
		t.Errorf("%d orders", e.ca.Asked(acmetest.NewOrder))
	}
}
