package dns_test

import (
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// proving is a State in which a certificate is being proved through its zones:
// an order with the tokens for each domain.
func proving(t *testing.T, d *albion.Draft, argument string, tokens map[string]string) *albion.State {
	t.Helper()
	arn := albion.ARN("arn:aws:acm:us-east-1:000000000000:certificate/1")
	r := &albion.Request{Directory: "https://ca.example.com/dir", Method: albion.MethodDelegated, Argument: argument}
	o := &albion.Order{Account: "a", Step: albion.StepChosen, URL: "https://ca.example.com/order/1"}
	for _, domain := range slices.Sorted(func(yield func(string) bool) {
		for domain := range tokens {
			if !yield(domain) {
				return
			}
		}
	}) {
		r.Domains = append(r.Domains, domain)
		o.Answers = append(o.Answers, albion.Answer{Domain: strings.TrimPrefix(domain, "*."), Challenge: albion.ChallengeDNS, Token: "t", Proof: tokens[domain]})
	}
	albion.Put(d, &albion.Certificate{ARN: arn, Name: "c", Chain: "-----BEGIN CERTIFICATE-----\n", Issuer: albion.ACME, Request: r, Pending: true})
	albion.Put(d, &albion.Issuance{Certificate: arn, Order: o})
	albion.Put(d, &albion.Registration{ID: "a", Directory: r.Directory})
	for _, name := range []string{string(arn), "account/a", albion.OrderKeyName(arn)} {
		albion.Put(d, &albion.Key{Name: name, Secret: albion.Secret("key")})
	}
	return finish(t, d)
}

// texts asks for the TXT records of a name.
func texts(t *testing.T, respond func([]byte, bool, float64) []byte, name string) (all []string, rcode int) {
	t.Helper()
	var m wire.Msg
	if err := m.Unpack(respond(question(t, name, "TXT", nil), false, 0)); err != nil {
		t.Fatal(err)
	}
	for _, rr := range m.Answer {
		if txt, ok := rr.(*wire.TXT); ok {
			all = append(all, strings.Join(txt.Txt, ""))
		}
	}
	return all, m.Rcode
}

func TestAZoneProvesNamesWhileAnOrderLives(t *testing.T) {
	d := albion.NewDraft(&albion.State{})
	zone(t, d, "lb.example.net.", "* 60 IN CNAME elsewhere.example.org.\n")
	zone(t, d, "example.com.", "_acme-challenge 60 IN CNAME old.example.org.\n_acme-challenge.www 60 IN TXT \"stays\"\n")
	before := finish(t, d)
	s := proving(t, albion.NewDraft(before), "", map[string]string{"example.com": "one", "*.example.com": "two", "www.example.com": "three"})
	table, fresh, err := compile(t, before).Again(s, own...)
	if err != nil || !slices.Equal(fresh, []string{"example.com."}) {
		t.Fatalf("%v, %v", fresh, err)
	}
	value := func(proof string) string { return (&albion.Answer{Proof: proof}).TXT() }
	if got, _ := texts(t, table.Respond, "_ACME-challenge.example.com."); len(got) != 2 || !slices.Contains(got, value("one")) || !slices.Contains(got, value("two")) {
		t.Errorf("%q", got)
	}
	if got, _ := texts(t, table.Respond, "_acme-challenge.www.example.com."); !slices.Equal(got, []string{"stays", value("three")}) {
		t.Errorf("%q", got)
	}
	// That there is nothing is not to be remembered.
	var m wire.Msg
	if err := m.Unpack(table.Respond(question(t, "_acme-challenge.www.example.com.", "CNAME", nil), false, 0)); err != nil {
		t.Fatal(err)
	}
	if len(m.Ns) != 1 || m.Ns[0].Header().Ttl != 0 || m.Rcode != wire.RcodeSuccess {
		t.Errorf("%v", &m)
	}
	// When the order has ended nothing is left of it.
	after := albion.NewDraft(s)
	albion.DeleteCertificate(after, "arn:aws:acm:us-east-1:000000000000:certificate/1")
	table, _, err = table.Again(finish(t, after), own...)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := texts(t, table.Respond, "_acme-challenge.www.example.com."); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("%q", got)
	}
	if got, _ := texts(t, table.Respond, "_acme-challenge.example.com."); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// A wildcard of the zone swallows nothing.
func TestAZoneProvesNamesOfOthers(t *testing.T) {
	d := albion.NewDraft(&albion.State{})
	zone(t, d, "lb.example.net.", "* 60 IN CNAME elsewhere.example.org.\n")
	s := proving(t, d, "lb.example.net", map[string]string{"chat.example.com": "one", "*.chat.example.com": "two"})
	cert, _ := s.Certificates.Get("arn:aws:acm:us-east-1:000000000000:certificate/1")
	to, err := s.Delegation(cert.Request, "chat.example.com")
	if err != nil || !to.Alias() {
		t.Fatal(to, err)
	}
	if got, rcode := texts(t, compile(t, s).Respond, to.Target+"."); len(got) != 2 || rcode != wire.RcodeSuccess {
		t.Errorf("%q %d", got, rcode)
	}
}
