package route_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/wire"
)

// state holds one listener with these rules and this default action, and what
// they need.
func state(def albion.Action, rules []*albion.Rule, protocol albion.Protocol) *albion.State {
	d := albion.NewDraft(&albion.State{})
	lb := &albion.LoadBalancer{ARN: albion.LoadBalancerARN("web", [8]byte{1}), Name: "web", Attributes: albion.DefaultLoadBalancerAttributes()}
	albion.Put(d, lb)
	l := &albion.Listener{ARN: albion.ListenerARN(lb.ARN, [8]byte{1}), LoadBalancer: lb.ARN, Protocol: protocol, Port: 80, Default: def}
	if protocol == albion.HTTPS {
		cert := &albion.Certificate{ARN: albion.CertificateARN([16]byte{1}), Name: "c", Issuer: albion.Local, Chain: "-----BEGIN CERTIFICATE-----\n"}
		albion.Put(d, cert)
		albion.Put(d, &albion.Key{Name: string(cert.ARN), Secret: albion.Secret("key")})
		l.Certificates, l.SSLPolicy = []albion.ARN{cert.ARN}, albion.DefaultSSLPolicy
	}
	albion.Put(d, l)
	for _, name := range []string{"a", "b"} {
		albion.Put(d, &albion.TargetGroup{
			ARN: albion.ARN(name), Name: name, Protocol: albion.HTTP, Port: 80,
			HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
		})
	}
	for i, r := range rules {
		r.ARN, r.Listener = albion.RuleARN(l.ARN, [8]byte{byte(i)}), l.ARN
		albion.Put(d, r)
	}
	return &d.State
}

// part is a piece of a redirect: right, and now and then wrong.
func part(t *rapid.T, label string, choices ...string) string {
	if rapid.IntRange(0, 19).Draw(t, label+" at random") == 7 {
		return rapid.StringMatching(`[/?a#{}%\[\]:. ]{0,6}(#\{(host|port|path|query|protocol|x)\}?)?`).Draw(t, label)
	}
	return rapid.SampledFrom(choices).Draw(t, label)
}

func drawAction(t *rapid.T) albion.Action {
	switch rapid.IntRange(0, 2).Draw(t, "action") {
	case 0:
		f := &albion.Forward{}
		for _, g := range rapid.SampledFrom([][]albion.ARN{{"a"}, {"b"}, {"a", "b"}, {"a", "b"}, {}, {"a", "a"}}).Draw(t, "groups") {
			f.Groups = append(f.Groups, albion.WeightedGroup{Group: g, Weight: rapid.SampledFrom([]int{0, 1, 7, 999, 1000, -1}).Draw(t, "weight")})
		}
		return albion.Action{Forward: f}
	case 1:
		return albion.Action{Redirect: &albion.Redirect{
			Protocol: part(t, "protocol", "", "HTTP", "HTTPS", "#{protocol}"),
			Host:     part(t, "host", "", "#{host}", "www.#{host}", "example.org", "[::1]"),
			Port:     part(t, "port", "", "#{port}", "443", "65535", "8443"),
			Path:     part(t, "path", "", "/#{path}", "/", "/#{host}/#{port}#{path}", "/%20"),
			Query:    part(t, "query", "", "#{query}", "a=#{protocol}&#{query}", "#{path}"),
			Status:   rapid.SampledFrom([]int{301, 302, 307, 308}).Draw(t, "status"),
		}}
	}
	return albion.Action{Fixed: &albion.FixedResponse{Status: rapid.SampledFrom([]int{200, 204, 299, 404, 503, 599, 600, 302}).Draw(t, "status")}}
}

func drawRule(t *rapid.T) *albion.Rule {
	r := &albion.Rule{Priority: rapid.IntRange(1, 20).Draw(t, "priority"), Action: drawAction(t)}
	fields := []albion.ConditionField{albion.HostHeader, albion.PathPattern}
	for _, field := range fields[rapid.IntRange(0, 1).Draw(t, "first"):rapid.IntRange(1, 2).Draw(t, "last")] {
		r.Conditions = append(r.Conditions, albion.Condition{
			Field:  field,
			Values: rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z.*?_-]{1,5}`), 1, 2).Draw(t, "values"),
		})
	}
	return r
}

// TestAValidStateCompiles: whatever Validate accepts becomes a table, which
// answers as the rules say, with Locations that a browser can follow.
func TestAValidStateCompiles(t *testing.T) {
	accepted, located := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		def := drawAction(t)
		rules := rapid.SliceOfN(rapid.Custom(drawRule), 0, 2).Draw(t, "rules")
		protocol := rapid.SampledFrom([]albion.Protocol{albion.HTTP, albion.HTTPS}).Draw(t, "protocol")
		if albion.Validate(state(def, rules, protocol)) != nil {
			return
		}
		accepted++
		table, err := route.Compile(def, rules)
		if err != nil {
			t.Fatalf("accepted, and not compiled: %v", err)
		}
		host := rapid.StringMatching(`[a-z]{1,3}\.[a-z]{1,3}`).Draw(t, "host of the request")
		d := table.Match(request(host, "/x"))
		if want := slowMatch(rules, host, "/x"); d.Priority != want {
			t.Fatalf("rule %d, want %d", d.Priority, want)
		}
		if d.Action.Redirect != nil {
			located++
			follows(t, d, host, strings.ToLower(string(protocol)))
		}
	})
	t.Logf("%d accepted, %d with a Location", accepted, located)
	if accepted < 10 || located < 2 {
		t.Errorf("of all, only %d were accepted and %d gave a Location", accepted, located)
	}
}

// follows checks a redirect as a browser would, and that it leads elsewhere.
func follows(t *rapid.T, d *route.Decision, host, scheme string) {
	r := &wire.Request{Host: []byte(host), Path: []byte("/x"), Query: []byte("q=1")}
	loc, ok := d.Location(nil, r, scheme, 80)
	if !ok {
		t.Fatalf("no Location for %+v", d.Action.Redirect)
	}
	u, err := url.Parse(string(loc))
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || !strings.HasPrefix(u.Path, "/") {
		t.Fatalf("%q: %v", loc, err)
	}
	if scheme == "https" && u.Scheme != "https" {
		t.Fatalf("%q gives the encryption up", loc)
	}
}

// FuzzValidRedirect: a redirect that Validate accepts compiles, and makes a
// Location from an ordinary request that url.Parse reads as meant.
func FuzzValidRedirect(f *testing.F) {
	f.Add("HTTPS", "#{host}", "443", "/#{path}", "#{query}")
	f.Add("", "[::1]", "", "", "")
	f.Add("#{protocol}", "www.#{host}", "#{port}", "/#{host}:#{port}/#{path}", "a=#{protocol}")
	f.Add("HTTP", "%", "1", "//", "?")
	f.Fuzz(func(t *testing.T, protocol, host, port, path, query string) {
		def := albion.Action{Redirect: &albion.Redirect{Protocol: protocol, Host: host, Port: port, Path: path, Query: query, Status: 301}}
		if albion.Validate(state(def, nil, albion.HTTP)) != nil {
			return
		}
		table, err := route.Compile(def, nil)
		if err != nil {
			t.Fatalf("accepted, and not compiled: %v", err)
		}
		r := &wire.Request{Host: []byte("h.example.com:80"), Path: []byte("/x"), Query: []byte("q=1")}
		loc, ok := table.Match(r).Location(nil, r, "http", 80)
		if !ok {
			t.Fatal("no Location")
		}
		authority := strings.SplitN(string(loc), "/", 4)[2]
		if name, _, ok := wire.SplitAuthority([]byte(authority)); !ok || len(name) == 0 {
			t.Fatalf("%q has no host", loc)
		}
	})
}
