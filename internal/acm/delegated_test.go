package acm_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// The zone that names are delegated into is chosen when there is no doubt, and
// stays chosen.
func TestTheZoneOfADelegationIsChosenOnce(t *testing.T) {
	put := func(d *albion.Draft, name string) {
		z := &albion.HostedZone{ID: albion.HostedZoneID([16]byte([]byte(name + "0123456789abcdef")[:16])), Name: name}
		soa, ns := z.DefaultRecordSets(nil)
		albion.Put(d, z)
		albion.Put(d, soa)
		albion.Put(d, ns)
	}
	by := func(way string, zones ...string) func(*acm.CARequest) {
		return func(in *acm.CARequest) {
			in.Domains, in.Challenge, in.Zones = []string{"chat.example.com", "*.example.com"}, way, zones
		}
	}
	d := draft()
	in := acm.CARequest{Name: "chat", Issuer: acm.LetsEncrypt, Now: noon}
	by("dns-delegated")(&in)
	if _, _, err := acm.Request(d, in); err == nil || !strings.Contains(err.Error(), "there is none: make one with") {
		t.Errorf("%v", err)
	}
	put(d, "lb.example.net.")
	cert, _ := ask(t, d, by("dns-delegated"))
	if cert.Request.Argument != "lb.example.net" {
		t.Errorf("%+v", cert.Request)
	}
	// Another zone changes nothing for who has chosen, and makes others say which.
	put(d, "other.example.org.")
	if again, _ := ask(t, d, by("dns-delegated")); again.Request.Argument != "lb.example.net" {
		t.Errorf("%+v", again.Request)
	}
	if same, changed := ask(t, d, by("dns-delegated=LB.example.net.")); same.Request.Argument != "lb.example.net" || changed {
		t.Errorf("%+v", same.Request)
	}
	in.Name = "new"
	if _, _, err := acm.Request(d, in); err == nil || !strings.Contains(err.Error(), "several hosted zones to delegate into (lb.example.net, other.example.org): say which") {
		t.Errorf("%v", err)
	}
	by("dns-delegated=lost.example.org")(&in)
	if _, _, err := acm.Request(d, in); err == nil || !strings.Contains(err.Error(), "there is no such hosted zone") {
		t.Errorf("%v", err)
	}
	// One that the same file makes counts, and a zone of the names themselves needs no
	// other.
	if cert, _ := ask(t, d, by("dns-delegated=soon.example.org", "soon.example.org")); cert.Request.Argument != "soon.example.org" {
		t.Errorf("%+v", cert.Request)
	}
	put(d, "example.com.")
	if cert, _ := ask(t, d, by("dns-delegated")); cert.Request.Argument != "" {
		t.Errorf("%+v", cert.Request)
	}
}
