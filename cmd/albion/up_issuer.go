package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/config"
)

// issuerOptions is what `up` is told about who issues the certificate.
type issuerOptions struct {
	issuer  string // "": decided by the rest
	accept  bool
	unasked bool // nothing is ordered, so nothing has to be agreed to
}

// chooseIssuer decides who issues. Let's Encrypt is asked only when somebody
// says so, or gives an address or the agreement that only a CA needs.
func (g *globals) chooseIssuer(ctx context.Context, up *config.UpOptions, o issuerOptions) error {
	files := up.Certificate != "" || up.Certbot != ""
	implied := o.issuer == "" && !files && (up.Email != "" || o.accept)
	up.CA = o.issuer
	if implied {
		up.CA = acm.LetsEncrypt
	}
	if up.CA == "" || up.CA == string(albion.Local) {
		up.CA = ""
		return onlyForCAs(up, o)
	}
	if files {
		return fmt.Errorf("--issuer %s: the certificate comes from files already: leave one of them out", o.issuer)
	}
	if _, err := acm.Directory(up.CA); err != nil {
		return fmt.Errorf("--issuer: %w", err)
	}
	var err error
	if up.Challenge, err = absoluteMethod(up.Challenge); err != nil {
		return fmt.Errorf("--challenge: %w", err)
	}
	for _, domain := range up.Domains {
		if err := provable(up.Challenge, domain); err != nil {
			return err
		}
	}
	if page := acm.KeysPage(up.CA); page != "" {
		return fmt.Errorf("--issuer %s: this CA wants its accounts bound to one made at %s, which `up` does not ask for: use `albion serve` with eab in the file, or another CA", up.CA, page)
	}
	if o.unasked {
		return nil
	}
	roots, err := readRoot(up.CARoot)
	if err != nil {
		return err
	}
	agreed, err := g.agree(ctx, up.CA, roots, o.accept)
	switch {
	case agreed:
		return nil
	case err != nil && !errors.Is(err, errNoTerminal):
		return err
	case implied:
		return fmt.Errorf("%s issues only to who agrees to its terms of service: add --accept-tos, or leave --email out for the local CA", acm.IssuerName(up.CA))
	}
	return fmt.Errorf("%s issues only to who agrees to its terms of service: add --accept-tos", up.CA)
}

// onlyForCAs refuses what only a CA could be told.
func onlyForCAs(up *config.UpOptions, o issuerOptions) error {
	for flag, given := range map[string]bool{"--email": up.Email != "", "--accept-tos": o.accept, "--challenge": up.Challenge != "", "--ca-root": up.CARoot != ""} {
		if given {
			return fmt.Errorf("%s is for a CA: add --issuer letsencrypt, or leave it out", flag)
		}
	}
	return nil
}

// narrate shows what becomes of the first certificate, until it is there.
func (g *globals) narrate(ctx context.Context, s *server, domains []string) {
	progress, wanted := progress{out: g.out}, newWantedView(g.out)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var failed time.Time
	for ; ctx.Err() == nil; pause(ctx, ticker) {
		state := s.store.State()
		cert, i := issuedFor(state, domains)
		if cert == nil {
			return
		}
		if i != nil {
			progress.show(i.Steps)
			if shown, err := s.service.Certificate(string(cert.ARN)); err == nil && shown.Issuance != nil {
				wanted.show(shown.Issuance.Wanted, shown.Issuance.Until)
			}
			if i.Last != nil && i.Failed.After(failed) {
				failed = i.Failed
				fmt.Fprintf(g.out, "  %s\n  next: %s\n", i.Last.Sentence, i.Last.Advice)
				if i.Last.Words != "" {
					fmt.Fprintln(g.out, " ", detail(i.Last))
				}
				g.diagnose(ctx, s, domains[0])
				fmt.Fprintf(g.out, "  it is tried again at %s; until then the local CA's certificate is shown\n", i.Next.Local().Format(time.TimeOnly))
			}
		}
		if !cert.Pending && s.served.wait(ctx, state.Version) == nil { // what is said must be true for the next handshake
			fmt.Fprintf(g.out, "The certificate for %s is in place, valid until %s, and renews itself.\n", strings.Join(cert.Domains, ", "), cert.NotAfter.Local().Format(time.DateOnly))
			return
		}
	}
}

// pause waits for the next look.
func pause(ctx context.Context, ticker *time.Ticker) {
	select {
	case <-ticker.C:
	case <-ctx.Done():
	}
}

// issuedFor finds the certificate of a CA for some names.
func issuedFor(s *albion.State, domains []string) (*albion.Certificate, *albion.Issuance) {
	for c := range s.Certificates.All() {
		if c.Request != nil && c.Origin == albion.OriginFile && len(c.Request.Domains) == len(domains) {
			i, _ := s.Issuances.Get(string(c.ARN))
			return c, i
		}
	}
	return nil, nil
}
