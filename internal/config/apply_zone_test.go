package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
)

const names = `
dns: {listen: ":53", name_servers: ns.example.net}
hosted_zones:
  Example.com:
    records:
      - {type: A, alias: web, evaluate_target_health: true}
      - {name: www, type: CNAME, values: Example.com}
      - {name: txt, type: TXT, values: free text}
load_balancers:
  web: {listeners: [{port: 80, fixed_response: {status: 200}}]}
`

// told lists what a State says about names.
func told(s *albion.State) []string {
	var all []string
	for r := range s.RecordSets.All() {
		line := fmt.Sprintf("%s %s %s", r.Name, r.Type, strings.Join(r.Values, " "))
		if r.Alias != nil {
			line += "alias"
		}
		all = append(all, line)
	}
	return all
}

func TestZonesAreMadeWithTheirSOAAndNS(t *testing.T) {
	state, changes := apply(t, parse(t, names), nil)
	want := []string{
		"example.com. A alias",
		"example.com. NS ns.example.net.",
		"example.com. SOA ns.example.net. hostmaster.example.com. 1 7200 900 1209600 86400",
		`txt.example.com. TXT "free text"`,
		"www.example.com. CNAME example.com.",
	}
	if got := told(state); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	lines := changeLines(changes)
	for _, line := range []string{
		"add name service dns: listen: +:53; name_servers: +ns.example.net.\n", "add hosted zone example.com.\n",
		"add record set example.com. A: alias: web; evaluate_target_health: false → true\n", "add record set www.example.com. CNAME: ttl: 300s; values: +example.com.\n",
	} {
		if !strings.Contains(lines+"\n", line) {
			t.Errorf("no %q in\n%s", line, lines)
		}
	}
	after, changes := apply(t, parse(t, strings.Replace(names, "values: free text", "values: [other], ttl: 1h", 1)), state)
	if got := changeLines(changes); strings.TrimSpace(got) != `change record set txt.example.com. TXT: ttl: 300s → 1h; values: +"other", -"free text"` {
		t.Errorf("changed: %s", got)
	}
	if empty, _ := apply(t, parse(t, ""), after); empty.RecordSets.Len()+empty.HostedZones.Len()+empty.NameServices.Len() != 0 {
		t.Errorf("left: %v", told(empty))
	}
}

func TestAZoneWithRecordsOfOthersIsNotRemoved(t *testing.T) {
	state, _ := apply(t, parse(t, names), nil)
	d := albion.NewDraft(state)
	for z := range state.HostedZones.All() {
		albion.Put(d, &albion.RecordSet{Zone: z.ID, Name: "hand.example.com.", Type: albion.TypeA, Values: []string{"192.0.2.1"}})
	}
	state, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	again, changes := apply(t, parse(t, names), state)
	if len(changes) != 0 || again != state {
		t.Errorf("what others made was touched: %v", changeLines(changes))
	}
	_, _, err = tryApply(parse(t, ""), state)
	if albion.CodeOf(err) != albion.CodeResourceInUse || !strings.Contains(err.Error(), "hand.example.com. A") {
		t.Errorf("got %v", err)
	}
}

func TestWhatNamesReferToIsLookedFor(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(names, "alias: web", "alias: wep", 1): `albion.yaml:6:26: no load balancer is called "wep": did you mean web?`,
		names + "  # \n": "",
		strings.Replace(names, "name: www", "name: \"@\"", 1):                             "albion.yaml:7:27: record set \"example.com.\" CNAME: a CNAME cannot stand at the apex",
		strings.Replace(names, "  Example.com:", "  example.com.: {}\n  Example.com:", 1): "the zone example.com. is here twice",
	} {
		_, _, err := tryApply(parse(t, text), nil)
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
