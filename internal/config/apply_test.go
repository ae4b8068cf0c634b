package config_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

// changeLines renders changes one a line.
func changeLines(changes []config.Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}

// exampleFiles are the files that testdata/albion.yaml reads.
func exampleFiles() map[string]string {
	return map[string]string{
		"/etc/albion/certs/fullchain.pem":                     "shop leaf",
		"/etc/albion/certs/privkey.pem":                       "shop key",
		"/etc/albion/certs/chain.pem":                         "intermediate",
		"/etc/letsencrypt/live/old.example.com/fullchain.pem": "old chain",
		"/etc/letsencrypt/live/old.example.com/privkey.pem":   "old key",
	}
}

func TestTheExampleBecomesAState(t *testing.T) {
	data, err := os.ReadFile("testdata/albion.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, string(data))
	w := newWorld()
	w.files = exampleFiles()
	state, changes, err := w.run(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 12 {
		t.Errorf("%d changes:\n%s", len(changes), changeLines(changes))
	}
	lb := only(t, state.LoadBalancers)
	if lb.Origin != albion.OriginFile || !lb.Created.Equal(w.now) || lb.AccessLog != (albion.AccessLog{File: "/etc/albion/access.log", MaxSize: 100 << 20, Keep: 10}) {
		t.Errorf("load balancer %+v", lb)
	}
	if lb.Attributes != albion.DefaultLoadBalancerAttributes() {
		t.Errorf("the example writes the defaults out, yet %+v", lb.Attributes)
	}
	for g := range state.TargetGroups.All() {
		switch g.Name {
		case "chat":
			if fmt.Sprint(g.Targets) != "[127.0.0.1:8080 127.0.0.1:8081 [::1]:8080 chat.internal:8080]" || g.Attributes.Stickiness.Type != albion.SockJS {
				t.Errorf("chat is %+v", g)
			}
		case "beta":
			if g.Attributes.Stickiness != (albion.Stickiness{Type: albion.LBCookie, Duration: 24 * time.Hour}) || g.Port != 80 || g.HealthCheck != albion.DefaultHealthCheck() {
				t.Errorf("beta is %+v", g)
			}
		}
	}
	for l := range state.Listeners.All() {
		switch l.Port {
		case 80:
			want := albion.DefaultRedirect()
			want.Protocol, want.Port = "HTTPS", "443"
			if l.Protocol != albion.HTTP || *l.Default.Redirect != want {
				t.Errorf("listener 80 is %+v", l)
			}
		case 443:
			if l.Protocol != albion.HTTPS || len(l.Certificates) != 3 || l.SSLPolicy != albion.DefaultSSLPolicy || l.Default.Forward.Groups[0].Weight != 1 {
				t.Errorf("listener 443 is %+v", l)
			}
		}
	}
	for r := range state.Rules.All() {
		if r.Priority == 10 && (len(r.Conditions) != 2 || r.Conditions[0].Field != albion.HostHeader || r.Action.Forward.Groups[0].Weight != 9) {
			t.Errorf("rule 10 is %+v", r)
		}
	}
}

func only[T any](t *testing.T, table albion.Table[T]) T {
	t.Helper()
	if table.Len() != 1 {
		t.Fatalf("%d objects, not one", table.Len())
	}
	for v := range table.All() {
		return v
	}
	panic("unreachable")
}

const small = `
certificates:
  site: {certificate: site.pem, key: site.key}
  mine: {domains: [a.example.com]}
security_groups:
  office:
    ingress: [{ports: all, from: 10.0.0.0/8}]
target_groups:
  a: {targets: [127.0.0.1:1, 127.0.0.1:2]}
  b: {targets: 127.0.0.1:3}
load_balancers:
  web:
    security_groups: [office]
    listeners:
      - {port: 80, redirect: https}
      - port: 443
        certificates: [site, mine]
        forward: a
        rules:
          - {path: /b/*, forward: b}
          - {path: /gone, fixed_response: {status: 410}}
`

func smallWorld() *world {
	w := newWorld()
	w.files["/etc/albion/site.pem"], w.files["/etc/albion/site.key"] = "chain", "key"
	return w
}

// step changes one thing of the small file.
type step struct {
	change []string // old, new, old, new, …
	want   string
}

func steps() map[string]step {
	return map[string]step{
		"nothing":       {nil, ""},
		"order of keys": {[]string{"{port: 80, redirect: https}", "{redirect: https, port: 80}"}, ""},
		"a default written out": {
			[]string{"a: {targets", "a: {algorithm: round_robin, deregistration_delay: 5m, port: 80, targets"}, "",
		},
		"targets": {
			[]string{"127.0.0.1:1, 127.0.0.1:2", "127.0.0.1:2, 127.0.0.1:4"},
			"change target group a: targets: +127.0.0.1:4, -127.0.0.1:1\n",
		},
		"order of targets": {
			[]string{"127.0.0.1:1, 127.0.0.1:2", "127.0.0.1:2, 127.0.0.1:1"},
			"change target group a: targets: 127.0.0.1:1, 127.0.0.1:2 → 127.0.0.1:2, 127.0.0.1:1\n",
		},
		"health check": {
			[]string{"b: {targets: 127.0.0.1:3}", "b: {targets: 127.0.0.1:3, stickiness: lb_cookie, health_check: {interval: 10s, enabled: false, port: 9}}"},
			"change target group b: stickiness: off → lb_cookie for 1d; health_check.interval: 30s → 10s; health_check.port: traffic-port → 9; health_check.enabled: true → false\n",
		},
		"attributes": {
			[]string{"security_groups: [office]", "attributes: {idle_timeout: 2m, client_keep_alive: 90m}\n    access_log: {file: /var/log/a.log, max_size: 1GiB}"},
			"change load balancer web: security_groups: -office; idle_timeout: 60s → 120s; client_keep_alive: 1h → 1h30m; access_log: /var/log/a.log; access_log.max_size: 1GiB\n",
		},
		"security group": {
			[]string{"{ports: all, from: 10.0.0.0/8}", "{ports: 443, from: [10.0.0.1, \"::1\"]}"},
			"change security group office: ingress: +443 from 10.0.0.1/32, +443 from ::1/128, -1-65535 from 10.0.0.0/8\n",
		},
		"action": {
			[]string{"forward: a", "forward: [{group: a, weight: 3}, b]"},
			"change listener web:443: action: forward to a → forward to a (weight 3), b (weight 1)\n",
		},
		"certificates of a listener": {
			[]string{"[site, mine]", "[mine]"},
			"change listener web:443: certificates: -site\n",
		},
		"domains": {
			[]string{"domains: [a.example.com]", "domains: [a.example.com, b.example.com]"},
			"change certificate mine: domains: +b.example.com\n",
		},
		"same domains": {[]string{"domains: [a.example.com]", "domains: [A.example.com.]"}, ""},
		"a port": {
			[]string{"port: 80,", "port: 81,"},
			"add listener web:81: protocol: HTTP; action: redirect 301 to HTTPS://#{host}:443/#{path}?#{query}\n" +
				"remove listener web:80\n",
		},
		"a rule": {
			[]string{"          - {path: /gone, fixed_response: {status: 410}}\n", ""},
			"remove rule web:443 priority 20\n",
		},
		"a name": {
			[]string{"  b: {targets", "  c: {targets", "forward: b", "forward: c"},
			"add target group c: port: 80; targets: +127.0.0.1:3\n" +
				"change rule web:443 priority 10: action: forward to b → forward to c\n" +
				"remove target group b\n",
		},
	}
}

// Each step changes one thing of the small file, and says so.
func TestChangesAreSaidAndNothingElseIsTouched(t *testing.T) {
	for name, c := range steps() {
		t.Run(name, func(t *testing.T) {
			w := smallWorld()
			before, _, err := w.run(parse(t, small), nil)
			if err != nil {
				t.Fatal(err)
			}
			data := small
			for i := 0; i < len(c.change); i += 2 {
				if !strings.Contains(data, c.change[i]) {
					t.Fatalf("%q is not in the file", c.change[i])
				}
				data = strings.Replace(data, c.change[i], c.change[i+1], 1)
			}
			w.now = w.now.Add(time.Hour)
			after, changes, err := w.run(parse(t, data), before)
			if err != nil {
				t.Fatal(err)
			}
			if got := changeLines(changes); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if (c.want == "") != (after == before) {
				t.Error("the State changed though nothing was said, or the other way round")
			}
			keptIdentity(t, before, after)
		})
	}
}

// keptIdentity checks that what is there before and after has kept its ARN and
// the time of its creation.
func keptIdentity(t *testing.T, before, after *albion.State) {
	t.Helper()
	for old := range before.TargetGroups.All() {
		for now := range after.TargetGroups.All() {
			if old.Name == now.Name && (old.ARN != now.ARN || !old.Created.Equal(now.Created)) {
				t.Errorf("target group %s is another one", old.Name)
			}
		}
	}
	for old := range before.Listeners.All() {
		for now := range after.Listeners.All() {
			if old.Port == now.Port && (old.ARN != now.ARN || !old.Created.Equal(now.Created)) {
				t.Errorf("listener %d is another one", old.Port)
			}
		}
	}
	for old := range before.Certificates.All() {
		for now := range after.Certificates.All() {
			if old.Name == now.Name && old.ARN != now.ARN {
				t.Errorf("certificate %s is another one", old.Name)
			}
		}
	}
}

func TestARenewedCertificateIsReplacedInPlace(t *testing.T) {
	w := smallWorld()
	f := parse(t, small)
	before, _, err := w.run(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.now, w.expiry = w.now.Add(24*time.Hour), w.expiry.Add(24*time.Hour)
	w.files["/etc/albion/site.pem"] = "renewed chain"
	after, changes, err := w.run(f, before)
	if err != nil {
		t.Fatal(err)
	}
	want := "change certificate site: expires: 2027-02-22 10:00:00Z → 2027-02-23 10:00:00Z\n"
	if got := changeLines(changes); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	keptIdentity(t, before, after)
	w.files["/etc/albion/site.key"] = "another key"
	if _, changes, err = w.run(f, after); err != nil || len(changes) != 1 {
		t.Errorf("a new key: %v, %v", changes, err)
	}
}

func TestAnExpiredCertificateDoesNotBlockTheRest(t *testing.T) {
	w := smallWorld()
	before, _, err := w.run(parse(t, small), nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := pem.Decode([]byte(chainOf(before, "site")))
	w.files["/etc/albion/site.pem"] = string(pem.EncodeToMemory(leaf))
	w.now = w.expiry.Add(time.Hour)
	_, changes, err := w.run(parse(t, strings.Replace(small, "127.0.0.1:3", "127.0.0.1:4", 1)), before)
	if got := changeLines(changes); err != nil || got != "change target group b: targets: +127.0.0.1:4, -127.0.0.1:3\n" {
		t.Errorf("got %s, %v", got, err)
	}
	w.files["/etc/albion/site.pem"] = "another, expired as well"
	if _, _, err := w.run(parse(t, small), before); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("got %v", err)
	}
}

func chainOf(s *albion.State, name string) string {
	for c := range s.Certificates.All() {
		if c.Name == name {
			return c.Chain
		}
	}
	return ""
}

func TestCertificatesThatCannotBeReadAreRefused(t *testing.T) {
	w := smallWorld()
	f := parse(t, small)
	before, _, err := w.run(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	delete(w.files, "/etc/albion/site.key")
	_, _, err = w.run(f, before)
	want := "/etc/albion/albion.yaml:3:38: certificate \"site\": open /etc/albion/site.key: file does not exist\n" +
		"     3 |   site: {certificate: site.pem, key: site.key}\n" +
		"                                              ^"
	if err == nil || err.Error() != want || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got\n%v\nwant\n%v", err, want)
	}
	w.files["/etc/albion/site.key"] = "broken"
	_, _, err = w.run(f, before)
	if err == nil || !strings.Contains(err.Error(), ":3:23: certificate \"site\": no certificate in these files") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownNamesAreFoundAtTheirPlaces(t *testing.T) {
	f := parse(t, `target_groups:
  chat: {targets: 127.0.0.1:1}
load_balancers:
  web:
    security_groups: [office]
    listeners:
      - port: 80
        forward: chta
        rules:
          - {path: /a, forward: [{group: chatt, weight: 1}, {group: nothing}]}
      - port: 443
        certificates: [site]
        forward: chat
`)
	_, _, err := tryApply(f, nil)
	var got []string
	for _, p := range problems(err) {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Message))
	}
	want := []string{
		`5:23 no security group is called "office": there is none`,
		`8:18 no target group is called "chta": did you mean chat?`,
		`10:42 no target group is called "chatt": did you mean chat?`,
		`10:69 no target group is called "nothing": expected chat`,
		`12:24 no certificate is called "site": there is none`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestWhatValidateRefusesIsLocated(t *testing.T) {
	f := parse(t, `security_groups:
  office:
    ingress: []
target_groups:
  -chat-:
    targets: [127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:1]
    deregistration_delay: 2h
    stickiness: {type: lb_cookie, duration: 8d}
    health_check:
      path: healthz
      interval: 400s
      matcher: 600
load_balancers:
  web:
    addresses: [224.0.0.1]
    attributes: {idle_timeout: 2h, client_keep_alive: 1s}
    security_groups: [office, office]
    access_log: {file: a.log, max_size: 1KiB}
    listeners:
      - port: 80
        redirect: {status: 308}
        rules:
          - {path: [/a, "b c"], host: "ex ample", redirect: {protocol: HTTPS, path: x, status: 399}}
          - path: /b
            fixed_response: {status: 300, content_type: image/png}
          - path: "/c d"
            redirect: https
`)
	_, _, err := tryApply(f, nil)
	var got []string
	for _, p := range problems(err) {
		got = append(got, fmt.Sprintf("%d:%d", p.Line, p.Column))
		var wrong *albion.Error
		if !errors.As(p, &wrong) || albion.CodeOf(p) == "" {
			t.Errorf("%v wraps no albion.Error", p)
		}
	}
	want := []string{
		"5:3",                     // the name of the group
		"6:41",                    // a target twice
		"7:27",                    // the delay
		"8:45",                    // the duration
		"10:13", "11:17", "12:16", // the health check
		"15:17",          // the address
		"16:32", "16:55", // attributes
		"17:31",                            // a security group twice
		"18:41",                            // max_size
		"21:19",                            // leads to where it came from
		"23:25", "23:39", "23:85", "23:96", // path, host, redirect path, status
		"25:38", "25:57", // fixed response
		"26:19", // the second rule's path, written without a list
	}
	if !sameSet(got, want) {
		t.Errorf("got  %v\nwant %v\n%v", got, want, err)
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

func TestAnErrorFromElsewhereIsLeftAlone(t *testing.T) {
	f := parse(t, small)
	if _, _, err := smallWorld().run(f, nil); err != nil {
		t.Fatal(err)
	}
	elsewhere := errors.New("disk full")
	if got := f.Locate(elsewhere); !errors.Is(got, elsewhere) {
		t.Errorf("got %v", got)
	}
	if f.Locate(nil) != nil {
		t.Error("nil became an error")
	}
	foreign := &albion.Error{Kind: albion.KindRule, ID: "another", Message: "wrong"}
	if got := f.Locate(errors.Join(foreign, elsewhere)); !errors.Is(got, foreign) || !errors.Is(got, elsewhere) {
		t.Errorf("got %v", got)
	}
}

// byHand is a State that somebody made without a file.
func byHand(t *testing.T) *albion.State {
	t.Helper()
	d := albion.NewDraft(&albion.State{})
	lb := &albion.LoadBalancer{ARN: albion.LoadBalancerARN("hand", [8]byte{1}), Name: "hand", Attributes: albion.DefaultLoadBalancerAttributes()}
	group := &albion.TargetGroup{
		ARN: albion.TargetGroupARN("theirs", [8]byte{2}), Name: "theirs", Protocol: albion.HTTP, Port: 80,
		Targets: []albion.Target{{Host: "127.0.0.1", Port: 9}}, HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	}
	albion.Put(d, lb)
	albion.Put(d, group)
	albion.Put(d, &albion.SecurityGroup{ID: albion.SecurityGroupID([9]byte{3}), Name: "theirs"})
	albion.Put(d, &albion.Listener{
		ARN: albion.ListenerARN(lb.ARN, [8]byte{4}), LoadBalancer: lb.ARN, Protocol: albion.HTTP, Port: 8000,
		Default: albion.Action{Fixed: &albion.FixedResponse{Status: 200}},
	})
	w := newWorld()
	w.ids = 1000
	if err := w.local(d, "theirs", []string{"theirs.example.com"}); err != nil {
		t.Fatal(err)
	}
	state, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestWhatOthersMadeCanBeReferredToAndStays(t *testing.T) {
	before := byHand(t)
	w := smallWorld()
	state, _, err := w.run(parse(t, `
load_balancers:
  web:
    security_groups: [theirs]
    listeners: [{port: 443, certificates: theirs, forward: theirs}]
`), before)
	if err != nil {
		t.Fatal(err)
	}
	state, changes, err := w.run(parse(t, ""), state)
	if err != nil {
		t.Fatal(err)
	}
	if got := changeLines(changes); got != "remove listener web:443\nremove load balancer web\n" {
		t.Errorf("got %s", got)
	}
	if summary(t, state) != summary(t, before) {
		t.Errorf("got\n%s\nwant\n%s", summary(t, state), summary(t, before))
	}
}

func TestAKnownNameIsAdopted(t *testing.T) {
	before := byHand(t)
	w := smallWorld()
	data := `
certificates: {theirs: {domains: theirs.example.com}}
security_groups: {theirs: {}}
target_groups: {theirs: {targets: 127.0.0.1:9}}
load_balancers:
  hand:
    listeners: [{port: 8000, fixed_response: {status: 200}}]
`
	state, changes, err := w.run(parse(t, data), before)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, name := range []string{"certificate theirs", "security group theirs", "target group theirs", "load balancer hand", "listener hand:8000"} {
		want += "change " + name + ": looked after by: hand → the file\n"
	}
	if got := changeLines(changes); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	keptIdentity(t, before, state)
	if state, _, err = w.run(parse(t, ""), state); err != nil {
		t.Fatal(err)
	}
	if left := state.LoadBalancers.Len() + state.Listeners.Len() + state.TargetGroups.Len() + state.SecurityGroups.Len() + state.Certificates.Len() + state.Keys.Len(); left != 0 {
		t.Errorf("%d objects are left of what the file had adopted", left)
	}
}

func TestWhatHoldsSomebodyElsesIsNotRemoved(t *testing.T) {
	w := smallWorld()
	state, _, err := w.run(parse(t, small), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := albion.NewDraft(state)
	for l := range state.Listeners.All() {
		if l.Port == 443 {
			albion.Put(d, &albion.Rule{
				ARN: albion.RuleARN(l.ARN, [8]byte{9}), Listener: l.ARN, Priority: 7,
				Conditions: []albion.Condition{{Field: albion.PathPattern, Values: []string{"/x"}}},
				Action:     albion.Action{Fixed: &albion.FixedResponse{Status: 200}},
			})
		}
	}
	lb := only(t, state.LoadBalancers)
	albion.Put(d, &albion.Listener{
		ARN: albion.ListenerARN(lb.ARN, [8]byte{8}), LoadBalancer: lb.ARN, Protocol: albion.HTTP, Port: 8000,
		Default: albion.Action{Fixed: &albion.FixedResponse{Status: 200}},
	})
	if state, err = d.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, changes, err := w.run(parse(t, small), state); err != nil || len(changes) != 0 {
		t.Errorf("the same file again: %v, %v", changes, err)
	}
	_, _, err = w.run(parse(t, ""), state)
	if albion.CodeOf(err) != albion.CodeResourceInUse {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"listener web:443 is no longer declared, but has a rule, priority 7", "load balancer web is no longer declared, but has a listener, port 8000"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
