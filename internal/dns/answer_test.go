package dns_test

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

// own is where clients reach the machine in these tests.
var own = []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")}

// zone puts a zone into a Draft, from the text of a zone file.
func zone(t testing.TB, d *albion.Draft, name, text string) *albion.HostedZone {
	t.Helper()
	file, err := dns.ReadFile([]byte(text), dns.ReadOptions{Name: name, Origin: name, KeepNS: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Skipped) > 0 {
		t.Fatalf("%s: skipped %v", name, file.Skipped)
	}
	var id [16]byte
	copy(id[:], name)
	z := &albion.HostedZone{ID: albion.HostedZoneID(id), Name: file.Origin}
	soa, ns := z.DefaultRecordSets(nil)
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	for _, r := range file.Sets {
		r.Zone = z.ID
		albion.Put(d, r)
	}
	return z
}

func finish(t testing.TB, d *albion.Draft) *albion.State {
	t.Helper()
	s, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compile(t testing.TB, s *albion.State) *dns.Table {
	t.Helper()
	table, err := dns.Compile(s, own...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// question makes a message that asks.
func question(t testing.TB, name, kind string, edit func(*wire.Msg)) []byte {
	t.Helper()
	number, ok := wire.StringToType[kind]
	if unknown, is := strings.CutPrefix(kind, "TYPE"); is {
		n, err := strconv.ParseUint(unknown, 10, 16)
		number, ok = uint16(n), err == nil
	}
	if !ok {
		t.Fatalf("no type %s", kind)
	}
	m := new(wire.Msg).SetQuestion(name, number)
	m.RecursionDesired = false
	if edit != nil {
		edit(m)
	}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ask returns the answer of a table.
func ask(t testing.TB, table *dns.Table, name, kind string, edit func(*wire.Msg)) *wire.Msg {
	t.Helper()
	return read(t, table.Respond(question(t, name, kind, edit), false, 0))
}

func read(t testing.TB, data []byte) *wire.Msg {
	t.Helper()
	m := new(wire.Msg)
	if err := m.Unpack(data); err != nil {
		t.Fatalf("the answer cannot be read: %v\n%x", err, data)
	}
	return m
}

// text is a message as the golden files have it: the code, whether it is
// authoritative, and each record with its section.
func text(m *wire.Msg) string {
	head := wire.RcodeToString[m.Rcode]
	for _, flag := range []struct {
		set  bool
		name string
	}{{m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionAvailable, "ra"}} {
		if flag.set {
			head += " " + flag.name
		}
	}
	lines := []string{head}
	for _, section := range []struct {
		name    string
		records []wire.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		var all []string
		for _, rr := range section.records {
			if rr.Header().Rrtype != wire.TypeOPT {
				all = append(all, section.name+" "+strings.Join(strings.Fields(rr.String()), " "))
			}
		}
		slices.Sort(all)
		lines = append(lines, all...)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Each golden file is zones, NAME.zone, and questions with the answers: "NAME
// TYPE". The zones are those of the RFC that gives the file its name.
func TestAnswersAreThoseOfTheRFCs(t *testing.T) {
	files, err := os.ReadDir("testdata/answers")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, entry := range files {
		path := "testdata/answers/" + entry.Name()
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := albion.NewDraft(&albion.State{})
		for _, f := range archive.Files {
			if name, is := strings.CutSuffix(f.Name, ".zone"); is {
				zone(t, d, name, string(f.Data))
			}
		}
		table := compile(t, finish(t, d))
		for i := range archive.Files {
			f := &archive.Files[i]
			if strings.HasSuffix(f.Name, ".zone") {
				continue
			}
			name, kind, _ := strings.Cut(f.Name, " ")
			got := text(ask(t, table, name, kind, nil))
			if os.Getenv("UPDATE") != "" {
				f.Data = []byte(got)
			} else if got != string(f.Data) {
				t.Errorf("%s: %s\ngot\n%swant\n%s", entry.Name(), f.Name, got, f.Data)
			}
		}
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
