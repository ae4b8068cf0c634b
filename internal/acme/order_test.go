package acme_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

func TestSeveralNamesByHTTP(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com", "xn--bcher-kva.example.com", "127.0.0.1"}})
	a.register()
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	leaf := a.leaf()
	if slices.Sort(leaf.DNSNames); !slices.Equal(leaf.DNSNames, []string{"chat.example.com", "xn--bcher-kva.example.com"}) || len(leaf.IPAddresses) != 1 {
		t.Errorf("names %v %v", leaf.DNSNames, leaf.IPAddresses)
	}
}

func TestByALPN(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}, Method: albion.MethodALPN})
	a.register()
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	a.leaf()
}

// records is a Solver that a DNS of the test's serves.
type records struct{ dns *acmetest.DNS }

func (r records) Present(_ context.Context, all []acme.Presentation) error {
	for _, p := range all {
		r.dns.Add(p.Name, p.Value)
	}
	return nil
}

func (r records) CleanUp(_ context.Context, all []acme.Presentation) error {
	for _, p := range all {
		r.dns.Remove(p.Name, p.Value)
	}
	return nil
}

func TestAWildcardByDNS(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"example.com", "*.example.com"}, Method: albion.MethodManual})
	a.config.Solver = records{a.ca.DNS}
	a.register()
	a.ca.DNS.Add("_acme-challenge.example.com", "somebody else's")
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	a.leaf()
	if got := a.ca.DNS.Records("_acme-challenge.example.com"); len(got) != 3 {
		t.Errorf("records %q", got)
	}
	if err := a.client().CleanUp(t.Context(), a.task.Order); err != nil {
		t.Fatal(err)
	}
	if got := a.ca.DNS.Records("_acme-challenge.example.com"); !slices.Equal(got, []string{"somebody else's"}) {
		t.Errorf("records %q", got)
	}
}

func TestAWildcardWithoutDNSIsExplained(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"*.example.com"}})
	a.register()
	if s := setback(t, a.obtain()); !strings.Contains(s.Advice, "wildcard") {
		t.Errorf("%+v", s)
	}
}

// A process that is killed after any step that it kept goes on with a new
// client and costs the CA no second order.
func TestEveryStepCanBeTheLastOfAProcess(t *testing.T) {
	a := newApplicant(t, acmetest.Options{NonceReject: 30}, albion.Request{Domains: []string{"chat.example.com", "www.example.com"}})
	a.register()
	for a.task.Order.Step != albion.StepDownloaded {
		if err := a.advance(a.client()); err != nil {
			t.Fatal(err)
		}
	}
	a.leaf()
	// A refused nonce makes the same order be sent again, never a second one be made.
	if orders := ordersMade(a); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// ordersMade counts what the CA holds, by asking for what it listed in order.
func ordersMade(a *applicant) int {
	a.t.Helper()
	account, err := a.ca.Store.GetAccountByKey(a.task.AccountKey.Public())
	if err != nil {
		a.t.Fatal(err)
	}
	return len(a.ca.Store.GetOrdersByAccountID(account.ID))
}

// Every step is taken twice from the same journal, as after a kill between what
// the CA did and what was kept of it.
func TestEveryStepCanBeTakenTwice(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
	a.register()
	for a.task.Order.Step != albion.StepDownloaded {
		before := a.task.Order
		if err := a.advance(a.client()); err != nil {
			t.Fatal(err)
		}
		if before.Step == albion.StepBegun {
			continue // that is the order itself
		}
		again := a.task
		again.Order = before
		if _, err := a.client().Advance(a.context(), again); err != nil {
			t.Errorf("after %s again: %v", before.Step, err)
		}
	}
	a.leaf()
	if n := ordersMade(a); n != 1 {
		t.Errorf("%d orders", n)
	}
}

func TestALostAnswerToFinalizeLosesNoCertificate(t *testing.T) {
	for _, lost := range []string{acmetest.Finalize, acmetest.Download} {
		t.Run(lost, func(t *testing.T) {
			a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
			a.register()
			a.ca.Lose(lost)
			setback(t, a.obtain())
			a.ca.Fault(nil)
			if err := a.obtain(); err != nil {
				t.Fatal(err)
			}
			a.leaf()
			if n := ordersMade(a); n != 1 {
				t.Errorf("%d orders", n)
			}
		})
	}
}

func TestTheSameKeyIsTheSameAccount(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
	a.register()
	first := a.task.Registration.URL
	a.task.Registration = &albion.Registration{ID: "a", Directory: a.ca.Directory}
	a.register()
	if a.task.Registration.URL != first {
		t.Errorf("%s, then %s", first, a.task.Registration.URL)
	}
}

func TestABoundAccount(t *testing.T) {
	a := newApplicant(t, acmetest.Options{Binding: true}, albion.Request{Domains: []string{"chat.example.com"}})
	const mac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	if err := a.ca.Store.AddExternalAccountKeyByID("kid-1", mac); err != nil {
		t.Fatal(err)
	}
	_, err := a.client().Register(a.context(), a.task.Registration, a.task.AccountKey, nil)
	if s := setback(t, err); s.Kind != albion.SetbackAccount {
		t.Errorf("%+v", s)
	}
	_, err = a.client().Register(a.context(), a.task.Registration, a.task.AccountKey, &acme.Binding{KeyID: "kid-1", MAC: "not base64!"})
	setback(t, err)
	r, err := a.client().Register(a.context(), a.task.Registration, a.task.AccountKey, &acme.Binding{KeyID: "kid-1", MAC: mac + "=="})
	if err != nil || r.URL == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRenewalSaysWhatItReplaces(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
	a.register()
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	replaces := acme.CertificateID(a.leaf())
	for range 2 { // the second time it is replaced already, which must not matter
		a.task.Order = &albion.Order{Account: "a", Step: albion.StepBegun, Replaces: replaces}
		if err := a.obtain(); err != nil {
			t.Fatal(err)
		}
	}
	a.task.Order = &albion.Order{Account: "a", Step: albion.StepBegun, Replaces: "bm90.aGVyZQ"} // another CA's
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	if a.task.Order.Replaces != "" {
		t.Error("it is not kept that the order replaces nothing")
	}
}

func TestAnAddressGetsTheShortLivedProfile(t *testing.T) {
	a := newApplicant(t, acmetest.Options{Profiles: map[string]acmetest.Profile{
		"classic": {ValidityPeriod: 90 * 86400}, "shortlived": {ValidityPeriod: 160 * 3600},
	}}, albion.Request{Domains: []string{"127.0.0.1"}})
	a.register()
	if err := a.obtain(); err != nil {
		t.Fatal(err)
	}
	if leaf := a.leaf(); leaf.NotAfter.Sub(leaf.NotBefore) > 7*24*time.Hour {
		t.Errorf("valid until %s", leaf.NotAfter)
	}
	a.task.Order, a.task.Request.Profile = &albion.Order{Account: "a", Step: albion.StepBegun}, "gold"
	if s := setback(t, a.obtain()); !strings.Contains(s.Advice, "classic, shortlived") {
		t.Errorf("%+v", s)
	}
}

func TestAChainCanBePreferred(t *testing.T) {
	a := newApplicant(t, acmetest.Options{Alternates: 1}, albion.Request{Domains: []string{"chat.example.com"}})
	a.register()
	for _, n := range []int{0, 1} {
		a.config.Chain = a.ca.Issuer(n)
		a.task.Order = &albion.Order{Account: "a", Step: albion.StepBegun}
		if err := a.obtain(); err != nil {
			t.Fatal(err)
		}
		if last := lastIssuer(t, a.task.Order.Chain); last != a.ca.Issuer(n) {
			t.Errorf("the chain leads to %s, not to %s", last, a.ca.Issuer(n))
		}
	}
}

func lastIssuer(t *testing.T, chain string) (name string) {
	t.Helper()
	for _, b := range blocks(chain) {
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			t.Fatal(err)
		}
		name = cert.Issuer.CommonName
	}
	return name
}

func TestCancelEndsAStepAtOnce(t *testing.T) {
	a := newApplicant(t, acmetest.Options{}, albion.Request{Domains: []string{"chat.example.com"}})
	a.register()
	c := a.client()
	ctx, cancel := context.WithCancel(t.Context())
	a.ca.Fault(func(http.ResponseWriter, *http.Request) bool { cancel(); return false })
	for {
		next, err := c.Advance(ctx, a.task)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			return
		}
		a.task.Order = next
	}
}
