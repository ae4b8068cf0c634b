package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

const declaredWarning = "a configuration file declares this certificate: applying it again brings its own contents back"

// ImportRequest is a certificate from outside.
type ImportRequest struct {
	Name    string // "" means the leaf's first domain
	Sources []acm.Source
}

// ImportResult is what was found and what became of it.
type ImportResult struct {
	Certificate Certificate
	Replaced    bool
	Found       []string
	Warnings    []string `json:",omitempty"`
}

// Certificate is what people and programs may know of a certificate.
type Certificate struct {
	Name         string
	ARN          albion.ARN
	Domains      []string
	Status       string // ok, expiring, expired, not yet valid, unused; of a CA's: pending, waiting, renewing, retrying, at risk
	Reason       string `json:",omitempty"`
	Next         string `json:",omitempty"` // what happens next, and when
	Method       string // how the next contents come
	Issuer       albion.Issuer
	KeyAlgorithm string
	Serial       string
	NotBefore    time.Time
	NotAfter     time.Time
	UsedBy       []string   // listeners, as LOADBALANCER:PORT
	Issuance     *Issuance  `json:",omitempty"` // of one that a CA issues
	Deliveries   []Delivery `json:",omitempty"`
	Chain        string     `json:",omitempty"` // PEM; only when one certificate is asked for
	Warnings     []string   `json:",omitempty"` // of what was just asked for
}

// Import keeps a certificate under a name, or replaces the one that has it.
func (s *Service) Import(ctx context.Context, in ImportRequest) (*ImportResult, error) {
	now := s.cfg.Now()
	bundle, err := acm.Read(now, in.Sources...)
	if err != nil {
		return nil, err
	}
	out := &ImportResult{Found: bundle.Found, Warnings: bundle.Warnings}
	var arn albion.ARN
	var declared bool
	state, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		cert, err := acm.Put(d, acm.Import{Name: in.Name, Bundle: bundle, Now: now, ID: s.id()})
		if err != nil {
			return err
		}
		arn = cert.ARN
		_, out.Replaced = s.cfg.Store.State().Certificates.Get(string(arn))
		declared = cert.Origin == albion.OriginFile
		return nil
	})
	if err != nil {
		return nil, err
	}
	if declared {
		out.Warnings = append(out.Warnings, declaredWarning)
	}
	cert, _ := state.Certificates.Get(string(arn))
	out.Certificate = s.describe(state, cert, listenersByCertificate(state))
	return out, nil
}

// Certificates lists all of them by name.
func (s *Service) Certificates() []Certificate {
	state := s.cfg.Store.State()
	used := listenersByCertificate(state)
	all := []Certificate{}
	for c := range state.Certificates.All() {
		all = append(all, s.describe(state, c, used))
	}
	slices.SortFunc(all, func(a, b Certificate) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Certificate shows one, by name or ARN, with its chain.
func (s *Service) Certificate(name string) (*Certificate, error) {
	state := s.cfg.Store.State()
	c, err := find(state, name)
	if err != nil {
		return nil, err
	}
	shown := s.describe(state, c, listenersByCertificate(state))
	shown.Chain = c.Chain
	return &shown, nil
}

func find(state *albion.State, name string) (*albion.Certificate, error) {
	for c := range state.Certificates.All() {
		if c.Name == name || string(c.ARN) == name {
			return c, nil
		}
	}
	return nil, albion.Errorf(albion.CodeCertificateNotFound, "there is no certificate %q: `albion cert list` shows the ones there are", name)
}

// Export returns a certificate with its key.
func (s *Service) Export(name string) (*acm.Files, error) {
	state := s.cfg.Store.State()
	c, err := find(state, name)
	if err != nil {
		return nil, err
	}
	files, err := acm.Export(state, string(c.ARN))
	return &files, err
}

// DeleteCertificate deletes a certificate, by name or ARN, with its key, and
// returns what it was. One that is in use, or that a file declares, is refused.
func (s *Service) DeleteCertificate(ctx context.Context, name string) (*Certificate, error) {
	var gone Certificate
	_, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		c, err := find(&d.State, name)
		if err != nil {
			return err
		}
		used := listenersByCertificate(&d.State)
		if names := used[c.ARN]; len(names) > 0 {
			return albion.Errorf(albion.CodeResourceInUse, "the certificate %s is in use by %s: give them another one first", c.Name, strings.Join(names, ", "))
		}
		if c.Origin == albion.OriginFile {
			return albion.Errorf(albion.CodeResourceInUse, "a configuration file declares the certificate %s: take it out there, and apply the file", c.Name)
		}
		gone = s.describe(&d.State, c, used)
		albion.DeleteCertificate(d, c.ARN)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &gone, nil
}

func (s *Service) describe(state *albion.State, c *albion.Certificate, used map[albion.ARN][]string) Certificate {
	fare := wait(acm.FareOf(state, c, s.cfg.Now(), len(used[c.ARN]) > 0), s.wanted(c))
	return Certificate{
		Name: c.Name, ARN: c.ARN, Domains: c.Domains, Status: fare.Word, Reason: fare.Reason, Next: fare.Next, Method: fare.Method, Issuer: c.Issuer,
		KeyAlgorithm: c.KeyAlgorithm, Serial: c.Serial, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		UsedBy: used[c.ARN], Issuance: s.issuance(state, c), Deliveries: deliveriesOf(state, c),
	}
}

func listenersByCertificate(state *albion.State) map[albion.ARN][]string {
	used := map[albion.ARN][]string{}
	for l := range state.Listeners.All() {
		for _, arn := range l.Certificates {
			used[arn] = append(used[arn], listenerName(state, l))
		}
	}
	for _, names := range used {
		slices.Sort(names)
	}
	return used
}
