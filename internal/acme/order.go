package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/albion-lb/albion"
)

// Task is an order with what it needs.
type Task struct {
	Registration *albion.Registration
	AccountKey   crypto.Signer
	Request      *albion.Request
	Key          crypto.Signer // of the certificate
	Order        *albion.Order
}

func (t *Task) account() acme.Account { return account(t.Registration, t.AccountKey) }

// Advance takes the step that follows t.Order.Step and returns the order as it is
// then, which must be kept before the next step. t.Order itself is not changed.
// Any step can be taken again. Errors are *albion.Setback, or what ended ctx.
func (c *Client) Advance(ctx context.Context, t Task) (*albion.Order, error) {
	next := *t.Order
	next.Authorizations, next.Answers = slices.Clone(next.Authorizations), slices.Clone(next.Answers)
	t.Order = &next
	if !next.Expires.IsZero() && c.cfg.Now().After(next.Expires) && next.Step != albion.StepIssued {
		return nil, gone("the order has expired")
	}
	step := map[albion.Step]func(context.Context, Task) error{
		albion.StepBegun: c.order, albion.StepOrdered: c.choose, albion.StepChosen: c.ask,
		albion.StepAsked: c.validate, albion.StepValidated: c.finalize, albion.StepIssued: c.download,
	}[next.Step]
	if step == nil {
		return nil, fmt.Errorf("acme: nothing follows the step %q", next.Step)
	}
	if err := step(ctx, t); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return t.Order, nil
}

func gone(sentence string) error {
	return &albion.Setback{Kind: albion.SetbackGone, Sentence: sentence, Advice: "a new order begins by itself"}
}

// order makes the order (RFC 8555 §7.4).
func (c *Client) order(ctx context.Context, t Task) error {
	d, err := c.ca.GetDirectory(ctx)
	if err != nil {
		return c.explain(err, situation{doing: "asking for the CA's directory"})
	}
	wanted := acme.Order{Identifiers: identifiers(t.Request.Domains)}
	if wanted.Profile, err = profile(t.Request, d.Meta); err != nil {
		return err
	}
	if d.RenewalInfo != "" {
		wanted.Replaces = t.Order.Replaces
	}
	made, err := c.ca.NewOrder(ctx, t.account(), wanted)
	if wanted.Replaces != "" && c.mayDropReplaces(err) {
		wanted.Replaces = ""
		made, err = c.ca.NewOrder(ctx, t.account(), wanted)
	}
	if err != nil {
		return c.explain(err, situation{doing: "ordering", domains: t.Request.Domains})
	}
	t.Order.Replaces = wanted.Replaces
	t.Order.URL, t.Order.Finalize, t.Order.Authorizations, t.Order.Expires = made.Location, made.Finalize, made.Authorizations, made.Expires
	t.Order.Step = albion.StepOrdered
	return nil
}

// mayDropReplaces: a CA that does not accept what an order replaces, or stumbles
// over it, would do so at every renewal for ever. What is for another reason is
// refused again.
func (c *Client) mayDropReplaces(err error) bool {
	var p acme.Problem
	return errors.As(err, &p) && p.Status >= 400 && p.Status <= 500 && c.transport.refused() == nil
}

// profile chooses what the order asks for. Let's Encrypt issues for addresses
// only in its short-lived profile.
func profile(r *albion.Request, meta *acme.DirectoryMeta) (string, error) {
	var offered []string
	if meta != nil {
		offered = sortedKeys(meta.Profiles)
	}
	if r.Profile != "" && !slices.Contains(offered, r.Profile) {
		list := "it offers none"
		if len(offered) > 0 {
			list = "it offers " + words(strings.Join(offered, ", "))
		}
		return "", &albion.Setback{Kind: albion.SetbackRefused, Sentence: "the CA has no profile " + words(r.Profile), Advice: list + ": choose one of them, or leave the profile out"}
	}
	const shortLived = "shortlived"
	if r.Profile == "" && slices.ContainsFunc(r.Domains, isAddress) && slices.Contains(offered, shortLived) {
		return shortLived, nil
	}
	// A person may need longer than the hour that Let's Encrypt's newer profiles
	// leave to prove a name; its classic one leaves seven days ([LE] "Profiles").
	const classic = "classic"
	if r.Profile == "" && r.Method == albion.MethodManual && slices.Contains(offered, classic) {
		return classic, nil
	}
	return r.Profile, nil
}

// choose looks at what each name's authorization offers (RFC 8555 §7.5).
func (c *Client) choose(ctx context.Context, t Task) error {
	t.Order.Answers = nil
	for _, url := range t.Order.Authorizations {
		authz, err := c.ca.GetAuthorization(ctx, t.account(), url)
		if err != nil {
			return c.explainOrder(err, "asking what proves the names")
		}
		switch authz.Status {
		case acme.StatusValid: // proved for an earlier order
			continue
		case acme.StatusPending:
		default:
			return gone("the CA has given up on " + words(authz.Identifier.Value))
		}
		answer, err := c.pick(t.Request, &authz)
		if err != nil {
			return err
		}
		t.Order.Answers = append(t.Order.Answers, answer)
	}
	t.Order.Step = albion.StepChosen
	return nil
}

// pick chooses the challenge that was asked for, or the first that can be
// answered.
func (c *Client) pick(r *albion.Request, authz *acme.Authorization) (albion.Answer, error) {
	able := []albion.Challenge{albion.ChallengeHTTP, albion.ChallengeALPN}
	if r.Method != albion.MethodAuto {
		able = []albion.Challenge{r.Method.Challenge()}
	}
	var offered []string
	for _, ch := range authz.Challenges {
		offered = append(offered, ch.Type)
	}
	for _, kind := range able {
		i := slices.Index(offered, string(kind))
		if i < 0 {
			continue
		}
		ch := authz.Challenges[i]
		return albion.Answer{
			Domain: authz.Identifier.Value, Challenge: kind, Authorization: authz.Location, URL: ch.URL,
			Token: ch.Token, Proof: ch.KeyAuthorization, Expires: authz.Expires,
		}, nil
	}
	name := authz.IdentifierValue()
	s := &albion.Setback{
		Kind: albion.SetbackRefused, Sentence: "the CA offers no way to prove " + words(name) + " that can be taken here",
		Advice: "choose another challenge", Words: "offered: " + words(strings.Join(offered, ", ")),
	}
	if authz.Wildcard {
		s.Advice = "a wildcard needs a DNS challenge, such as dns-delegated; or name the hosts one by one"
	}
	return albion.Answer{}, s
}

// ask tells the CA that it may look (RFC 8555 §7.5.1). A challenge that it has
// begun on already is left alone: asking twice is an error to some CAs.
func (c *Client) ask(ctx context.Context, t Task) error {
	if err := c.present(ctx, t); err != nil {
		return err
	}
	for _, a := range t.Order.Answers {
		authz, err := c.ca.GetAuthorization(ctx, t.account(), a.Authorization)
		if err != nil {
			return c.explainOrder(err, "asking how far the CA is")
		}
		i := slices.IndexFunc(authz.Challenges, func(ch acme.Challenge) bool { return ch.URL == a.URL })
		if authz.Status != acme.StatusPending || i < 0 || authz.Challenges[i].Status != acme.StatusPending {
			continue // validate says what became of it
		}
		if _, err := c.ca.InitiateChallenge(ctx, t.account(), acme.Challenge{URL: a.URL}); err != nil && !conflict(err) {
			return c.explainOrder(err, "telling the CA that it may look")
		}
	}
	t.Order.Step = albion.StepAsked
	return nil
}

// present makes what proves the names be where the CA looks.
func (c *Client) present(ctx context.Context, t Task) error {
	if c.cfg.Solver == nil || len(t.Order.Answers) == 0 {
		return nil
	}
	err := c.cfg.Solver.Present(ctx, presentations(t.Order.Answers))
	if err == nil {
		return nil
	}
	var s *albion.Setback
	if errors.As(err, &s) {
		ours := *s
		ours.Ours = true
		return &ours
	}
	return &albion.Setback{
		Ours: true, Kind: albion.SetbackName, Sentence: "what proves " + words(strings.Join(t.Request.Domains, ", ")) + " could not be presented by " + words(t.Request.Way()),
		Advice: "it is tried again by itself", Words: words(err.Error()),
	}
}

// conflict: the challenge is being looked at already.
func conflict(err error) bool {
	var p acme.Problem
	return errors.As(err, &p) && p.Status == 409
}

// validate waits for the CA's judgement of every name.
func (c *Client) validate(ctx context.Context, t Task) error {
	var refused []*albion.Setback // by name; one is enough to end the order, and all are of interest
	var names []string
	for _, a := range t.Order.Answers {
		for {
			authz, err := c.ca.GetAuthorization(ctx, t.account(), a.Authorization)
			if err != nil {
				return c.explainOrder(err, "asking how far the CA is")
			}
			if authz.Status == acme.StatusValid {
				break
			}
			if authz.Status != acme.StatusPending {
				why, err := c.unproved(&authz, a)
				if err != nil {
					return err
				}
				refused, names = append(refused, why), append(names, a.Domain)
				break
			}
			if err := c.rest(ctx); err != nil {
				return err
			}
		}
	}
	if len(refused) > 0 {
		return blame(refused, names, t.Request.Domains)
	}
	t.Order.Step = albion.StepValidated
	return nil
}

// unproved is what the CA says about a name that it does not accept.
func (c *Client) unproved(authz *acme.Authorization, a albion.Answer) (*albion.Setback, error) {
	err := gone("the proof of " + words(a.Domain) + " is " + words(authz.Status))
	for _, ch := range authz.Challenges {
		if ch.Error != nil {
			err = c.explain(*ch.Error, situation{doing: "proving a name", domains: []string{a.Domain}, challenge: a.Challenge})
			break
		}
	}
	var s *albion.Setback
	if !errors.As(err, &s) || s.Kind != albion.SetbackName && s.Kind != albion.SetbackRefused {
		return nil, err
	}
	return s, nil
}

// rest waits for as long as the CA asks.
func (c *Client) rest(ctx context.Context) error {
	timer := time.NewTimer(c.transport.pause(c.cfg.Poll))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finalize sends the signing request, unless the CA has it already, and waits for
// the certificate (RFC 8555 §7.4).
func (c *Client) finalize(ctx context.Context, t Task) error {
	order, err := c.current(ctx, t)
	if err != nil {
		return err
	}
	for order.Status == acme.StatusPending || order.Status == acme.StatusProcessing {
		if err := c.rest(ctx); err != nil {
			return err
		}
		if order, err = c.current(ctx, t); err != nil {
			return err
		}
	}
	if order.Status == acme.StatusReady {
		csr, err := signingRequest(t.Key, t.Request.Domains)
		if err != nil {
			return err
		}
		if order, err = c.ca.FinalizeOrder(ctx, t.account(), order, csr); err != nil {
			return c.explainOrder(err, "asking the CA to sign")
		}
	}
	if order.Status != acme.StatusValid || order.Certificate == "" {
		if order.Error != nil {
			return c.explain(*order.Error, situation{doing: "asking the CA to sign", domains: t.Request.Domains})
		}
		return gone("the order is " + words(order.Status))
	}
	t.Order.Certificate, t.Order.Step = order.Certificate, albion.StepIssued
	return nil
}

// current is the order as the CA sees it.
func (c *Client) current(ctx context.Context, t Task) (acme.Order, error) {
	order, err := c.ca.GetOrder(ctx, t.account(), acme.Order{Location: t.Order.URL, Finalize: t.Order.Finalize})
	if err != nil {
		return order, c.explainOrder(err, "asking how far the order is")
	}
	order.Location = t.Order.URL
	return order, nil
}

// signingRequest is a CSR without a common name: it is optional everywhere and
// forbidden for addresses.
func signingRequest(key crypto.Signer, domains []string) ([]byte, error) {
	template := &x509.CertificateRequest{}
	for _, domain := range domains {
		if ip := net.ParseIP(domain); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, domain)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("acme: make a signing request: %w", err)
	}
	return der, nil
}

// download fetches the chain (RFC 8555 §7.4.2).
func (c *Client) download(ctx context.Context, t Task) error {
	chains, err := c.ca.GetCertificateChain(ctx, t.account(), t.Order.Certificate)
	if err != nil {
		return c.explainOrder(err, "fetching the certificate")
	}
	t.Order.Chain = string(prefer(chains, c.cfg.Chain))
	t.Order.Step = albion.StepDownloaded
	return nil
}

// prefer returns the chain that leads to an issuer with this common name, or the
// first.
func prefer(chains []acme.Certificate, issuer string) []byte {
	for _, chain := range chains {
		for rest := chain.ChainPEM; issuer != ""; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			if cert, err := x509.ParseCertificate(b.Bytes); err == nil && cert.Issuer.CommonName == issuer {
				return chain.ChainPEM
			}
		}
	}
	return chains[0].ChainPEM
}

// GiveBack returns the names of an order that are not proved yet, so that they
// count against no limit. That the CA does not know them any more is as good; an
// error says that it could not be asked.
func (c *Client) GiveBack(ctx context.Context, t Task) error {
	var errs []error
	for _, a := range t.Order.Answers {
		authz, err := c.ca.GetAuthorization(ctx, t.account(), a.Authorization)
		if err == nil && authz.Status == acme.StatusPending {
			_, err = c.ca.DeactivateAuthorization(ctx, t.account(), a.Authorization)
		}
		var s *albion.Setback
		if err == nil || errors.As(c.explain(err, situation{doing: "giving back a name"}), &s) && s.Kind != albion.SetbackUnavailable && s.Kind != albion.SetbackLimited {
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// CleanUp removes what was presented for an order.
func (c *Client) CleanUp(ctx context.Context, o *albion.Order) error {
	if c.cfg.Solver == nil || len(o.Answers) == 0 {
		return nil
	}
	return c.cfg.Solver.CleanUp(ctx, presentations(o.Answers))
}

func identifiers(domains []string) []acme.Identifier {
	var all []acme.Identifier
	for _, domain := range domains {
		kind := "dns"
		if isAddress(domain) {
			kind = "ip" // RFC 8738
		}
		all = append(all, acme.Identifier{Type: kind, Value: domain})
	}
	return all
}

func isAddress(domain string) bool {
	_, err := netip.ParseAddr(domain)
	return err == nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
