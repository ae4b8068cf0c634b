package admin

import (
	"context"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// CertificateRequest asks for a certificate of a CA.
type CertificateRequest struct {
	Name      string // "" means the first domain
	Domains   []string
	Issuer    string // a name of acm.Issuers, or the https URL of a directory
	Roots     string // PEM; who vouches for the CA's server
	Email     string
	Challenge string // http, tls-alpn, or "" for either
	KeyType   string // ecdsa (or ""), or rsa
	Profile   string
	KeyID     string      // as in Authority
	MAC       string      // as in Authority
	Fallbacks []Authority // asked while the CA cannot issue, in this order
}

// Issuance is how it stands with what a CA issues.
type Issuance struct {
	Request  albion.Request
	Pending  bool             // the CA has issued nothing yet
	UnderWay bool             // an order is
	Steps    []string         // what the last attempt has done so far
	Failures int              // in a row
	Problem  *albion.Setback  `json:",omitempty"`
	Failed   *time.Time       `json:",omitempty"`
	Again    *time.Time       `json:",omitempty"` // when the next attempt begins
	Due      *time.Time       `json:",omitempty"` // when the CA is asked for new contents next, whatever for
	Served   *albion.Sighting `json:",omitempty"` // what our listeners showed when they were asked last
	Wanted   []Wanted         `json:",omitempty"` // DNS records that it waits for
	Until    *time.Time       `json:",omitempty"` // when the CA stops waiting for them
}

// Request asks a CA for a certificate. It returns at once; the certificate
// follows, and Certificate tells how it stands. It is refused where nothing runs
// that could answer the CA's questions.
func (s *Service) Request(ctx context.Context, in CertificateRequest) (*Certificate, error) {
	if s.cfg.Seen == nil {
		return nil, albion.Errorf(albion.CodeInvalidConfiguration, "nothing runs on this data folder that could answer the CA: start `albion up` or `albion serve` first, with a listener on port 80 or 443")
	}
	if err := s.provable(ctx, in.Challenge); err != nil {
		return nil, err
	}
	var arn albion.ARN
	state, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		cert, _, err := acm.Request(d, acm.CARequest{
			Name: in.Name, Domains: in.Domains, Issuer: in.Issuer, Roots: in.Roots, Email: in.Email, Challenge: in.Challenge,
			KeyType: in.KeyType, Profile: in.Profile, KeyID: in.KeyID, MAC: mac(in.MAC), Fallbacks: fallbacks(in.Fallbacks), Again: true, Now: s.cfg.Now(), Rand: s.cfg.Rand, ID: s.id(),
		})
		if err == nil {
			arn = cert.ARN
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	cert, ok := state.Certificates.Get(string(arn))
	if !ok {
		return nil, albion.Errorf(albion.CodeCertificateNotFound, "the certificate was deleted meanwhile")
	}
	shown := s.describe(state, cert, listenersByCertificate(state))
	if cert.Origin == albion.OriginFile {
		shown.Warnings = append(shown.Warnings, declaredWarning)
	}
	return &shown, nil
}

// provable refuses a method that cannot begin, before anything is changed: what is
// in place may be good, and its next renewal depends on it.
func (s *Service) provable(ctx context.Context, challenge string) error {
	method, argument, err := albion.ParseMethod(challenge)
	if err != nil || s.cfg.Provable == nil {
		return err
	}
	r := &albion.Request{Method: method, Argument: argument}
	if err := s.cfg.Provable(ctx, r); err != nil {
		e := albion.Errorf(albion.CodeInvalidParameter, "names cannot be proved by %s: %s; nothing was changed", r.Way(), err)
		e.Field = "ValidationMethod"
		return e
	}
	return nil
}

// issuance tells how it stands with a certificate of a CA; nil for others.
func (s *Service) issuance(state *albion.State, c *albion.Certificate) *Issuance {
	if c.Request == nil {
		return nil
	}
	out := &Issuance{Request: *c.Request, Pending: c.Pending, Steps: []string{}, Wanted: s.wanted(c)}
	if at, ok := acm.DueAt(state, c, s.cfg.Now()); ok {
		out.Due = &at
	}
	i, ok := state.Issuances.Get(string(c.ARN))
	if !ok {
		return out
	}
	out.UnderWay, out.Failures, out.Problem, out.Served = i.Order != nil, i.Failures, i.Last, i.Sighting
	out.Steps = append(out.Steps, i.Steps...)
	if until := acm.Expiry(i); out.Wanted != nil && !until.IsZero() {
		out.Until = &until
	}
	if i.Last != nil {
		failed, again := i.Failed, i.Next
		out.Failed, out.Again = &failed, &again
	}
	return out
}
