package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/internal/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// view is one thing that may be seen, and what is to be said of it: grade and
// code of each finding, in order.
type view struct {
	name string
	see  func(*sight)
	want []string
	says string // something that the words have to hold
}

// judge holds a check against views of chat.example.com, whose zone is
// example.com and which leads to this machine unless a view says otherwise.
func judge(t *testing.T, c check, views ...view) {
	t.Helper()
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			s := usual(t)
			v.see(s)
			got := c(s)
			var codes, words []string
			for _, f := range got {
				codes = append(codes, string(f.Grade)+" "+f.Code)
				words = append(words, f.Says, strings.Join(f.Detail, "\n"), f.Next)
				wellSaid(t, f)
			}
			if !slices.Equal(codes, v.want) {
				t.Errorf("findings are %q, want %q", codes, v.want)
			}
			if text := strings.Join(words, "\n"); !strings.Contains(text, v.says) {
				t.Errorf("%q is not in\n%s", v.says, text)
			}
		})
	}
}

// wellSaid holds a finding against what all of them promise.
func wellSaid(t *testing.T, f Finding) {
	t.Helper()
	if f.Says == "" || f.Code == "" || strings.HasSuffix(f.Says, ".") {
		t.Errorf("%+v says nothing, or ends in a full stop", f)
	}
	if (f.Grade == Problem || f.Grade == Warning) && f.Next == "" {
		t.Errorf("%s (%s) has no next step", f.Code, f.Grade)
	}
	if !slices.Contains(Grades(), f.Grade) || !slices.Contains(topics(), f.Topic) {
		t.Errorf("%s has grade %q and topic %q", f.Code, f.Grade, f.Topic)
	}
	for _, text := range append(f.Detail, f.Says, f.Next) {
		if strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%s: %q would disturb a terminal", f.Code, text)
		}
	}
}

// usual is a name that leads to this machine.
func usual(t testing.TB) *sight {
	t.Helper()
	subject, err := ParseSubject("chat.example.com", 80)
	if err != nil {
		t.Fatal(err)
	}
	return &sight{
		subject: subject, now: now,
		known: Known{Addresses: []netip.Addr{here}},
		names: &namesSeen{a: []netip.Addr{here}, zone: resolve.Zone{Name: "example.com"}},
	}
}

var (
	here   = netip.MustParseAddr("192.0.2.7")
	here6  = netip.MustParseAddr("2001:db8::7")
	there  = netip.MustParseAddr("198.51.100.1")
	there6 = netip.MustParseAddr("2001:db8:1::1")
	inside = netip.MustParseAddr("10.0.0.7")
)

func addresses(all ...netip.Addr) []netip.Addr { return all }

// kind is an error as asking name servers gives it.
func kind(k resolve.Kind) error { return &resolve.Error{Kind: k, Name: "chat.example.com", Type: "A"} }

// ports sets how ports of the usual address behave.
func ports(how map[uint16]reach) func(*sight) {
	return func(s *sight) {
		for _, p := range []uint16{443, 80} {
			s.ports = append(s.ports, portSeen{netip.AddrPortFrom(here, p), how[p]})
		}
	}
}
