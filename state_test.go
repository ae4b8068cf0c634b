package albion_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
)

// everything is an object of any kind, with whatever in it.
func everything(t *rapid.T) (albion.Change, func(*albion.Draft)) {
	return something(t, rapid.SampledFrom(albion.Kinds()).Draw(t, "kind"))
}

// something is an object of one kind.
func something(t *rapid.T, kind albion.Kind) (albion.Change, func(*albion.Draft)) {
	id := rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "id")
	c := albion.Change{Kind: kind, ID: id}
	arn, text := albion.ARN(id), rapid.StringOfN(rapid.Rune(), 0, 8, -1)
	duration := time.Duration(rapid.Int64().Draw(t, "duration"))
	at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 5).UTC()
	port := rapid.Uint16().Draw(t, "port")
	words := rapid.SliceOfN(text, 1, 3).Draw(t, "words")
	name := text.Draw(t, "name")
	action := anyAction(t, words)
	addr := rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1%eth0"), {}}).Draw(t, "address")
	switch c.Kind {
	case albion.KindRecordSet:
		c.ID = albion.RecordSetID(id, "www", albion.TypeA, "b")
	case albion.KindNameService:
		c.ID = albion.NameServiceID
	}
	return c, func(d *albion.Draft) {
		switch c.Kind {
		case albion.KindLoadBalancer:
			albion.Put(d, &albion.LoadBalancer{ARN: arn, Name: name, Addresses: []netip.Addr{addr}, SecurityGroups: words, Created: at,
				Attributes: albion.LoadBalancerAttributes{IdleTimeout: duration, TLSHeaders: true}, AccessLog: albion.AccessLog{File: name, MaxSize: int64(duration)}})
		case albion.KindListener:
			albion.Put(d, &albion.Listener{ARN: arn, Port: port, Certificates: []albion.ARN{arn, "b"}, Default: action, Created: at})
		case albion.KindRule:
			albion.Put(d, &albion.Rule{ARN: arn, Priority: int(port), Conditions: []albion.Condition{{Field: albion.PathPattern, Values: words}}, Action: action, Created: at})
		case albion.KindTargetGroup:
			albion.Put(d, &albion.TargetGroup{ARN: arn, Name: name, Targets: []albion.Target{{Host: name, Port: port}},
				HealthCheck: albion.HealthCheck{Interval: duration, Matcher: name}, Attributes: albion.TargetGroupAttributes{Stickiness: albion.Stickiness{Duration: duration}}})
		case albion.KindCertificate:
			albion.Put(d, &albion.Certificate{ARN: arn, Name: name, Domains: words, NotBefore: at, NotAfter: at, Created: at, Origin: albion.OriginFile})
		case albion.KindSecurityGroup:
			albion.Put(d, &albion.SecurityGroup{ID: id, Name: name, Ingress: []albion.Permission{{FromPort: port, ToPort: port, Sources: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}}})
		case albion.KindAuthority:
			albion.Put(d, &albion.Authority{Name: id, Chain: name})
		case albion.KindRegistration:
			albion.Put(d, &albion.Registration{ID: id, Email: name, URL: name, Blocked: at})
		case albion.KindLeftover:
			albion.Put(d, &albion.Leftover{ID: id, Request: &albion.Request{Method: albion.MethodExec, Argument: name}, Answers: []albion.Answer{{Domain: name, Expires: at}}, Next: at})
		case albion.KindIssuance:
			albion.Put(d, &albion.Issuance{Certificate: arn, Failures: int(port), Steps: words, Begun: []time.Time{at},
				Window: albion.Window{Start: at, Explanation: name}, Last: &albion.Setback{Kind: albion.SetbackName, Words: name, Until: at},
				Order: &albion.Order{Step: albion.StepChosen, Answers: []albion.Answer{{Domain: name, Token: name}}}})
		case albion.KindDelivery:
			albion.Put(d, &albion.Delivery{ID: id, Certificate: arn, Kind: albion.Live, To: name, Delivered: at, Failures: int(port), Last: &albion.Setback{Words: name}})
		case albion.KindHostedZone:
			albion.Put(d, &albion.HostedZone{ID: id, Name: name, Comment: name, Created: at, Origin: albion.OriginFile})
		case albion.KindRecordSet:
			albion.Put(d, &albion.RecordSet{Zone: id, Name: "www", Type: albion.TypeA, SetIdentifier: "b", Weight: int(port), Failover: albion.Primary,
				TTL: duration, Values: words, Alias: &albion.AliasTarget{LoadBalancer: arn, EvaluateTargetHealth: true}})
		case albion.KindNameService:
			albion.Put(d, &albion.NameService{Listen: words, Addresses: []netip.Addr{addr}, NameServers: words, Origin: albion.OriginFile})
		case albion.KindHook:
			albion.Put(d, &albion.Hook{Name: id, Events: []albion.EventKind{albion.EventIssued}, Certificates: words, Exec: words, Shell: name, URL: name, Timeout: duration, Created: at})
		case albion.KindNotice:
			albion.Put(d, &albion.Notice{ID: id, Hook: name, Event: albion.EventFailed, At: at, Certificate: arn, Domains: words, Problem: &albion.Setback{Words: name}, Attempts: int(port), Next: at})
		case albion.KindKey:
			albion.Put(d, &albion.Key{Name: id, Secret: albion.Secret(name)})
		}
	}
}

func anyAction(t *rapid.T, words []string) albion.Action {
	switch rapid.IntRange(0, 2).Draw(t, "action") {
	case 0:
		return albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: albion.ARN(words[0]), Weight: 7}}}}
	case 1:
		return albion.Action{Redirect: &albion.Redirect{Host: words[0], Status: 301}}
	}
	return albion.Action{Fixed: &albion.FixedResponse{Status: 200, Body: words[0]}}
}

func TestWhatIsStoredIsReadAgain(t *testing.T) {
	for _, kind := range albion.Kinds() {
		t.Run(string(kind), func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { isReadAgain(t, kind) }) })
	}
}

func isReadAgain(t *rapid.T, kind albion.Kind) {
	c, put := something(t, kind)
	from := albion.NewDraft(&albion.State{})
	put(from)
	data, ok, err := from.Encode(c)
	if !ok || err != nil {
		t.Fatalf("encode: %v, %v", ok, err)
	}
	to := albion.NewDraft(&albion.State{})
	if err := to.Decode(c, data); err != nil {
		t.Fatal(err)
	}
	if !sameTables(&from.State, &to.State) {
		t.Fatalf("%s became another one: %s", c.Kind, data)
	}
	if !slices.Equal(to.Changes(), []albion.Change{c}) {
		t.Fatalf("changes: %v", to.Changes())
	}
}

func sameTables(a, b *albion.State) bool {
	return reflect.DeepEqual(a.LoadBalancers, b.LoadBalancers) && reflect.DeepEqual(a.Listeners, b.Listeners) &&
		reflect.DeepEqual(a.Rules, b.Rules) && reflect.DeepEqual(a.TargetGroups, b.TargetGroups) &&
		reflect.DeepEqual(a.Certificates, b.Certificates) && reflect.DeepEqual(a.SecurityGroups, b.SecurityGroups) &&
		reflect.DeepEqual(a.Registrations, b.Registrations) && reflect.DeepEqual(a.Issuances, b.Issuances) && reflect.DeepEqual(a.Leftovers, b.Leftovers) && reflect.DeepEqual(a.Deliveries, b.Deliveries) &&
		reflect.DeepEqual(a.HostedZones, b.HostedZones) && reflect.DeepEqual(a.RecordSets, b.RecordSets) &&
		reflect.DeepEqual(a.NameServices, b.NameServices) &&
		reflect.DeepEqual(a.Authorities, b.Authorities) && reflect.DeepEqual(a.Keys, b.Keys)
}

func TestStoredFormsThatAreNone(t *testing.T) {
	d := albion.NewDraft(&albion.State{})
	for _, kind := range albion.Kinds() {
		if _, ok, err := d.Encode(albion.Change{Kind: kind, ID: "lost"}); ok || err != nil {
			t.Errorf("encode a lost %s: %v, %v", kind, ok, err)
		}
		if err := d.Decode(albion.Change{Kind: kind, ID: "x"}, []byte(`[`)); (err == nil) != (kind == albion.KindKey) {
			t.Errorf("decode a broken %s: %v", kind, err)
		}
	}
	if _, _, err := d.Encode(albion.Change{Kind: "ship"}); err == nil {
		t.Error("encoded a ship")
	}
	if err := d.Decode(albion.Change{Kind: "ship"}, nil); err == nil {
		t.Error("decoded a ship")
	}
}

// contents is all that can be seen of a State.
func contents(t *rapid.T, s *albion.State) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Version)
	dump := func(v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", data)
	}
	for v := range s.TargetGroups.All() {
		dump(v)
	}
	for v := range s.SecurityGroups.All() {
		dump(v)
	}
	for v := range s.Keys.All() {
		fmt.Fprintf(&b, "%s %x\n", v.Name, []byte(v.Secret))
	}
	return b.String()
}

// TestAPublishedStateNeverChanges drives Drafts, finished and given up, over a
// line of States, against a model of plain maps.
func TestAPublishedStateNeverChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := &albion.State{}
		published := []*albion.State{state}
		before := []string{contents(t, state)}
		model := map[string]string{}
		for range rapid.IntRange(1, 6).Draw(t, "drafts") {
			d := albion.NewDraft(state)
			draft := map[string]string{}
			for k, v := range model {
				draft[k] = v
			}
			changeDraft(t, d, draft)
			if len(d.Changes()) == 0 {
				if next, err := d.Finish(); next != state || err != nil {
					t.Fatalf("no changes gave another State, %v", err)
				}
				continue
			}
			if rapid.Bool().Draw(t, "give up") {
				continue
			}
			next, err := d.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if next.Version != state.Version+1 {
				t.Fatalf("version %d follows %d", next.Version, state.Version)
			}
			state, model = next, draft
			published, before = append(published, next), append(before, contents(t, next))
			matchesModel(t, next, model)
		}
		for i, s := range published {
			if now := contents(t, s); now != before[i] {
				t.Fatalf("State %d was\n%s\nand is\n%s", i, before[i], now)
			}
		}
	})
}

// changeDraft puts and deletes at random, in d and in its model.
func changeDraft(t *rapid.T, d *albion.Draft, model map[string]string) {
	for range rapid.IntRange(0, 6).Draw(t, "steps") {
		name := rapid.StringMatching(`[a-d]`).Draw(t, "name")
		secret := rapid.StringN(1, 4, -1).Draw(t, "secret")
		group := newGroup(name, name[0])
		group.Port = uint16(len(secret))
		switch rapid.IntRange(0, 3).Draw(t, "step") {
		case 0:
			albion.Put(d, &albion.Key{Name: name, Secret: albion.Secret(secret)})
			model["key "+name] = secret
		case 1:
			albion.Delete[*albion.Key](d, name)
			delete(model, "key "+name)
		case 2:
			albion.Put(d, group)
			model["group "+string(group.ARN)] = fmt.Sprint(group.Port)
		default:
			albion.Delete[*albion.TargetGroup](d, string(group.ARN))
			delete(model, "group "+string(group.ARN))
		}
	}
}

func matchesModel(t *rapid.T, s *albion.State, model map[string]string) {
	got := map[string]string{}
	for k := range s.Keys.All() {
		got["key "+k.Name] = string(k.Secret)
	}
	for g := range s.TargetGroups.All() {
		got["group "+string(g.ARN)] = fmt.Sprint(g.Port)
	}
	if !reflect.DeepEqual(got, model) || s.Keys.Len()+s.TargetGroups.Len() != len(model) {
		t.Fatalf("got %v, want %v", got, model)
	}
}

func TestChangesComeInTheOrderOfKindsAndIdentities(t *testing.T) {
	w := newWorld()
	d := w.draft()
	albion.Delete[*albion.Key](d, "lost") // nothing to delete is no change
	albion.Delete[*albion.Authority](d, "local")
	changes := d.Changes()
	kinds := albion.Kinds()
	if len(changes) != 12 {
		t.Fatalf("%d changes: %v", len(changes), changes)
	}
	for i, c := range changes[1:] {
		before := changes[i]
		a, b := slices.Index(kinds, before.Kind), slices.Index(kinds, c.Kind)
		if a > b || a == b && before.ID >= c.ID {
			t.Errorf("%v comes before %v", before, c)
		}
	}
}

func TestAFailedDraftLeavesItsBaseAlone(t *testing.T) {
	w := newWorld()
	base, err := w.draft().Finish()
	if err != nil {
		t.Fatal(err)
	}
	d := albion.NewDraft(base)
	albion.Delete[*albion.Key](d, w.key.Name)
	if next, err := d.Finish(); err == nil || next != nil {
		t.Fatal("a certificate without a key was accepted")
	}
	if _, ok := base.Keys.Get(w.key.Name); !ok || base.Version != 1 {
		t.Error("the base has changed")
	}
}

func TestASecretNeverShows(t *testing.T) {
	const hidden = "top-secret"
	key := &albion.Key{Name: "stickiness", Secret: albion.Secret(hidden)}
	state := albion.NewDraft(&albion.State{})
	albion.Put(state, key)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("m", "key", key, "secret", key.Secret, "value", *key, "state", state.State)
	}
	data, err := json.Marshal(map[string]any{"key": key, "secret": key.Secret, "list": []albion.Secret{key.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{log.String(), string(data)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U"} {
		shown = append(shown, fmt.Sprintf(verb, key.Secret), fmt.Sprintf(verb, *key), fmt.Sprintf(verb, []albion.Secret{key.Secret}))
	}
	for _, s := range shown {
		for _, form := range []string{hidden, "dG9wLXNlY3JldA", fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden),
			strings.Trim(fmt.Sprint([]byte(hidden)), "[]"), fmt.Sprintf("%b", []byte(hidden)[:2])[1:10], fmt.Sprintf("%o", []byte(hidden)[:2])[1:6]} {
			if strings.Contains(s, form) {
				t.Errorf("%q shows %q", s, form)
			}
		}
	}
}

func TestARNs(t *testing.T) {
	lb := albion.LoadBalancerARN("web", [8]byte{0x50, 0xdc, 0x6c})
	listener := albion.ListenerARN(lb, [8]byte{1})
	group := albion.TargetGroupARN("chat", [8]byte{2})
	for _, c := range []struct{ got, want string }{
		{string(lb), `^arn:aws:elasticloadbalancing:local:000000000000:loadbalancer/app/web/50dc6c0000000000$`},
		{string(group), `^arn:aws:elasticloadbalancing:local:000000000000:targetgroup/chat/0200000000000000$`},
		{string(listener), `:listener/app/web/50dc6c0000000000/0100000000000000$`},
		{string(albion.RuleARN(listener, [8]byte{3})), `:listener-rule/app/web/50dc6c0000000000/0100000000000000/0300000000000000$`},
		{string(albion.CertificateARN([16]byte{0xab, 15: 1})), `^arn:aws:acm:local:000000000000:certificate/ab000000-0000-0000-0000-000000000001$`},
		{albion.SecurityGroupID([9]byte{0xff}), `^sg-ff000000000000000$`},
		{lb.Tail(), `^app/web/50dc6c0000000000$`},
		{group.Tail(), `^targetgroup/chat/0200000000000000$`},
		{albion.ARN("short").Resource(), `^short$`},
		{albion.ARN("a:b:c:d:e:f:g").Resource(), `^f:g$`},
	} {
		if !regexp.MustCompile(c.want).MatchString(c.got) {
			t.Errorf("%s is not %s", c.got, c.want)
		}
	}
}

func TestSecurityGroupAllows(t *testing.T) {
	g := &albion.SecurityGroup{Ingress: []albion.Permission{
		{FromPort: 443, ToPort: 443, Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}},
		{FromPort: 8000, ToPort: 8010, Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
	}}
	for _, c := range []struct {
		from string
		port uint16
		want bool
	}{
		{"10.1.2.3", 443, true}, {"::ffff:10.1.2.3", 443, true}, {"11.1.2.3", 443, false}, {"10.1.2.3", 444, false},
		{"2001:db8::5", 443, true}, {"2001:db9::5", 443, false}, {"192.0.2.1", 8000, true}, {"192.0.2.1", 8010, true},
		{"192.0.2.1", 8011, false}, {"2001:db8::5", 8000, false},
	} {
		if got := g.Allows(netip.MustParseAddr(c.from), c.port); got != c.want {
			t.Errorf("%s to %d: %v", c.from, c.port, got)
		}
	}
	if (&albion.SecurityGroup{}).Allows(netip.MustParseAddr("127.0.0.1"), 80) {
		t.Error("an empty group lets somebody in")
	}
}
