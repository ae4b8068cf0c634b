package solve

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve"
)

const (
	delegatedEvery = 3 * time.Second
	// What our own name server answers is there at once; what is not seen by then is
	// in somebody else's hands.
	delegatedPatience = 2 * time.Minute
	// Many networks let nobody inside reach their own public address. Servers that
	// only stay silent are left to the CA after this time.
	delegatedSilence = 20 * time.Second
)

// Delegated proves names through the hosted zones of this Albion, which answer
// the TXT records of live orders by themselves. It looks whether the way there is
// as it should be: the zone delegated to us, and for names elsewhere a CNAME.
type Delegated struct {
	State    func() *albion.State // the one in force; must not block
	Request  *albion.Request
	Resolver *resolve.Resolver
	Tell     func([]albion.Wanted) // what is missing, whenever somebody has looked
	Every    time.Duration         // between looks; 0: 3 s
}

// Prepare returns when every CNAME is there and every zone leads here, and until
// then says what is missing.
func (d *Delegated) Prepare(ctx context.Context, domains []string) error {
	for {
		wanted, good := d.look(ctx, domains)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.Tell(wanted)
		if good {
			return nil
		}
		if err := rest(ctx, cmp.Or(d.Every, delegatedEvery)); err != nil {
			return err
		}
	}
}

func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// look says of every name what has to be there, and whether all of it is.
func (d *Delegated) look(ctx context.Context, domains []string) (wanted []albion.Wanted, good bool) {
	state := d.State()
	seen := map[string]bool{}
	good = true
	add := func(w albion.Wanted, fine bool) {
		if !seen[w.Name] {
			seen[w.Name] = true
			wanted, good = append(wanted, w), good && fine
		}
	}
	for _, domain := range domains {
		way, err := state.Delegation(d.Request, domain)
		if err != nil {
			add(albion.Wanted{Domain: domain, Type: albion.TypeCNAME, Name: albion.ChallengeName(domain), Problem: err.Error()}, false)
			continue
		}
		if zone := strings.TrimSuffix(way.Zone.Name, "."); !seen[zone] {
			if w, fine := d.zone(ctx, state, way.Zone); !fine {
				add(w, false)
			}
		}
		if way.Alias() && !seen[way.Name] {
			add(d.alias(ctx, strings.TrimPrefix(domain, "*."), way))
		}
	}
	return wanted, good
}

// alias looks for the CNAME of one name on all servers of its zone.
func (d *Delegated) alias(ctx context.Context, domain string, way albion.Delegation) (w albion.Wanted, fine bool) {
	w = albion.Wanted{Domain: domain, Type: albion.TypeCNAME, Name: way.Name, Value: way.Target}
	zone, err := d.Resolver.Zone(ctx, way.Name)
	if err != nil {
		w.Problem = "the name servers of " + domain + " cannot be found (" + err.Error() + ")"
		return w, false
	}
	w.Zone = zone.Name
	said := d.Resolver.Poll(ctx, zone, way.Name, "CNAME")
	other, lacking := "", 0
	for _, s := range said {
		out := albion.ServerSaid{Server: serverName(s)}
		switch targets := s.Answer.Of("CNAME"); {
		case s.Err == nil && len(targets) > 0 && strings.EqualFold(targets[0], way.Target):
			out.Has = true
		case s.Err == nil && len(targets) > 0:
			other, out.Says = targets[0], "leads to "+targets[0]
		case errors.Is(s.Err, resolve.NXDOMAIN), errors.Is(s.Err, resolve.NoData):
			lacking++
			out.Says = "no such record"
		default:
			out.Says = cause(s.Err)
		}
		w.Servers = append(w.Servers, out)
	}
	has, _ := w.Seen()
	if has > 0 && other == "" && lacking == 0 {
		return w, true
	}
	if other != "" {
		if chain, err := d.Resolver.Follow(ctx, way.Name); err == nil && chain[len(chain)-1] == way.Target {
			return w, true // by way of others
		}
	}
	w.Problem = d.mistake(ctx, zone, &w, other)
	return w, false
}

// mistake says what is there in place of a CNAME, if it is more than nothing.
func (d *Delegated) mistake(ctx context.Context, zone resolve.Zone, w *albion.Wanted, other string) string {
	if other != "" {
		if all, err := d.Resolver.Wildcard(ctx, w.Name, "CNAME"); err == nil && slices.ContainsFunc(all, func(r resolve.Record) bool { return r.Type == "CNAME" && r.Data == other }) {
			return "a wildcard of " + w.Zone + " answers for " + w.Name + ": the name needs a CNAME record of its own, which goes before the wildcard"
		}
		return w.Name + " leads to " + other + " and not to " + w.Value + ": change the record"
	}
	for _, s := range w.Servers {
		if s.Has || s.Says != "no such record" {
			return ""
		}
	}
	for _, s := range d.Resolver.Poll(ctx, zone, w.Name, "TXT") {
		if s.Err == nil {
			return "there is a TXT record at " + w.Name + ", and a CNAME stands alone: delete it, then add the CNAME"
		}
	}
	return ""
}

// zone looks whether a hosted zone is found by others, and found here. Servers
// that do not answer are no mistake: see delegatedSilence.
func (d *Delegated) zone(ctx context.Context, state *albion.State, hosted *albion.HostedZone) (w albion.Wanted, fine bool) {
	name := strings.TrimSuffix(hosted.Name, ".")
	names := values(state, hosted, albion.TypeNS)
	w = albion.Wanted{Domain: name, Type: albion.TypeNS, Name: name, Value: strings.Join(names, " "), Zone: parent(name)}
	found, err := d.Resolver.Zone(ctx, name)
	switch {
	case errors.Is(err, resolve.NXDOMAIN), errors.Is(err, resolve.NoData), err == nil && found.Name != name:
		w.Problem = "the zone " + name + " is not delegated: nobody finds it until " + w.Zone + " has NS records for it" + glue(names, name)
		return w, false
	case errors.Is(err, resolve.ServFail), errors.Is(err, resolve.Refused):
		w.Problem = "the servers to which the zone " + name + " is delegated do not answer for it: its NS records have to lead to this Albion, whose name server has to be reachable on port 53"
		return w, false
	case err != nil:
		w.Problem = "it cannot be seen whether the zone " + name + " is delegated (" + err.Error() + ")"
		return w, false
	}
	ours := strings.Fields(strings.Join(values(state, hosted, albion.TypeSOA), " "))
	for _, s := range d.Resolver.Poll(ctx, found, name, "SOA") {
		out := albion.ServerSaid{Server: serverName(s), Has: true}
		if got := s.Answer.Of("SOA"); s.Err == nil && len(got) > 0 && !slices.EqualFunc(strings.Fields(got[0]), ours, strings.EqualFold) ||
			errors.Is(s.Err, resolve.Refused) || errors.Is(s.Err, resolve.Lame) || errors.Is(s.Err, resolve.NXDOMAIN) {
			out.Has, out.Says = false, "is not this Albion"
			w.Problem = out.Server + " speaks for the zone " + name + " and is not this Albion: the NS records of the zone, here and in " + w.Zone + ", have to lead here alone"
		}
		w.Servers = append(w.Servers, out)
	}
	return w, w.Problem == ""
}

// glue reminds of the address that a name server inside its own zone needs.
func glue(names []string, zone string) string {
	for _, n := range names {
		if n = strings.TrimSuffix(n, "."); n == zone || strings.HasSuffix(n, "."+zone) {
			return ", and an address record (glue) for " + n
		}
	}
	return ""
}

// values are those of a record set at a zone's apex.
func values(s *albion.State, z *albion.HostedZone, kind albion.RecordType) []string {
	set, ok := s.RecordSets.Get(albion.RecordSetID(z.ID, z.Name, kind, ""))
	if !ok {
		return nil
	}
	return set.Values
}

func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// serverName names a server and the address that was asked.
func serverName(s resolve.Statement) string {
	if !s.Address.IsValid() {
		return s.Server
	}
	return s.Server + " (" + s.Address.String() + ")"
}

// cause is why a server said nothing, in two words.
func cause(err error) string {
	var e *resolve.Error
	if errors.As(err, &e) {
		return string(e.Kind)
	}
	return "no such record"
}

// Present waits until the servers of our zones show the records.
func (d *Delegated) Present(ctx context.Context, all []acme.Presentation) error {
	begun := time.Now()
	limited, cancel := context.WithTimeout(ctx, delegatedPatience)
	defer cancel()
	for {
		lagging, silent := d.lagging(limited, all)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case lagging == "" && (!silent || time.Since(begun) > delegatedSilence):
			return nil
		case limited.Err() != nil && lagging == "":
			return nil
		case limited.Err() != nil:
			return &albion.Setback{
				Kind: albion.SetbackName, Sentence: lagging + " does not show the TXT record that this Albion answers",
				Advice: "all NS records of the zone have to lead to this Albion, and to nobody else",
			}
		}
		if err := rest(limited, cmp.Or(d.Every, delegatedEvery)); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// lagging names a server that says something else than the records; silent says
// that a record was to be seen nowhere, since nobody answers.
func (d *Delegated) lagging(ctx context.Context, all []acme.Presentation) (lagging string, silent bool) {
	state := d.State()
	for _, p := range all {
		way, err := state.Delegation(d.Request, p.Domain)
		if err != nil {
			return "no hosted zone", false
		}
		said, err := d.Resolver.Everywhere(ctx, way.Target, "TXT")
		if err != nil {
			silent = true
			continue
		}
		seen := false
		for _, s := range said {
			switch {
			case s.Err == nil && slices.Contains(s.Answer.Of("TXT"), p.Value):
				seen = true
			case s.Err == nil, errors.Is(s.Err, resolve.NXDOMAIN), errors.Is(s.Err, resolve.NoData):
				return serverName(s), false
			}
		}
		silent = silent || !seen
	}
	return "", silent
}

// CleanUp has nothing to do: the records end with the order.
func (d *Delegated) CleanUp(context.Context, []acme.Presentation) error { return nil }
