package admin

import (
	"context"
	"slices"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

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
	Status       string // ok, expiring, expired, not yet valid, unused
	Reason       string `json:",omitempty"`
	Issuer       albion.Issuer
	KeyAlgorithm string
	Serial       string
	NotBefore    time.Time
	NotAfter     time.Time
	UsedBy       []string // listeners, as LOADBALANCER:PORT
	Chain        string   `json:",omitempty"` // PEM; only when one certificate is asked for
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
	state, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		cert, err := acm.Put(d, acm.Import{Name: in.Name, Bundle: bundle, Now: now, ID: s.id()})
		if err != nil {
			return err
		}
		arn = cert.ARN
		_, out.Replaced = s.cfg.Store.State().Certificates.Get(string(arn))
		return nil
	})
	if err != nil {
		return nil, err
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
	slices.SortFunc(all, func(a, b Certificate) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// Certificate shows one, by name or ARN, with its chain.
func (s *Service) Certificate(name string) (*Certificate, error) {
	state := s.cfg.Store.State()
	for c := range state.Certificates.All() {
		if c.Name == name || string(c.ARN) == name {
			shown := s.describe(state, c, listenersByCertificate(state))
			shown.Chain = c.Chain
			return &shown, nil
		}
	}
	return nil, albion.Errorf(albion.CodeCertificateNotFound, "there is no certificate %q: `albion cert list` shows the ones there are", name)
}

// Export returns a certificate with its key.
func (s *Service) Export(name string) (*acm.Files, error) {
	files, err := acm.Export(s.cfg.Store.State(), name)
	return &files, err
}

func (s *Service) describe(state *albion.State, c *albion.Certificate, used map[albion.ARN][]string) Certificate {
	word, reason := acm.Status(c, s.cfg.Now(), len(used[c.ARN]) > 0)
	return Certificate{
		Name: c.Name, ARN: c.ARN, Domains: c.Domains, Status: word, Reason: reason, Issuer: c.Issuer,
		KeyAlgorithm: c.KeyAlgorithm, Serial: c.Serial, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		UsedBy: used[c.ARN],
	}
}

func listenersByCertificate(state *albion.State) map[albion.ARN][]string {
	used := map[albion.ARN][]string{}
	for l := range state.Listeners.All() {
		for _, arn := range l.Certificates {
			used[arn] = append(used[arn], listenerName(state, l))
		}
	}
	return used
}
