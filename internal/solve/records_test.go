package solve_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
)

const zoneText = `
chat     A     192.0.2.1
_acme-challenge      TXT   somebody-elses
_acme-challenge.deleg CNAME x7.other.test.
_acme-challenge.lost  CNAME a.gone.test.
_acme-challenge.circle CNAME _acme-challenge.elcric
_acme-challenge.elcric CNAME _acme-challenge.circle
*.swallowed CNAME elsewhere.other.test.
`

func TestWaitsUntilTheLaggingSecondaryHasTheRecord(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText, Servers: 2, Lagging: true})
	s := w.solver(albion.MethodRFC2136, w.rfc2136())
	var seen []string
	w.onTell = func(all []albion.Wanted) {
		var line []string
		for _, server := range all[0].Servers {
			name, _, _ := strings.Cut(server.Server, " ")
			says := "has it"
			if !server.Has {
				says = server.Says
			}
			line = append(line, name+" "+says)
		}
		if said := strings.Join(line, ", "); len(seen) == 0 || seen[len(seen)-1] != said {
			seen = append(seen, said)
		}
		if len(seen) == 1 {
			w.net.Notify(1, "example.test")
		}
	}
	both := []acme.Presentation{txt("example.test", "apex"), txt("*.example.test", "wildcard")}
	present(t, s, both...)
	want := []string{"ns1.example.test has it, ns2.example.test has another value", "ns1.example.test has it, ns2.example.test has it"}
	if !slices.Equal(seen, want) {
		t.Errorf("it told %q; want %q", seen, want)
	}
	w.expect("_acme-challenge.example.test", "apex", "somebody-elses", "wildcard")
	w.net.Notify(1, "example.test")
	present(t, s, both...) // after a restart
	cleanUp(t, s, both[0])
	w.expect("_acme-challenge.example.test", "somebody-elses", "wildcard")
	cleanUp(t, s, both...)
	cleanUp(t, s, both...)
	w.expect("_acme-challenge.example.test", "somebody-elses")
}

func TestNamesTheServerThatLagsForTooLong(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText, Servers: 2, Lagging: true})
	w.cfg.Patience = 200 * time.Millisecond
	err := w.solver(albion.MethodRFC2136, w.rfc2136()).Present(t.Context(), []acme.Presentation{txt("chat.example.test", "v")})
	refused(t, err, "ns2.example.test does not show the TXT record of _acme-challenge.chat.example.test")
	if strings.Contains(err.Error(), "ns1.") {
		t.Errorf("it blames the server that has it: %v", err)
	}
}

func TestLeavesOutAServerThatIsDown(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText, Servers: 2})
	w.net.Silence(1, true)
	w.cfg.Silence = 100 * time.Millisecond
	present(t, w.solver(albion.MethodRFC2136, w.rfc2136()), txt("chat.example.test", "v"))
	if all := w.told[0].Servers; len(all) != 2 || !all[0].Has || all[1].Says != "timeout" {
		t.Errorf("it told %+v", all)
	}
}

func TestWritesWhereTheAliasLeads(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText}, resolvetest.Zone{Name: "other.test"})
	s := w.solver(albion.MethodRFC2136, w.rfc2136())
	for domain, name := range map[string]string{
		"deleg.example.test":       "x7.other.test",
		"chat.example.test":        "_acme-challenge.chat.example.test",
		"a.swallowed.example.test": "_acme-challenge.a.swallowed.example.test", // the wildcard is nobody's delegation
	} {
		p := txt(domain, "proof-of-"+domain)
		if err := s.(acme.Preparer).Prepare(t.Context(), []string{domain}); err != nil {
			t.Errorf("%s: %v", domain, err)
		}
		present(t, s, p)
		if w.told[0].Name != name {
			t.Errorf("%s: it told of %s; want %s", domain, w.told[0].Name, name)
		}
		w.expect(name, p.Value)
		cleanUp(t, s, p)
		if got := w.values(name); slices.Contains(got, p.Value) {
			t.Errorf("%s: %q is left at %s", domain, got, name)
		}
	}
}

func TestRefusesAliasesThatLeadNowhere(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText}, resolvetest.Zone{Name: "other.test"})
	s := w.solver(albion.MethodRFC2136, w.rfc2136())
	for domain, words := range map[string][]string{
		"lost.example.test":   {"a.gone.test", "alias"},
		"circle.example.test": {"_acme-challenge.circle.example.test", "circle"},
		"unregistered.test":   {"zone of _acme-challenge.unregistered.test"},
	} {
		refused(t, s.(acme.Preparer).Prepare(t.Context(), []string{domain}), words...)
		refused(t, s.Present(t.Context(), []acme.Presentation{txt(domain, "v")}), words...)
	}
}

func TestLetsAPersonAddTheRecord(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText}, resolvetest.Zone{Name: "other.test"})
	s := w.solver(albion.MethodManual, "")
	var hosts []string
	w.onTell = func(all []albion.Wanted) {
		if len(hosts) > 0 {
			return
		}
		for _, record := range all {
			hosts = append(hosts, record.Host()+" in "+record.Zone)
			w.update(record.Zone, record.Name, record.Value, true)
		}
	}
	all := []acme.Presentation{txt("example.test", "one"), txt("chat.example.test", "two"), txt("deleg.example.test", "three")}
	present(t, s, all...)
	want := []string{"_acme-challenge in example.test", "_acme-challenge.chat in example.test", "x7 in other.test"}
	if !slices.Equal(hosts, want) {
		t.Errorf("it asked for %q; want %q", hosts, want)
	}
	cleanUp(t, s, all...)
	w.expect("x7.other.test", "three") // a person's
}

func TestManualWaitSaysWhatIsWrongAndEndsWithItsContext(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	ctx, cancel := contextWithCancel(t.Context())
	defer cancel()
	w.onTell = func([]albion.Wanted) { cancel() }
	err := w.solver(albion.MethodManual, "").Present(ctx, []acme.Presentation{txt("lost.example.test", "v")})
	if !errors.Is(err, errEnough) {
		t.Errorf("it ended with %v", err)
	}
	if p := w.told[0].Problem; !strings.Contains(p, "a.gone.test") {
		t.Errorf("it says %q", p)
	}
}
