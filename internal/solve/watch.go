package solve

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve"
)

// place is where a TXT record belongs.
type place struct {
	asked string       // where the CA looks, without a dot at the end
	name  string       // where its aliases lead
	zone  resolve.Zone // that holds name
}

// locate follows the aliases of a name, so that a delegation to another zone works.
// An alias that only a wildcard makes is not followed: a record at the name itself
// goes before the wildcard (RFC 4592 §2.2.1), and nobody meant the wildcard for it.
func locate(ctx context.Context, r *resolve.Resolver, name string) (place, error) {
	chain, err := r.Follow(ctx, name)
	if err != nil {
		return place{}, setback("it cannot be found out where the TXT record "+name+" belongs", "look at the DNS of the domain: every alias on the way has to lead to a zone whose servers answer", err)
	}
	p := place{asked: name, name: chain[0]}
	for _, next := range chain[1:] {
		made, err := r.Wildcard(ctx, p.name, "CNAME")
		if err != nil {
			return place{}, setback("it cannot be found out whether a wildcard answers for "+p.name, "it is tried again by itself", err)
		}
		if slices.ContainsFunc(made, func(rec resolve.Record) bool { return rec.Type == "CNAME" && rec.Data == next }) {
			break
		}
		p.name = next
	}
	if p.zone, err = r.Zone(ctx, p.name); err != nil {
		return place{}, setback("the zone of "+p.name+" cannot be found", "look whether the domain is registered and its name servers answer"+p.leads(), err)
	}
	return p, nil
}

// leads reminds of the alias that led to another name.
func (p place) leads() string {
	if p.name == p.asked {
		return ""
	}
	return "; " + p.asked + " is an alias that leads there"
}

// holds says whether a name is in a zone.
func holds(zone, name string) bool { return name == zone || strings.HasSuffix(name, "."+zone) }

// sight is a record that is waited for.
type sight struct {
	place
	domain, value string
	err           error // why it is not known where the record belongs
}

// watch asks the servers of zones whether they show records.
type watch struct {
	cfg  Config
	tell func([]albion.Wanted)
}

// verdict is what the servers of all zones say together.
type verdict struct {
	has     int      // servers that show their record
	lagging []string // that answer without it
	silent  []string // that do not answer, or not for the zone
	unknown error    // a record of which it is not known where it belongs
}

func (v *verdict) add(o verdict) {
	v.has += o.has
	v.lagging, v.silent = append(v.lagging, o.lagging...), append(v.silent, o.silent...)
	v.unknown = cmpErr(v.unknown, o.unknown)
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// until returns when all servers show what find says, and a little later, since
// what one address shows need not be everywhere yet. Servers that do not answer are
// waited for a while only: a CA asks another one then. patience bounds the rest; 0:
// only ctx does.
func (w *watch) until(ctx context.Context, patience time.Duration, find func(context.Context) []sight) error {
	begun := w.cfg.Now()
	for {
		sights := find(ctx)
		v := w.look(ctx, sights, w.cfg.Now().Sub(begun) >= w.cfg.Silence)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		waited := w.cfg.Now().Sub(begun)
		quiet := len(v.silent) == 0 || waited >= w.cfg.Silence
		if v.unknown == nil && len(v.lagging) == 0 && quiet && v.has >= len(sights) {
			return rest(ctx, w.cfg.Settle)
		}
		if patience > 0 && waited >= patience {
			return v.setback(sights)
		}
		if err := rest(ctx, w.cfg.Every); err != nil {
			return err
		}
	}
}

// setback is why the wait was in vain.
func (v *verdict) setback(sights []sight) error {
	var names []string
	for _, s := range sights {
		names = append(names, s.asked)
	}
	slices.Sort(names)
	record := strings.Join(slices.Compact(names), ", ")
	switch {
	case v.unknown != nil:
		return v.unknown
	case len(v.lagging) > 0:
		return setback(strings.Join(v.lagging, ", ")+" does not show the TXT record of "+record, "every name server of the zone has to: look whether it still belongs to the zone, and gets its changes", nil)
	}
	return setback("no name server shows the TXT record of "+record, "look whether they can be reached: "+strings.Join(v.silent, ", ")+" did not answer", nil)
}

// look asks all servers once, and tells what they say.
func (w *watch) look(ctx context.Context, sights []sight, late bool) verdict {
	var all verdict
	var wanted []albion.Wanted
	for _, s := range sights {
		said, v := w.one(ctx, s)
		if late && v.has == 0 && len(v.lagging) == 0 && s.err == nil {
			w.ask(ctx, s, &said, &v)
		}
		v.has = min(v.has, 1)
		wanted = append(wanted, said)
		all.add(v)
	}
	if ctx.Err() == nil && w.tell != nil {
		w.tell(wanted)
	}
	return all
}

// one asks the servers of one record.
func (w *watch) one(ctx context.Context, s sight) (albion.Wanted, verdict) {
	wanted := albion.Wanted{Domain: s.domain, Type: albion.TypeTXT, Name: s.name, Zone: s.zone.Name, Value: s.value}
	if s.err != nil {
		wanted.Name = s.asked
		var known *albion.Setback
		if wanted.Problem = s.err.Error(); errors.As(s.err, &known) {
			wanted.Problem = known.Sentence
		}
		return wanted, verdict{unknown: s.err}
	}
	said := w.cfg.Resolver.Poll(ctx, s.zone, s.name, "TXT")
	for _, answer := range said {
		out := albion.ServerSaid{Server: serverName(answer)}
		out.Has, out.Says = shows(answer, s)
		wanted.Servers = append(wanted.Servers, out)
	}
	return wanted, judge(said, s)
}

// ask asks the recursive servers where no authoritative one can be reached, as in
// networks that let nobody ask outside.
func (w *watch) ask(ctx context.Context, s sight, said *albion.Wanted, v *verdict) {
	a, err := w.cfg.Resolver.Lookup(ctx, s.name, "TXT")
	out := albion.ServerSaid{Server: a.Server, Has: err == nil && slices.Contains(a.Of("TXT"), s.value)}
	switch {
	case out.Has:
		v.has++
	case err == nil:
		out.Says = "has another value"
	default:
		out.Says = cause(err)
	}
	if out.Server != "" {
		said.Servers = append(said.Servers, out)
	}
}

// shows says whether an answer holds the record, under its own name.
func shows(a resolve.Statement, s sight) (bool, string) {
	switch {
	case errors.Is(a.Err, resolve.NXDOMAIN), errors.Is(a.Err, resolve.NoData):
		return false, "no such record"
	case a.Err != nil:
		return false, cause(a.Err)
	}
	for _, rec := range a.Answer.Records {
		if rec.Type == "TXT" && rec.Name == s.name && rec.Data == s.value {
			return true, ""
		}
	}
	return false, "has another value"
}

// judge says of every server what its addresses say together: one that answers
// without the record is enough to lag, and one that has it to be there, since an
// address may be out of reach from here alone.
func judge(said []resolve.Statement, s sight) (v verdict) {
	type state struct{ has, lacks bool }
	servers := map[string]*state{}
	var names []string
	for _, a := range said {
		if servers[a.Server] == nil {
			servers[a.Server] = &state{}
			names = append(names, a.Server)
		}
		has, _ := shows(a, s)
		switch {
		case has:
			servers[a.Server].has = true
		case a.Err == nil, errors.Is(a.Err, resolve.NXDOMAIN), errors.Is(a.Err, resolve.NoData):
			servers[a.Server].lacks = true
		}
	}
	for _, name := range names {
		switch st := servers[name]; {
		case st.lacks:
			v.lagging = append(v.lagging, name)
		case st.has:
			v.has++
		default:
			v.silent = append(v.silent, name)
		}
	}
	return v
}

// manual leaves the record to a person.
type manual struct{ *watch }

// Present waits until the record is there. Where it belongs is found out anew at
// every look: the person may make an alias meanwhile.
func (m *manual) Present(ctx context.Context, all []acme.Presentation) error {
	return m.until(ctx, 0, func(ctx context.Context) []sight { return m.sights(ctx, all) })
}

// CleanUp has nothing to do: what a person added, a person removes.
func (m *manual) CleanUp(context.Context, []acme.Presentation) error { return nil }

// sights finds out where records belong.
func (w *watch) sights(ctx context.Context, all []acme.Presentation) []sight {
	var sights []sight
	for _, p := range all {
		at, err := locate(ctx, w.cfg.Resolver, p.Name)
		at.asked = p.Name
		sights = append(sights, sight{place: at, domain: p.Domain, value: p.Value, err: err})
	}
	return sights
}
