package main

import (
	"fmt"
	"io"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
)

// wantedView shows the DNS records that an order waits for: each record once, and
// what a server says whenever that changes.
type wantedView struct {
	out  io.Writer
	said map[string]string // by record, and by record and server
	open bool              // something that was shown is waited for still
}

func newWantedView(out io.Writer) *wantedView {
	return &wantedView{out: out, said: map[string]string{}}
}

func (v *wantedView) show(all []admin.Wanted, until *time.Time) {
	if len(all) == 0 && v.open {
		v.open = false
		fmt.Fprintln(v.out, "  - it is there, on every server that answers")
	}
	fresh := false
	for i := range all {
		w := &all[i]
		key := string(w.Type) + " " + w.Name + " " + w.Value
		if _, shown := v.said[key]; !shown && !w.Missing() {
			continue // it was there already
		}
		v.open = true
		fresh = v.record(key, w) || fresh
		for _, s := range w.Servers {
			v.server(key, s)
		}
	}
	if !fresh {
		return
	}
	fmt.Fprint(v.out, "\nIt goes on by itself once every server shows that")
	if until != nil {
		fmt.Fprintf(v.out, "; the CA waits until %s", until.Local().Format("2006-01-02 15:04"))
	}
	fmt.Fprintln(v.out, ".")
}

// record shows a record when it is new, or when what is wrong with it is.
func (v *wantedView) record(key string, w *admin.Wanted) (fresh bool) {
	before, shown := v.said[key]
	v.said[key] = w.Problem
	if shown && (before == w.Problem || w.Problem == "") {
		return false
	}
	if w.Problem != "" {
		fmt.Fprintf(v.out, "\n%s.\n", w.Problem)
	}
	if shown || w.Type == albion.TypeNS {
		return w.Add
	}
	if !w.Add {
		fmt.Fprintf(v.out, "  - waiting for the TXT record %s\n", w.Name)
		return false
	}
	where := "the DNS of the domain"
	if w.Zone != "" {
		where = "the DNS of " + w.Zone
	}
	fmt.Fprintf(v.out, "\nAdd this record to %s:\n\n", where)
	for _, line := range [][2]string{{"Host", w.Host}, {"Name", w.Name}, {"Type", string(w.Type)}, {"Value", w.Value}} {
		fmt.Fprintf(v.out, "  %-6s %s\n", line[0], line[1])
	}
	return true
}

func (v *wantedView) server(key string, s albion.ServerSaid) {
	says := "has it"
	if !s.Has {
		says = s.Says
	}
	if v.said[key+" "+s.Server] != says {
		v.said[key+" "+s.Server] = says
		fmt.Fprintf(v.out, "  - %s: %s\n", s.Server, says)
	}
}
