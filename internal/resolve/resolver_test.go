package resolve_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
)

// ask makes a resolver for a tree of name servers.
func ask(t *testing.T, zones ...resolvetest.Zone) (*resolve.Resolver, *resolvetest.Network) {
	t.Helper()
	net := resolvetest.New(t, zones...)
	r, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r, net
}

const records = `
www      A     192.0.2.1
www      AAAA  2001:db8::1
txt      TXT   "one " "and \"two\" \\ \007"
big      TXT   "` + pad + `" "` + pad + `" "` + pad + `" "` + pad + `" "` + pad + `" "` + pad + `" "` + pad + `" "` + pad + `"
pages    CNAME www
_acme-challenge.deleg CNAME x7.other.test.
circle   CNAME elcric
elcric   CNAME circle
broken   CNAME nobody.lost.test.
l1       CNAME l2
l2       CNAME l3
l3       CNAME l4
l4       CNAME l5
l5       CNAME l6
l6       CNAME l7
l7       CNAME l8
l8       CNAME l9
l9       CNAME l10
l10      A     192.0.2.9
*.wild   CNAME elsewhere.other.test.
own.wild TXT   own
@        CAA   0 issue "letsencrypt.org; accounturi=https://ca/acct/1"
@        CAA   128 issuewild ";"
free     CAA   0 iodef "mailto:a@example.test"
viaalias CNAME free
`

const pad = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

// tree is two zones that answer, and one whose server nobody runs.
func tree() []resolvetest.Zone {
	return []resolvetest.Zone{
		{Name: "example.test", Text: records, Servers: 2, IPv6: true},
		{Name: "other.test", Text: "x7 TXT proof"},
		{Name: "sub.example.test", Text: "host A 192.0.2.7"},
		{Name: "island.example.test", Text: "host A 192.0.2.8", Undelegated: true},
	}
}

func TestAsksTheRecursiveServer(t *testing.T) {
	r, net := ask(t, tree()...)
	for _, test := range []struct {
		name, kind string
		want       []string
		err        error
	}{
		{"www.example.test", "A", []string{"192.0.2.1"}, nil},
		{"WWW.Example.Test.", "AAAA", []string{"2001:db8::1"}, nil},
		{"txt.example.test", "TXT", []string{"one and \"two\" \\ \a"}, nil},
		{"pages.example.test", "A", []string{"192.0.2.1"}, nil},
		{"pages.example.test", "CNAME", []string{"www.example.test"}, nil},
		{"big.example.test", "TXT", []string{strings.Repeat(pad, 8)}, nil}, // over TCP
		{"www.example.test", "MX", nil, resolve.NoData},
		{"nothing.example.test", "A", nil, resolve.NXDOMAIN},
		{"circle.example.test", "A", nil, resolve.ServFail},
		{"a..test", "A", nil, resolve.BadName},
		{"www.example.test", "NONSENSE", nil, resolve.BadName},
	} {
		a, err := r.Lookup(t.Context(), test.name, test.kind)
		if got := a.Of(test.kind); !slices.Equal(got, test.want) || !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
			t.Errorf("%s %s: %q, %v; want %q, %v", test.name, test.kind, got, err, test.want, test.err)
		}
		if err == nil && a.Server != net.Recursive {
			t.Errorf("%s: answered by %s", test.name, a.Server)
		}
	}
}

func TestFindsTheZoneAndItsServers(t *testing.T) {
	r, _ := ask(t, tree()...)
	for name, want := range map[string]string{
		"example.test":                          "example.test",
		"www.example.test":                      "example.test",
		"_acme-challenge.not.yet.example.test":  "example.test",
		"pages.example.test":                    "example.test",
		"_acme-challenge.deleg.example.test":    "example.test", // an alias into another zone
		"host.sub.example.test":                 "sub.example.test",
		"sub.example.test":                      "sub.example.test",
		"_acme-challenge.more.sub.example.test": "sub.example.test",
		"x7.other.test":                         "other.test",
	} {
		z, err := r.Zone(t.Context(), name)
		if err != nil || z.Name != want || len(z.Servers) == 0 {
			t.Errorf("%s: %+v, %v; want %s", name, z, err, want)
		}
	}
	z, err := r.Zone(t.Context(), "example.test")
	if err != nil {
		t.Fatal(err)
	}
	want := []resolve.Server{
		{Name: "ns1.example.test", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::1")}},
		{Name: "ns2.example.test", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.3")}},
	}
	if !slices.EqualFunc(z.Servers, want, func(a, b resolve.Server) bool {
		return a.Name == b.Name && slices.Equal(a.Addresses, b.Addresses)
	}) || z.Primary != "ns1.example.test" || z.Negative != time.Second {
		t.Errorf("servers: %+v", z)
	}
}

func TestFollowsAliases(t *testing.T) {
	r, _ := ask(t, tree()...)
	for name, test := range map[string]struct {
		want []string
		err  error
	}{
		"www.example.test":                   {[]string{"www.example.test"}, nil},
		"nothing.example.test":               {[]string{"nothing.example.test"}, nil},
		"_acme-challenge.deleg.example.test": {[]string{"_acme-challenge.deleg.example.test", "x7.other.test"}, nil},
		"some.wild.example.test":             {[]string{"some.wild.example.test", "elsewhere.other.test"}, nil},
		"circle.example.test":                {[]string{"circle.example.test", "elcric.example.test"}, resolve.Endless},
		"l2.example.test":                    {[]string{"l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "l10"}, nil},
		"l1.example.test":                    {[]string{"l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9"}, resolve.Endless},
	} {
		got, err := r.Follow(t.Context(), name)
		for i, label := range test.want {
			if !strings.Contains(label, ".") {
				test.want[i] = label + ".example.test"
			}
		}
		if !slices.Equal(got, test.want) || !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, test.want, test.err)
		}
	}
}

func TestAsksEveryServer(t *testing.T) {
	zones := tree()
	zones[0].Extra = []string{"ns9.other.test"} // an address that does not exist
	r, net := ask(t, zones...)
	all, err := r.Everywhere(t.Context(), "own.wild.example.test", "TXT")
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []string{"ns1.example.test", "ns1.example.test", "ns2.example.test"} {
		s := all[i]
		if s.Server != want || s.Err != nil || !s.Answer.Authoritative || !slices.Equal(s.Answer.Of("TXT"), []string{"own"}) {
			t.Errorf("%+v", s)
		}
	}
	if s := all[3]; s.Server != "ns9.other.test" || !errors.Is(s.Err, resolve.Unreachable) {
		t.Errorf("a server without an address: %+v", s)
	}

	// A server that holds the zone no more is told from one that has not got the record.
	_, err = r.Ask(t.Context(), netip.MustParseAddrPort(net.Server(1)), "x7.other.test", "TXT")
	if !errors.Is(err, resolve.Refused) && !errors.Is(err, resolve.Lame) {
		t.Errorf("asked for a foreign zone: %v", err)
	}
	_, err = r.Ask(t.Context(), netip.MustParseAddrPort("127.0.0.9:0"), "x7.other.test", "TXT")
	if !errors.Is(err, resolve.Unreachable) || !strings.Contains(err.Error(), "127.0.0.9") {
		t.Errorf("asked where nobody is: %v", err)
	}
	a, err := r.Ask(t.Context(), netip.MustParseAddrPort(net.Server(0)), "host.sub.example.test", "MX")
	if !errors.Is(err, resolve.NoData) || !a.Authoritative {
		t.Errorf("asked for what is not there: %+v, %v", a, err)
	}
}

func TestFindsWildcards(t *testing.T) {
	r, _ := ask(t, tree()...)
	got, err := r.Wildcard(t.Context(), "_acme-challenge.wild.example.test", "TXT")
	if err != nil || len(got) == 0 || got[0].Type != "CNAME" || got[0].Data != "elsewhere.other.test" {
		t.Errorf("below the wildcard: %+v, %v", got, err)
	}
	got, err = r.Wildcard(t.Context(), "_acme-challenge.www.example.test", "TXT")
	if err != nil || got != nil {
		t.Errorf("where there is none: %+v, %v", got, err)
	}
}

func TestTellsWhatIsDelegated(t *testing.T) {
	r, _ := ask(t, tree()...)
	got, err := r.Delegation(t.Context(), "sub.example.test")
	if err != nil || !slices.Equal(got, []string{"ns1.sub.example.test"}) {
		t.Errorf("a zone that is: %q, %v", got, err)
	}
	got, err = r.Delegation(t.Context(), "nowhere.example.test")
	if err != nil || got != nil {
		t.Errorf("a zone that is not: %q, %v", got, err)
	}
}

func TestClimbsForCAA(t *testing.T) {
	r, _ := ask(t, tree()...)
	for name, want := range map[string]string{
		"www.example.test":      "example.test",
		"*.example.test":        "example.test",
		"a.b.c.example.test":    "example.test",
		"free.example.test":     "free.example.test",
		"sub.free.example.test": "free.example.test",
		"viaalias.example.test": "viaalias.example.test",
		"x7.other.test":         "",
	} {
		set, err := r.CAA(t.Context(), name)
		if err != nil || set.Name != want {
			t.Errorf("%s: %+v, %v; want %q", name, set, err, want)
		}
	}
	set, _ := r.CAA(t.Context(), "www.example.test")
	want := []resolve.CAA{
		{Tag: "issue", Value: "letsencrypt.org; accounturi=https://ca/acct/1"},
		{Critical: true, Tag: "issuewild", Value: ";"},
	}
	if len(set.Records) != 2 || !slices.Contains(set.Records, want[0]) || !slices.Contains(set.Records, want[1]) {
		t.Errorf("the set: %+v", set)
	}
}

func TestRefusesServersThatAreNoAddresses(t *testing.T) {
	for _, server := range []string{"", "ns1.example.test", "192.0.2.1:0", "192.0.2.1:x", "[::1"} {
		if _, err := resolve.New(resolve.Config{Servers: []string{server}}); err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
			t.Errorf("%q: %v", server, err)
		}
	}
	if _, err := resolve.New(resolve.Config{Servers: []string{"192.0.2.1", "::1", "[::1]", "[::1]:5353", "192.0.2.1:54"}}); err != nil {
		t.Error(err)
	}
}

func TestPassesOverASilentServer(t *testing.T) {
	zones := []resolvetest.Zone{{Name: "example.test", Text: "a CNAME b.example.test.", Servers: 2}}
	net := resolvetest.New(t, zones...)
	r, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port, Timeout: 2 * time.Second, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	net.Silence(1, true)
	all, err := r.Everywhere(t.Context(), "a.example.test", "CNAME")
	if err != nil || len(all) != 2 || all[0].Err != nil || !errors.Is(all[1].Err, resolve.Timeout) {
		t.Fatalf("%+v, %v", all, err)
	}
	if got := all[1].Err.Error(); !strings.HasPrefix(got, "a.example.test CNAME: ns2.example.test (127.0.0.3") || !strings.HasSuffix(got, "does not answer") {
		t.Errorf("it says %q", got)
	}
	if chain, err := r.Follow(t.Context(), "a.example.test"); err != nil || len(chain) != 2 {
		t.Errorf("%q, %v", chain, err)
	}
}

// A recursive server that was asked for a name remembers that it was not there, and
// a CA may ask the same server a moment later.
func TestLetsNobodyRememberThatARecordIsNotThereYet(t *testing.T) {
	r, net := ask(t, resolvetest.Zone{Name: "example.test", Text: "www A 192.0.2.1"})
	const name = "_acme-challenge.new.example.test"
	if z, err := r.Zone(t.Context(), name); err != nil || z.Name != "example.test" {
		t.Fatalf("%+v, %v", z, err)
	}
	if chain, err := r.Follow(t.Context(), name); err != nil || len(chain) != 1 {
		t.Fatalf("%q, %v", chain, err)
	}
	if all, err := r.Everywhere(t.Context(), name, "TXT"); err != nil || !errors.Is(all[0].Err, resolve.NXDOMAIN) {
		t.Fatalf("%+v, %v", all, err)
	}
	net.Update("example.test", "add "+name+" 60 TXT proof")
	if a, err := r.Lookup(t.Context(), name, "TXT"); err != nil || !slices.Equal(a.Of("TXT"), []string{"proof"}) {
		t.Errorf("%+v, %v", a, err)
	}
}

// Where nobody may ask the servers outside, the recursive one has to do.
func TestFindsZonesWithoutReachingTheirServers(t *testing.T) {
	net := resolvetest.New(t, tree()...)
	r, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: 1, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"www.example.test": "example.test", "a.b.sub.example.test": "sub.example.test", "x.other.test": "other.test",
	} {
		if z, err := r.Zone(t.Context(), name); err != nil || z.Name != want || len(z.Servers) == 0 {
			t.Errorf("%s: %+v, %v", name, z, err)
		}
	}
	if chain, err := r.Follow(t.Context(), "pages.example.test"); err != nil || len(chain) != 2 {
		t.Errorf("%q, %v", chain, err)
	}
}
