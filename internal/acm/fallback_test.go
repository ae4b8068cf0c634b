package acm_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// pair is an estate with two CAs, each behind a front that can fail.
type pair struct {
	*estate
	best, other *acmetest.Front
}

func newPair(t *testing.T) *pair {
	t.Helper()
	// Short, because the CA's orders, which do not live on our clock, end after a day.
	o := acmetest.Options{Profiles: map[string]acmetest.Profile{"short": {ValidityPeriod: 30 * 3600}}}
	p := &pair{estate: newEstate(t, o)}
	o.HTTPPort = p.port
	p.best, p.other = p.ca.Front(t), acmetest.New(t, o).Front(t)
	p.tune = func(in *acm.CARequest) {
		in.Issuer, in.Roots = p.best.Directory, p.best.ServerRoot
		in.Fallbacks = []acm.Choice{{Issuer: p.other.Directory, Roots: p.other.ServerRoot}}
	}
	p.tools = func(m *acm.Manager) { m.CA.Timeout = 300 * time.Millisecond }
	return p
}

func (p *pair) renewed(arn albion.ARN) {
	p.t.Helper()
	before, _ := p.certificate(arn)
	p.runUntil(func(s *albion.State) bool {
		cert, _ := s.Certificates.Get(string(arn))
		return cert.Serial != before.Serial
	})
}

func out() acmetest.Fault {
	return acmetest.Fault{Status: 503, Problem: "serverInternal", Detail: "maintenance"}
}

// The whole way: the preferred CA is down, the other one issues, and the next
// renewal is the preferred one's again, which never hears of a certificate that
// is not its own.
func TestAnotherCAIssuesWhileThePreferredOneCannot(t *testing.T) {
	for name, fault := range map[string]acmetest.Fault{
		"503":                 out(),
		"503 and Retry-After": {Status: 503, RetryAfter: "7200", Problem: "serverInternal"},
		"500 of a front":      {Status: 500, Body: "<html>oops</html>"},
		"429":                 {Kind: acmetest.NewOrder, Status: 429, RetryAfter: "7200", Problem: "rateLimited", Detail: "too many"},
		"no answer":           {Hang: true},
		"no directory":        {Kind: acmetest.Directory, Status: 404, Body: "gone"},
		"cut off":             {Lose: true, Kind: acmetest.NewAccount},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.best.Fail(fault)
			arn := p.request("chat.example.com")
			p.runUntil(issued(arn))
			cert, i := p.certificate(arn)
			if i.Directory != p.other.Directory || i.Turn != 0 || i.Failures != 0 || cert.Request.Directory != p.best.Directory {
				t.Fatalf("%+v", i)
			}
			if fare := acm.FareOf(p.now(), cert, p.time(), true); fare.Word != acm.StatusOK {
				t.Errorf("%+v", fare)
			}
			if p.now().Registrations.Len() != 2 {
				t.Errorf("%d accounts", p.now().Registrations.Len())
			}
			p.best.Fail()
			orders := p.best.Asked(acmetest.NewOrder)
			p.ahead = 16 * time.Hour
			p.renewed(arn)
			if _, i = p.certificate(arn); i.Directory != p.best.Directory || p.other.Asked(acmetest.NewOrder) != 1 {
				t.Errorf("%+v, %d orders elsewhere", i, p.other.Asked(acmetest.NewOrder))
			}
			// One order only: none was refused for what it replaces.
			if n := p.best.Asked(acmetest.NewOrder) - orders; n != 1 {
				t.Errorf("%d orders at the preferred CA", n)
			}
		})
	}
}

func TestANameThatCannotBeProvedIsNoReasonForAnotherCA(t *testing.T) {
	p := newPair(t)
	p.ca.DNS.Lose("chat.example.com")
	arn := p.request("chat.example.com")
	p.runUntil(failed(arn, 1))
	if _, i := p.certificate(arn); i.Last.Kind != albion.SetbackName || i.Turn != 0 || p.other.Asked("") != 0 {
		t.Errorf("%+v, asked the other %d times", i, p.other.Asked(""))
	}
}

// While something valid is served, a CA that stumbles is asked again before
// another one is, unless it wants to be left alone for long.
func TestARenewalHasPatience(t *testing.T) {
	p := newPair(t)
	arn := p.request("chat.example.com")
	p.runUntil(issued(arn))
	p.ahead = 16 * time.Hour
	p.best.Fail(out())
	for n := 1; n <= 3; n++ {
		p.runUntil(func(s *albion.State) bool {
			i, _ := s.Issuances.Get(string(arn))
			return i.Failures >= n || i.Directory == p.other.Directory
		})
		if _, i := p.certificate(arn); n < 3 && (i.Turn != 0 || p.other.Asked("") != 0) {
			t.Fatalf("%d: %+v", n, i)
		}
		p.ahead += 12 * time.Minute
	}
	p.runUntil(issued(arn))
	if _, i := p.certificate(arn); i.Directory != p.other.Directory {
		t.Errorf("%+v", i)
	}
}

func TestALimitOfDaysIsNotWaitedFor(t *testing.T) {
	p := newPair(t)
	arn := p.request("chat.example.com")
	p.runUntil(issued(arn))
	p.ahead = 16 * time.Hour
	p.best.Fail(acmetest.Fault{Kind: acmetest.NewOrder, Status: 429, RetryAfter: "172800", Problem: "rateLimited", Detail: "too many"})
	p.renewed(arn)
	if _, i := p.certificate(arn); i.Directory != p.other.Directory || p.best.Asked(acmetest.NewOrder) != 2 {
		t.Errorf("%+v, %d orders", i, p.best.Asked(acmetest.NewOrder))
	}
}

// What was nearly there is fetched from the CA that has it: its answers to the
// last requests are lost, and neither another order nor another CA is needed.
func TestLostAnswersCostNothing(t *testing.T) {
	for _, what := range []string{acmetest.Finalize, acmetest.Download, acmetest.Challenge, acmetest.Authz, acmetest.Order} {
		t.Run(what, func(t *testing.T) {
			p := newPair(t)
			p.tune = func(in *acm.CARequest) { in.Issuer, in.Roots = p.best.Directory, p.best.ServerRoot }
			p.best.Fail(acmetest.Fault{Kind: what, Lose: true, Times: 4}) // the library asks three times
			arn := p.request("chat.example.com")
			for step := 0; !issued(arn)(p.now()); step++ {
				p.ahead = time.Duration(step) * 11 * time.Minute
				if step > 4 {
					_, i := p.certificate(arn)
					t.Fatalf("%+v", i)
				}
				failures := 0
				if _, i := p.certificate(arn); i != nil {
					failures = i.Failures
				}
				p.runUntil(func(s *albion.State) bool { return issued(arn)(s) || failed(arn, failures+1)(s) })
			}
			if n := p.best.Asked(acmetest.NewOrder); n != 1 {
				t.Errorf("%d orders", n)
			}
		})
	}
}

func TestGarbageInsteadOfAWindowDelaysNothing(t *testing.T) {
	p := newPair(t)
	arn := p.request("chat.example.com")
	p.runUntil(issued(arn))
	p.ahead = 16 * time.Hour // from now on it is always time to renew
	p.best.Fail(acmetest.Fault{Kind: acmetest.Renewal, Status: 200, Body: `{"suggestedWindow":{"start":"2050-01-01T00:00:00Z","end":"2040-01-01T00:00:00Z"}}`})
	p.renewed(arn)
	if p.other.Asked("") != 0 {
		t.Error("another CA was asked")
	}
}

func TestBoundAccounts(t *testing.T) {
	p := newPair(t)
	p.ca = acmetest.New(t, acmetest.Options{HTTPPort: p.port, Binding: true, Profiles: map[string]acmetest.Profile{"short": {ValidityPeriod: 30 * 3600}}})
	front := p.ca.Front(t)
	const mac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	if err := p.ca.Store.AddExternalAccountKeyByID("kid-1", mac); err != nil {
		t.Fatal(err)
	}
	p.tune = func(in *acm.CARequest) {
		in.Issuer, in.Roots, in.KeyID, in.MAC = front.Directory, front.ServerRoot, "kid-1", albion.Secret(" "+mac+"== \n")
	}
	arn := p.request("chat.example.com")
	p.runUntil(issued(arn))
	for account := range p.now().Registrations.All() {
		if key, ok := p.now().Keys.Get(account.BindingKeyName()); !ok || string(key.Secret) != mac || account.Bound.IsZero() || account.Binding != "kid-1" {
			t.Errorf("%+v", account)
		}
	}
	// Another request at the same CA needs to say nothing of it.
	again, _, err := acm.Request(albion.NewDraft(p.now()), acm.CARequest{
		Name: "www", Domains: []string{"www.example.com"}, Issuer: front.Directory, Roots: front.ServerRoot, Email: "me@example.com",
		Now: p.time(), Rand: rand.Reader, ID: [16]byte{2},
	})
	if err != nil || again.Request.Binding != "kid-1" {
		t.Errorf("%+v, %v", again, err)
	}

	// The account is lost, and the CA takes each key once.
	front.Fail(
		acmetest.Fault{Kind: acmetest.NewOrder, Status: 400, Problem: "accountDoesNotExist", Detail: "who?", Times: 2},
		acmetest.Fault{Kind: acmetest.NewAccount, Status: 403, Problem: "unauthorized", Detail: "the key was used"},
	)
	p.ahead = 16 * time.Hour
	p.runUntil(failed(arn, 1))
	p.ahead += 3 * time.Minute
	p.runUntil(failed(arn, 2))
	_, i := p.certificate(arn)
	if i.Last.Kind != albion.SetbackAccount || !strings.Contains(i.Last.Error(), "used up") || strings.Contains(i.Last.Error(), mac) {
		t.Errorf("%v", i.Last)
	}
}

func TestWhatABindingNeedsIsSaidBeforeAnythingIsOrdered(t *testing.T) {
	for want, change := range map[string]func(*acm.CARequest){
		"https://app.zerossl.com/developer": func(in *acm.CARequest) { in.Issuer = acm.ZeroSSL },
		"public-ca-tutorial":                func(in *acm.CARequest) { in.Fallbacks = []acm.Choice{{Issuer: acm.Google}} },
		"without its identifier":            func(in *acm.CARequest) { in.Issuer, in.MAC = acm.ZeroSSL, albion.Secret("c2VjcmV0LXNlY3JldC1zZWNyZXQ") },
		`the key of "kid"`:                  func(in *acm.CARequest) { in.Issuer, in.KeyID = acm.ZeroSSL, "kid" },
		"is not base64":                     func(in *acm.CARequest) { in.Issuer, in.KeyID, in.MAC = acm.ZeroSSL, "kid", albion.Secret("?") },
		"named twice":                       func(in *acm.CARequest) { in.Fallbacks = []acm.Choice{{Issuer: acm.LetsEncrypt}} },
		`the CA "nobody"`:                   func(in *acm.CARequest) { in.Fallbacks = []acm.Choice{{Issuer: "nobody"}} },
	} {
		in := acm.CARequest{Name: "chat", Domains: []string{"chat.example.com"}, Issuer: acm.LetsEncrypt, Now: noon}
		change(&in)
		d := draft()
		if _, _, err := acm.Request(d, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if len(d.Changes()) != 0 {
			t.Errorf("%s: something has changed", want)
		}
	}
}
