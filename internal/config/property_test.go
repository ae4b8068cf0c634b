package config_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

// stored is a State after a store has kept it and read it again.
func stored(t *rapid.T, s *albion.State) *albion.State {
	again := albion.NewDraft(&albion.State{})
	copyTable(t, s, again, albion.KindKey, s.Keys)
	copyTable(t, s, again, albion.KindCertificate, s.Certificates)
	copyTable(t, s, again, albion.KindSecurityGroup, s.SecurityGroups)
	copyTable(t, s, again, albion.KindTargetGroup, s.TargetGroups)
	copyTable(t, s, again, albion.KindLoadBalancer, s.LoadBalancers)
	copyTable(t, s, again, albion.KindListener, s.Listeners)
	copyTable(t, s, again, albion.KindRule, s.Rules)
	copyTable(t, s, again, albion.KindNameService, s.NameServices)
	copyTable(t, s, again, albion.KindHostedZone, s.HostedZones)
	copyTable(t, s, again, albion.KindRecordSet, s.RecordSets)
	next, err := again.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func copyTable[T interface{ Identity() string }](t *rapid.T, from *albion.State, to *albion.Draft, kind albion.Kind, table albion.Table[T]) {
	for v := range table.All() {
		c := albion.Change{Kind: kind, ID: v.Identity()}
		data, ok, err := from.Encode(c)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if err := to.Decode(c, data); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever the files say: applying one again changes nothing, not even after a
// restart, and what is there depends on the last file alone.
func TestApplyIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		first, second := drawFile(t, "first", w), drawFile(t, "second", w)
		state := mustRun(t, w, first, nil)
		if again, changes := state, mustChange(t, w, first, &state); len(changes) != 0 || again != state {
			t.Fatalf("applied twice, the first file changes\n%s", changeLines(changes))
		}
		state = stored(t, state)
		if changes := mustChange(t, w, first, &state); len(changes) != 0 {
			t.Fatalf("after a restart, the first file changes\n%s", changeLines(changes))
		}
		changed := mustChange(t, w, second, &state)
		fresh := mustRun(t, w, second, nil)
		if got, want := summary(t, state), summary(t, fresh); got != want {
			t.Fatalf("after another file there is\n%s\nand not\n%s\nchanges\n%s", got, want, changeLines(changed))
		}
		empty := mustRun(t, w, "", state)
		if s := summary(t, empty); s != "" || empty.Keys.Len() != 0 {
			t.Fatalf("after an empty file there is\n%s\nand %d keys", s, empty.Keys.Len())
		}
	})
}

func mustRun(t *rapid.T, w *world, data string, state *albion.State) *albion.State {
	if state == nil {
		state = &albion.State{}
	}
	mustChange(t, w, data, &state)
	return state
}

func mustChange(t *rapid.T, w *world, data string, state **albion.State) []config.Change {
	f, err := config.Parse("/etc/albion/albion.yaml", []byte(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	next, changes, err := w.run(f, *state)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if (next == *state) != (len(changes) == 0) {
		t.Fatalf("%d changes, and the State says otherwise", len(changes))
	}
	*state = next
	return changes
}

// drawFile makes a file that is valid, in all its forms.
func drawFile(t *rapid.T, label string, w *world) string {
	var b strings.Builder
	pick := func(words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	some := func(most int) int { return rapid.IntRange(0, most).Draw(t, label) }
	b.WriteString("certificates:\n")
	certificates := append([]string{"one"}, []string{"two", "three"}[:some(2)]...)
	for _, name := range certificates {
		w.files["/etc/albion/"+name+".pem"] = pick("chain a", "chain b")
		w.files["/etc/albion/live/"+name+"/fullchain.pem"], w.files["/etc/albion/live/"+name+"/privkey.pem"] = "live", pick("key a", "key b")
		fmt.Fprintf(&b, "  %s: %s\n", name, pick("{domains: [a.example.com]}", "{domains: [a.example.com, b.example.com], issuer: local}", "{certificate: "+name+".pem}", "{certbot: live/"+name+"}"))
	}
	b.WriteString("security_groups:\n")
	groups := []string{"office", "home"}[:some(2)]
	for _, name := range groups {
		fmt.Fprintf(&b, "  %s: {ingress: [%s]}\n", name, pick("", "{ports: 80, from: 10.0.0.0/8}", "{ports: all, from: [0.0.0.0/0, \"::/0\"]}, {ports: 80-90, from: 127.0.0.1}"))
	}
	b.WriteString("target_groups:\n")
	for _, lb := range []string{"web", "api"} {
		for _, name := range []string{lb + "-a", lb + "-b"} {
			fmt.Fprintf(&b, "  %s: {targets: [%s], algorithm: %s, stickiness: %s, deregistration_delay: %s%s}\n", name,
				pick("", "127.0.0.1:1", "127.0.0.1:2, \"[::1]:3\", chat.internal"), pick("round_robin", "least_outstanding_requests"),
				pick("off", "sockjs", "lb_cookie", "{type: lb_cookie, duration: 90m}"), pick("0s", "300s", "1h"),
				pick("", ", health_check: {path: /healthz, interval: 1s, timeout: 1s, matcher: \"200,301-399\"}", ", port: 81, protocol: HTTPS", ", health_check: {enabled: false}"))
		}
	}
	drawNames(t, label, &b)
	b.WriteString("load_balancers:\n")
	for i, lb := range []string{"web", "api"}[:some(2)] {
		fmt.Fprintf(&b, "  %s:\n    security_groups: [%s]\n    attributes: {%s}\n%s", lb, strings.Join(groups, ", "),
			pick("", "idle_timeout: 2m, xff_client_port: true", "desync_mitigation_mode: strictest, xff_header_processing: remove"),
			pick("", "    access_log: stdout\n", "    access_log: {file: a.log, max_size: 1MiB}\n", "    addresses: [127.0.0.1, \"::1\"]\n"))
		b.WriteString("    listeners:\n")
		for port := range some(3) {
			tls := pick("", "certificates: ["+strings.Join(certificates, ", ")+"], ", "certificates: one, ssl_policy: ELBSecurityPolicy-2016-08, ")
			action := func() string {
				return pick("forward: "+lb+"-a", "forward: [{group: "+lb+"-a, weight: 0}, "+lb+"-b]",
					"redirect: {host: other.example.com, path: /x, status: 302}", "fixed_response: {status: 503, content_type: text/plain, body: \"no: #\"}")
			}
			fmt.Fprintf(&b, "      - {port: %d, %s%s, rules: [", 1000*(i+1)+port, tls, action())
			explicit := rapid.Bool().Draw(t, label)
			for n := range some(3) {
				if explicit {
					fmt.Fprintf(&b, "{priority: %d, ", 3*n+1+some(2))
				} else {
					b.WriteString("{")
				}
				fmt.Fprintf(&b, "%s, %s}, ", pick("path: /a/*", "host: [a.example.com, \"*.b.example.com\"]", "path: [/a, /b], host: c.example.com"), action())
			}
			b.WriteString("]}\n")
		}
	}
	return b.String()
}

// summary is a State without what differs between two States that were made at
// different times: identities become names.
func summary(t interface{ Fatal(...any) }, s *albion.State) string {
	names := []string{}
	add := func(id, name string) { names = append(names, id, name) }
	for c := range s.Certificates.All() {
		add(string(c.ARN), "certificate "+c.Name)
	}
	for g := range s.SecurityGroups.All() {
		add(g.ID, "security group "+g.Name)
	}
	for g := range s.TargetGroups.All() {
		add(string(g.ARN), "target group "+g.Name)
	}
	for l := range s.Listeners.All() {
		add(string(l.ARN), fmt.Sprintf("listener %d", l.Port))
	}
	for lb := range s.LoadBalancers.All() {
		add(string(lb.ARN), "load balancer "+lb.Name)
	}
	for z := range s.HostedZones.All() {
		add(z.ID, "zone "+z.Name)
	}
	var lines []string
	for _, part := range []any{
		slices.Collect(s.SecurityGroups.All()), slices.Collect(s.TargetGroups.All()),
		slices.Collect(s.LoadBalancers.All()), slices.Collect(s.Listeners.All()), slices.Collect(s.Rules.All()),
		slices.Collect(s.NameServices.All()), slices.Collect(s.HostedZones.All()), slices.Collect(s.RecordSets.All()),
	} {
		var all []json.RawMessage
		data, err := json.Marshal(part)
		if err == nil {
			err = json.Unmarshal(data, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			line := strings.NewReplacer(names...).Replace(string(one))
			// A rule is known by its listener and priority.
			if i := strings.Index(line, `"ARN":"arn:aws:elasticloadbalancing:local:000000000000:listener-rule`); i >= 0 {
				line = line[:i] + line[strings.IndexByte(line, ','):]
			}
			lines = append(lines, line)
		}
	}
	for c := range s.Certificates.All() {
		lines = append(lines, fmt.Sprint("certificate ", c.Name, c.Domains, c.Issuer, c.Origin))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// drawNames makes the parts of a file that are about names.
func drawNames(t *rapid.T, label string, b *strings.Builder) {
	pick := func(words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	b.WriteString(pick("", "dns: {listen: \":53\"}\n", "dns: {listen: [\"127.0.0.1:53\", \"[::1]:53\"], addresses: 192.0.2.1, name_servers: [ns.example.net, NS2.example.net.]}\n"))
	b.WriteString("hosted_zones:\n")
	for _, zone := range []string{"example.com", "Example.Net."}[:rapid.IntRange(0, 2).Draw(t, label)] {
		fmt.Fprintf(b, "  %s:\n    comment: %s\n    records:\n", zone, pick("one", "\"two: 2\""))
		for _, name := range []string{"www", "\"@\"", "\"*\"", "a.b"}[:rapid.IntRange(0, 4).Draw(t, label)] {
			fmt.Fprintf(b, "      - {name: %s, %s}\n", name, pick("type: A, values: 192.0.2.1", "type: AAAA, values: [\"2001:DB8::1\", \"2001:db8::2\"], ttl: 1h",
				"type: TXT, values: [free text, '\"in\" \"pieces\"']", "type: MX, values: 10 Mail.example.com", "type: CAA, values: 0 issue \"ca.example.net\"",
				"type: A, set_identifier: blue, weight: 10, values: 192.0.2.1", "type: A, set_identifier: first, failover: PRIMARY, values: 192.0.2.1"))
		}
		b.WriteString(pick("", "      - {type: NS, values: [a.example.org, b.example.org]}\n", "      - {type: SOA, values: a.example.org. b.example.org. 7 1 2 3 4, ttl: 0s}\n"))
	}
}
