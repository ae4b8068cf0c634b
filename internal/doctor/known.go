package doctor

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/albion-lb/albion"
)

// Known is what the State tells, and a server that runs.
type Known struct {
	Running      bool
	Addresses    []netip.Addr `json:",omitempty"` // where clients reach this machine
	CAs          []CA         `json:",omitempty"`
	Listeners    []Listener   `json:",omitempty"`
	Targets      []string     `json:",omitempty"` // HOST:PORT
	Certificates []Shown      `json:",omitempty"`
	Authority    string       `json:",omitempty"` // PEM of the local CA
	Token        string       `json:",omitempty"` // a running server answers this one
	Answer       string       `json:",omitempty"` // so
}

// CA is one that certificates are asked from.
type CA struct {
	Directory string
	Roots     string `json:",omitempty"` // PEM; "": the system's
	Account   string `json:",omitempty"` // URL; "": none yet
}

// Listener is a port that is, or would be, served.
type Listener struct {
	Port    uint16
	Secure  bool
	Serving bool
	Problem string `json:",omitempty"`
}

// Shown is a certificate that is served here.
type Shown struct {
	Name    string
	Domains []string
	Serial  string // hexadecimal with colons
	Expires time.Time
	Pending bool   // a CA was asked and has not issued yet
	Problem string `json:",omitempty"` // why not
}

// Know collects what a State tells. running says whether a server makes it live,
// seen how that fares.
func Know(state *albion.State, running bool, seen albion.Seen) Known {
	k := Known{Running: running}
	if service, ok := state.NameServices.Get(albion.NameServiceID); ok {
		k.Addresses = service.Addresses
	}
	fares := map[albion.ARN]albion.ListenerSeen{}
	for _, l := range seen.Listeners {
		fares[l.Listener] = l
	}
	for l := range state.Listeners.All() {
		fare := fares[l.ARN]
		k.Listeners = append(k.Listeners, Listener{Port: l.Port, Secure: l.Protocol == albion.HTTPS, Serving: fare.Serving, Problem: fare.Problem})
	}
	slices.SortFunc(k.Listeners, func(a, b Listener) int { return cmp.Compare(a.Port, b.Port) })
	for g := range state.TargetGroups.All() {
		for _, t := range g.Targets {
			k.Targets = append(k.Targets, net.JoinHostPort(t.Host, portText(t.Port)))
		}
	}
	slices.Sort(k.Targets)
	k.Targets = slices.Compact(k.Targets)
	for c := range state.Certificates.All() {
		shown := Shown{Name: c.Name, Domains: c.Domains, Serial: c.Serial, Expires: c.NotAfter, Pending: c.Pending}
		if i, ok := state.Issuances.Get(string(c.ARN)); ok && i.Last != nil {
			shown.Problem = i.Last.Sentence
		}
		k.Certificates = append(k.Certificates, shown)
		if c.Request != nil {
			for _, ca := range c.Request.CAs() {
				k.ask(state, CA{Directory: ca.Directory, Roots: ca.Roots})
			}
		}
	}
	return k
}

// ask adds a CA, once, with the account that there is.
func (k *Known) ask(state *albion.State, ca CA) {
	if slices.ContainsFunc(k.CAs, func(known CA) bool { return known.Directory == ca.Directory }) {
		return
	}
	for account := range state.Registrations.All() {
		if account.Directory == ca.Directory && account.URL != "" {
			ca.Account = account.URL
		}
	}
	k.CAs = append(k.CAs, ca)
}
