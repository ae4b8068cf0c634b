package albion_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
)

func delegated(argument string, domains ...string) *albion.Request {
	return &albion.Request{Directory: "https://ca.example.com/dir", Method: albion.MethodDelegated, Argument: argument, Domains: domains}
}

func TestWhereADelegationLeads(t *testing.T) {
	d := named()
	z := &albion.HostedZone{ID: "Z2", Name: "lb.example.net."}
	soa, ns := z.DefaultRecordSets(nil)
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	albion.Put(d, &albion.HostedZone{ID: "Z3", Name: "deep.lb.example.net."})
	s := &d.State
	if deep, err := s.Delegation(delegated("lb.example.net"), "a.deep.lb.example.net"); err != nil || deep.Zone.ID != "Z3" {
		t.Errorf("%+v, %v", deep, err)
	}
	for _, c := range []struct{ argument, domain, target, err string }{
		{"", "www.example.com", "_acme-challenge.www.example.com", ""},
		{"", "*.example.com", "_acme-challenge.example.com", ""},
		{"lb.example.net", "a.lb.example.net", "_acme-challenge.a.lb.example.net", ""},
		{"lb.example.net", "a.deep.lb.example.net", "_acme-challenge.a.deep.lb.example.net", ""},
		{"LB.example.net.", "chat.example.org", "chat-example-org-", ""},
		{"lb.example.net", "www.example.com", "www-example-com-", ""},
		{"", "chat.example.org", "", "is in no hosted zone: write dns-delegated=ZONE"},
		{"other.test", "chat.example.org", "", "there is no such hosted zone: make it with `albion dns zone create other.test`"},
	} {
		got, err := s.Delegation(delegated(c.argument), c.domain)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.domain, err, c.err)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(got.Target, c.target) || got.Alias() == (got.Target == c.target) {
			t.Errorf("%s: %+v, %v", c.domain, got, err)
		}
	}
	one, _ := s.Delegation(delegated("lb.example.net"), "chat.example.org")
	wild, _ := s.Delegation(delegated("lb.example.net"), "*.chat.example.org")
	other, _ := s.Delegation(delegated("lb.example.net"), "chat-example.org")
	if one.Target != wild.Target || one.Target == other.Target {
		t.Errorf("%q, %q, %q", one.Target, wild.Target, other.Target)
	}
}

// Whatever the name, the target is one that everybody takes.
func TestATargetIsAlwaysAHostName(t *testing.T) {
	s := &named().State
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`)
		domain := strings.Join(rapid.SliceOfN(label, 2, 3).Draw(t, "labels"), ".") + ".test"
		d, err := s.Delegation(delegated("example.com"), domain)
		if err != nil {
			t.Fatal(err)
		}
		first, zone, _ := strings.Cut(d.Target, ".")
		if zone != "example.com" || len(first) > 63 || strings.Contains(first, "--") || strings.HasPrefix(first, "-") || strings.Trim(first, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Fatalf("%s leads to %s", domain, d.Target)
		}
	})
}

func TestAZoneThatACertificateIsProvedThroughStays(t *testing.T) {
	w, i := requested()
	w.cert.Request = delegated("example.com", "chat.example.org")
	i.Order.Answers = nil
	d := withIssuance(w, i)
	z := &albion.HostedZone{ID: "Z1", Name: "example.com."}
	soa, ns := z.DefaultRecordSets(nil)
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	s, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	next := albion.NewDraft(s)
	albion.Delete[*albion.HostedZone](next, z.ID)
	albion.Delete[*albion.RecordSet](next, soa.Identity())
	albion.Delete[*albion.RecordSet](next, ns.Identity())
	_, err = next.Finish()
	var e *albion.Error
	if !errors.As(err, &e) || e.Field != "Request.Domains[0]" || !strings.Contains(e.Message, "there is no such hosted zone") {
		t.Errorf("%v", err)
	}
}

func TestWhatAnOrderLeftIsKept(t *testing.T) {
	for _, c := range []struct {
		method albion.Method
		step   albion.Step
		left   bool
		proved bool
	}{
		{albion.MethodHTTP, albion.StepChosen, true, false},
		{albion.MethodHTTP, albion.StepDownloaded, false, true},
		{albion.MethodExec, albion.StepAsked, true, false},
		{albion.MethodExec, albion.StepDownloaded, true, true},
		{albion.MethodManual, albion.StepDownloaded, false, true},
	} {
		w, i := requested()
		w.cert.Request.Method, w.cert.Request.Domains = c.method, []string{"chat.example.com"}
		if c.method == albion.MethodExec {
			w.cert.Request.Argument = "/hook"
		}
		i.Order.Step = c.step
		s, err := withIssuance(w, i).Finish()
		if err != nil {
			t.Fatal(err)
		}
		d := albion.NewDraft(s)
		albion.DeleteCertificate(d, w.cert.ARN)
		if d.Leftovers.Len() != 0 != c.left {
			t.Errorf("%+v leaves %d", c, d.Leftovers.Len())
		}
		for l := range d.Leftovers.All() {
			if l.Proved != c.proved || len(l.Answers) != 1 || l.Account != "a" || l.ID != albion.LeftoverID(i.Order.URL) {
				t.Errorf("%+v", l)
			}
		}
	}
}

func TestAWantedRecordIsShownAsARegistrarsFormWantsIt(t *testing.T) {
	for zone, want := range map[string]string{"example.com": "_acme-challenge.chat", "_acme-challenge.chat.example.com": "@", "": "_acme-challenge.chat.example.com"} {
		w := albion.Wanted{Name: "_acme-challenge.chat.example.com", Zone: zone, Type: albion.TypeTXT, Value: "v", Servers: []albion.ServerSaid{{Has: true}, {}}}
		if got := w.Host(); got != want {
			t.Errorf("%s: %s", zone, got)
		}
		if has, asked := w.Seen(); has != 1 || asked != 2 || w.String() != "add this TXT record: _acme-challenge.chat.example.com with the value v" {
			t.Errorf("%d of %d: %s", has, asked, &w)
		}
	}
}
