package solve_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/dns"
	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
	"github.com/albion-lb/albion/internal/solve"
)

// hosting is a State with zones, and the name server that answers from it.
type hosting struct {
	state atomic.Pointer[albion.State]
	names *dns.Server
}

const ourAddress = "127.0.0.150"

// host starts a name server for zones, at the port at which servers of the tree
// are asked.
func host(t *testing.T, port int, zones ...string) *hosting {
	t.Helper()
	own := netip.MustParseAddr(ourAddress)
	d := albion.NewDraft(&albion.State{})
	albion.Put(d, &albion.NameService{Listen: []string{fmt.Sprintf("%s:%d", ourAddress, port)}, Addresses: []netip.Addr{own}})
	for i, name := range zones {
		z := &albion.HostedZone{ID: albion.HostedZoneID([16]byte{byte(i + 1)}), Name: name + "."}
		soa, ns := z.DefaultRecordSets(nil)
		albion.Put(d, z)
		albion.Put(d, soa)
		albion.Put(d, ns)
	}
	h := &hosting{names: dns.New(dns.Config{Log: slog.New(slog.DiscardHandler)})}
	h.put(t, d)
	ctx, stop := context.WithCancel(context.Background())
	var live sync.WaitGroup
	live.Go(func() {
		if err := h.names.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		live.Wait()
	})
	for _, seen := range h.names.Seen() {
		if !seen.Serving {
			t.Fatalf("%+v", seen)
		}
	}
	return h
}

func (h *hosting) put(t *testing.T, d *albion.Draft) {
	t.Helper()
	s, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.names.Apply(s); err != nil {
		t.Fatal(err)
	}
	h.state.Store(s)
}

// order makes an order for some domains live, and returns what is presented.
func (h *hosting) order(t *testing.T, r *albion.Request) []acme.Presentation {
	t.Helper()
	d := albion.NewDraft(h.state.Load())
	arn := albion.ARN("arn:aws:acm:us-east-1:000000000000:certificate/1")
	o := &albion.Order{Account: "a", Step: albion.StepChosen, URL: "https://ca.example.com/order/1"}
	var all []acme.Presentation
	for i, domain := range r.Domains {
		a := albion.Answer{Domain: strings.TrimPrefix(domain, "*."), Challenge: albion.ChallengeDNS, Token: "t", Proof: fmt.Sprint("proof", i)}
		o.Answers = append(o.Answers, a)
		all = append(all, acme.Presentation{Domain: a.Domain, Challenge: a.Challenge, Name: albion.ChallengeName(a.Domain), Value: a.TXT()})
	}
	r.Directory = "https://ca.example.com/dir"
	albion.Put(d, &albion.Certificate{ARN: arn, Name: "c", Chain: "-----BEGIN CERTIFICATE-----\n", Issuer: albion.ACME, Request: r, Pending: true})
	albion.Put(d, &albion.Issuance{Certificate: arn, Order: o})
	albion.Put(d, &albion.Registration{ID: "a", Directory: r.Directory})
	for _, name := range []string{string(arn), "account/a", albion.OrderKeyName(arn)} {
		albion.Put(d, &albion.Key{Name: name, Secret: albion.Secret("key")})
	}
	h.put(t, d)
	return all
}

// delegating is a solver for a request, and what it tells.
func delegating(t *testing.T, net *resolvetest.Network, h *hosting, r *albion.Request) (*solve.Delegated, chan []albion.Wanted) {
	t.Helper()
	resolver, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan []albion.Wanted, 1000)
	return &solve.Delegated{State: h.state.Load, Request: r, Resolver: resolver, Tell: func(all []albion.Wanted) { told <- all }, Every: 50 * time.Millisecond}, told
}

func request(zone string, domains ...string) *albion.Request {
	return &albion.Request{Method: albion.MethodDelegated, Argument: zone, Domains: domains}
}

// ours delegates lb.example.test to the hosting.
const ours = "lb NS ns1.lb\nns1.lb A " + ourAddress + "\n"

// target is where the CNAME of a name has to lead.
func target(t *testing.T, domain string) string {
	t.Helper()
	d := albion.NewDraft(&albion.State{})
	albion.Put(d, &albion.HostedZone{ID: "Z1", Name: "lb.example.test."})
	way, err := d.State.Delegation(request("lb.example.test", domain), domain)
	if err != nil {
		t.Fatal(err)
	}
	return way.Target
}

func TestADelegationSaysWhatIsWrong(t *testing.T) {
	good := "_acme-challenge.good CNAME " + target(t, "good.example.test") + ".\n" +
		"_acme-challenge.far CNAME hop\nhop CNAME " + target(t, "far.example.test") + ".\n"
	net := resolvetest.New(t, resolvetest.Zone{Name: "example.test", Servers: 2, Text: ours + good + `
_acme-challenge.wrong   CNAME elsewhere.example.test.
*.wild                  CNAME elsewhere.example.test.
_acme-challenge.text    TXT   "left over"
foreign NS ns1
`})
	h := host(t, net.Port, "lb.example.test", "lost.example.test", "foreign.example.test")
	for _, c := range []struct {
		zone, domain string
		kind         albion.RecordType // that is wanted; "": nothing is missing
		problem      string
	}{
		{"lb.example.test", "good.example.test", "", ""},
		{"lb.example.test", "*.good.example.test", "", ""},
		{"lb.example.test", "far.example.test", "", ""},
		{"", "chat.lb.example.test", "", ""},
		{"lb.example.test", "none.example.test", albion.TypeCNAME, ""},
		{"lb.example.test", "wrong.example.test", albion.TypeCNAME, "_acme-challenge.wrong.example.test leads to elsewhere.example.test and not to " + target(t, "wrong.example.test") + ": change the record"},
		{"lb.example.test", "wild.example.test", albion.TypeCNAME, "a wildcard of example.test answers for _acme-challenge.wild.example.test: the name needs a CNAME record of its own"},
		{"lb.example.test", "text.example.test", albion.TypeCNAME, "there is a TXT record at _acme-challenge.text.example.test, and a CNAME stands alone: delete it"},
		{"lost.example.test", "good.example.test", albion.TypeNS, "the zone lost.example.test is not delegated: nobody finds it until example.test has NS records for it, and an address record (glue) for ns1.lost.example.test"},
		{"foreign.example.test", "good.example.test", albion.TypeNS, "the servers to which the zone foreign.example.test is delegated do not answer for it"},
	} {
		t.Run(c.domain+" by "+c.zone, func(t *testing.T) {
			d, told := delegating(t, net, h, request(c.zone, c.domain))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- d.Prepare(ctx, []string{c.domain}) }()
			wanted := <-told
			cancel()
			if err := <-done; (err == nil) != (c.kind == "") {
				t.Fatalf("%v: %+v", err, wanted)
			}
			if c.kind == "" {
				return
			}
			w := wanted[0]
			if w.Type != c.kind || !strings.HasPrefix(w.Problem, c.problem) || (c.problem == "") != (w.Problem == "") {
				t.Errorf("%+v, want %q", w, c.problem)
			}
			if c.kind == albion.TypeCNAME && (w.Zone != "example.test" || w.Host()+".example.test" != w.Name || len(w.Servers) != 2 || w.Servers[0].Has) {
				t.Errorf("%+v", w)
			}
		})
	}
}

// The CNAME is made while it is waited for; then the zone shows the records.
func TestADelegationGoesOnByItself(t *testing.T) {
	net := resolvetest.New(t, resolvetest.Zone{Name: "example.test", Text: ours})
	h := host(t, net.Port, "lb.example.test")
	r := request("lb.example.test", "chat.example.test", "*.chat.example.test")
	d, told := delegating(t, net, h, r)
	done := make(chan error, 1)
	go func() { done <- d.Prepare(t.Context(), r.Domains) }()
	first := (<-told)[0]
	if len(first.Servers) != 1 || first.Servers[0].Has || first.Servers[0].Says != "no such record" {
		t.Errorf("%+v", first)
	}
	net.Update("example.test", "add "+first.Name+" 60 CNAME "+first.Value+".")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	all := h.order(t, r)
	if err := d.Present(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	said, err := d.Resolver.Everywhere(t.Context(), first.Value, "TXT")
	if err != nil || len(said) != 1 || len(said[0].Answer.Of("TXT")) != 2 {
		t.Errorf("%+v, %v", said, err)
	}
	if err := d.CleanUp(t.Context(), all); err != nil {
		t.Error(err)
	}
}

func TestASolverThatIsStoppedEnds(t *testing.T) {
	net := resolvetest.New(t, resolvetest.Zone{Name: "example.test", Text: ours})
	h := host(t, net.Port, "lb.example.test")
	r := request("lb.example.test", "chat.lb.example.test")
	d, _ := delegating(t, net, h, r)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	// Nothing is presented: the order is not live.
	err := d.Present(ctx, []acme.Presentation{{Domain: "chat.lb.example.test", Challenge: albion.ChallengeDNS, Value: "x"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
