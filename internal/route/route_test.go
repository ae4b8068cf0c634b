package route_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/wire"
)

func fixed(status int) albion.Action {
	return albion.Action{Fixed: &albion.FixedResponse{Status: status}}
}

// rule has hosts and paths, separated by blanks; "" for no such condition.
func rule(priority int, hosts, paths string) *albion.Rule {
	r := &albion.Rule{Priority: priority, Action: fixed(200)}
	if hosts != "" {
		r.Conditions = append(r.Conditions, albion.Condition{Field: albion.HostHeader, Values: strings.Fields(hosts)})
	}
	if paths != "" {
		r.Conditions = append(r.Conditions, albion.Condition{Field: albion.PathPattern, Values: strings.Fields(paths)})
	}
	return r
}

func request(host, path string) *wire.Request {
	return &wire.Request{Host: []byte(host), Path: []byte(path)}
}

func compile(t testing.TB, rules ...*albion.Rule) *route.Table {
	t.Helper()
	table, err := route.Compile(fixed(404), rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestMatch(t *testing.T) {
	table := compile(t,
		rule(40, "", "/static/* *.css"),
		rule(10, "chat.example.com", "/chat /chat/*"),
		rule(20, "*.example.com www.example.org", ""),
		rule(30, "api-?.example.net api-*.eu.example.net", "/v?/users/*/posts"),
		rule(50, "[::1] localhost", ""),
		rule(60, "shop.*", "/"),
	)
	for _, c := range []struct {
		host, path string
		priority   int
	}{
		{"chat.example.com", "/chat", 10},
		{"chat.example.com", "/chat/", 10},
		{"chat.example.com", "/chat/000/abc/websocket", 10},
		{"CHAT.Example.COM", "/chat", 10},
		{"chat.example.com:8443", "/chat", 10},
		{"chat.example.com.", "/chat", 10},
		{"chat.example.com.:443", "/chat", 10},
		{"chat.example.com", "/Chat", 20},   // paths have case
		{"chat.example.com", "/chatty", 20}, // and end where the pattern does
		{"a.b.example.com", "/", 20},
		{"example.com", "/", 0}, // a wildcard does not match the apex
		{"xexample.com", "/", 0},
		{"www.example.org", "/static/a.css", 20},
		{"www.example.org.uk", "/static/a.css", 40},
		{"", "/static/", 40},
		{"example.com", "/theme/dark.css", 40},
		{"example.com", "/theme/dark.css.map", 0},
		{"example.com", "/static", 0},
		{"api-1.example.net", "/v1/users/7/posts", 30},
		{"api-12.example.net", "/v1/users/7/posts", 0}, // ? is exactly one
		{"api-.example.net", "/v1/users/7/posts", 0},
		{"api-12.eu.example.net", "/v2/users/7/8/posts", 30},
		{"api-1.example.net", "/v10/users/7/posts", 0},
		{"[::1]:8080", "/", 50},
		{"localhost:8080", "/", 50},
		{"shop.example.test", "/", 60},
		{"shop", "/", 0},
		{"shop.example.test", "*", 0}, // OPTIONS *
		{strings.Repeat("a.", 130) + "example.com", "/", 0},
	} {
		if got := table.Match(request(c.host, c.path)); got.Priority != c.priority {
			t.Errorf("%s%s: rule %d, want %d", c.host, c.path, got.Priority, c.priority)
		}
	}
}

func TestMatchGivesTheActionOfTheRule(t *testing.T) {
	r := rule(7, "", "/x")
	r.Action = fixed(503)
	table := compile(t, r)
	if d := table.Match(request("h", "/x")); d.Action.Fixed.Status != 503 || d.Priority != 7 {
		t.Errorf("got %+v", d)
	}
	if d := table.Match(request("h", "/y")); d.Action.Fixed.Status != 404 || d.Priority != 0 {
		t.Errorf("default: got %+v", d)
	}
}

func TestCompileRefuses(t *testing.T) {
	redirect := func(r albion.Redirect) albion.Action { return albion.Action{Redirect: &r} }
	with := func(c ...albion.Condition) []*albion.Rule {
		return []*albion.Rule{{Priority: 3, Conditions: c, Action: fixed(200)}}
	}
	for _, c := range []struct {
		name  string
		def   albion.Action
		rules []*albion.Rule
		want  string
	}{
		{"no action", albion.Action{}, nil, "exactly one"},
		{"two actions", albion.Action{Fixed: &albion.FixedResponse{}, Forward: &albion.Forward{Groups: make([]albion.WeightedGroup, 1)}}, nil, "exactly one"},
		{"no groups", albion.Action{Forward: &albion.Forward{}}, nil, "without target groups"},
		{"negative weight", albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Weight: -1}}}}, nil, "negative"},
		{"placeholder", redirect(albion.Redirect{Path: "/#{fragment}"}), nil, "#{fragment}"},
		{"open placeholder", redirect(albion.Redirect{Host: "#{host"}), nil, "#{host}"},
		{"protocol", redirect(albion.Redirect{Protocol: "FTP"}), nil, "FTP"},
		{"port", redirect(albion.Redirect{Port: "65536"}), nil, "65536"},
		{"path", redirect(albion.Redirect{Path: "x"}), nil, "slash"},
		{"query", redirect(albion.Redirect{Query: "#{}"}), nil, "#{}"},
		{"same priority", fixed(200), []*albion.Rule{rule(3, "", "/a"), rule(3, "", "/b")}, "priority 3"},
		{"field", fixed(200), with(albion.Condition{Field: "colour", Values: []string{"red"}}), "colour"},
		{"no values", fixed(200), with(albion.Condition{Field: albion.HostHeader}), "without values"},
		{"rule's action", fixed(200), []*albion.Rule{{Priority: 3}}, "rule 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := route.Compile(c.def, c.rules)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestCompileLeavesItsArgumentsAlone(t *testing.T) {
	rules := []*albion.Rule{rule(3, "C.example.com", "/c"), rule(1, "a.example.com", ""), rule(2, "", "/b")}
	before := slices.Clone(rules)
	compile(t, rules...)
	if !slices.Equal(rules, before) || rules[0].Conditions[0].Values[0] != "C.example.com" {
		t.Error("Compile changed its arguments")
	}
}

// slowMatch is what a table stands for: the rules one after the other.
func slowMatch(rules []*albion.Rule, host, path string) int {
	host = strings.ToLower(host)
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	best := 0
	for _, r := range rules {
		meets := func(c albion.Condition) bool {
			return slices.ContainsFunc(c.Values, func(v string) bool {
				if c.Field == albion.HostHeader {
					return slowGlob(strings.ToLower(v), host)
				}
				return slowGlob(v, path)
			})
		}
		all := !slices.ContainsFunc(r.Conditions, func(c albion.Condition) bool { return !meets(c) })
		if all && (best == 0 || r.Priority < best) {
			best = r.Priority
		}
	}
	return best
}

// slowGlob is the meaning of a pattern, by dynamic programming: row[j] says
// whether the pattern so far matches the first j bytes.
func slowGlob(pattern, s string) bool {
	row := make([]bool, len(s)+1)
	row[0] = true
	for _, p := range []byte(pattern) {
		next := make([]bool, len(s)+1)
		for j := range next {
			switch {
			case p == '*':
				next[j] = row[j] || j > 0 && next[j-1]
			case j > 0 && (p == '?' || p == s[j-1]):
				next[j] = row[j-1]
			}
		}
		row = next
	}
	return row[len(s)]
}

// TestMatchIsTheFirstRule holds the index against the plain meaning of rules,
// on names and paths small enough that they meet all the time.
func TestMatchIsTheFirstRule(t *testing.T) {
	hosts := rapid.StringMatching(`[abA*?]{1,2}(\.[ab*?]{1,2}){0,3}`)
	paths := rapid.StringMatching(`/?[ab/*?]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		var rules []*albion.Rule
		priorities := rapid.SliceOfNDistinct(rapid.IntRange(1, 99), 0, 20, rapid.ID[int]).Draw(t, "priorities")
		for _, priority := range priorities {
			h := rapid.SliceOfN(hosts, 0, 3).Draw(t, "hosts")
			p := rapid.SliceOfN(paths, 0, 3).Draw(t, "paths")
			rules = append(rules, rule(priority, strings.Join(h, " "), strings.Join(p, " ")))
		}
		table, err := route.Compile(fixed(404), rules)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			host := rapid.StringMatching(`[abAB]{0,2}(\.[abA]{1,2}){0,3}\.?(:80)?`).Draw(t, "host")
			path := rapid.StringMatching(`/[ab/]{0,8}`).Draw(t, "path")
			want := slowMatch(rules, host, path)
			if got := table.Match(request(host, path)).Priority; got != want {
				t.Fatalf("%s %s: rule %d, want %d", host, path, got, want)
			}
		}
	})
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := compile(t, manyRules(200)...)
	r := request("WWW.host-150.example.com:8443", "/service-150/some/long/path/that/is/usual")
	if n := testing.AllocsPerRun(200, func() { table.Match(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGroupFollowsTheWeights(t *testing.T) {
	forward := albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{
		{Group: "none", Weight: 0}, {Group: "some", Weight: 3}, {Group: "never", Weight: 0}, {Group: "most", Weight: 7},
	}}}
	table, err := route.Compile(forward, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := table.Match(request("h", "/"))
	got := map[albion.ARN]int{}
	for n := range uint64(1000) {
		group, ok := d.Group(n)
		if !ok {
			t.Fatalf("no group for %d", n)
		}
		got[group]++
	}
	if len(got) != 2 || got["some"] != 300 || got["most"] != 700 {
		t.Errorf("got %v", got)
	}
	if group, ok := d.Group(^uint64(0)); !ok || group == "" {
		t.Error("no group for the largest number")
	}
}

func TestGroupIsFalseWithoutWeights(t *testing.T) {
	zero := albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: "a"}, {Group: "b"}}}}
	for name, action := range map[string]albion.Action{"all 0": zero, "not a forward": fixed(200)} {
		table, err := route.Compile(action, nil)
		if err != nil {
			t.Fatal(err)
		}
		if group, ok := table.Match(request("h", "/")).Group(5); ok {
			t.Errorf("%s: got %q", name, group)
		}
	}
}

// manyRules is the usual shape of many rules: services by host, by path on one
// host, and a wildcard here and there.
func manyRules(n int) []*albion.Rule {
	var rules []*albion.Rule
	for i := range n {
		switch i % 4 {
		case 0:
			rules = append(rules, rule(i+1, fmt.Sprintf("host-%d.example.com", i), ""))
		case 1:
			rules = append(rules, rule(i+1, "www.example.com", fmt.Sprintf("/service-%d /service-%d/*", i, i)))
		case 2:
			rules = append(rules, rule(i+1, fmt.Sprintf("*.host-%d.example.com", i), "/service-*"))
		default:
			rules = append(rules, rule(i+1, "", fmt.Sprintf("/any-%d/*", i)))
		}
	}
	return rules
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		table := compile(b, manyRules(n)...)
		for name, r := range map[string]*wire.Request{
			"host":    request(fmt.Sprintf("host-%d.example.com", n/4*4), "/chat/000/abcdefgh/xhr_streaming"),
			"path":    request("www.example.com", fmt.Sprintf("/service-%d/users/12", n-3)),
			"default": request("chat.example.org", "/chat/000/abcdefgh/xhr_streaming"),
		} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					table.Match(r)
				}
			})
		}
	}
}
