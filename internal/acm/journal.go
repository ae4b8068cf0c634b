package acm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// What follows changes a Draft: each is one entry of the journal that lets an
// order go on after a kill at any moment.

// errSuperseded: somebody has changed what is wanted while it was obtained.
var errSuperseded = errors.New("acm: the request has changed meanwhile")

// registrationID names our account at a CA: one for each directory, address and
// account elsewhere that it is bound to.
func registrationID(r *albion.Request) string {
	text := r.Directory + "\x00" + r.Email
	if r.Binding != "" {
		text += "\x00" + r.Binding
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// begin journals that an order begins: the account's key, the certificate's key.
// With an order under way it changes nothing; one that the CA may not know counts
// as begun once more, so that who dies there again and again does not order
// without end.
func begin(d *albion.Draft, arn albion.ARN, now time.Time, rand io.Reader) error {
	c, ok := d.Certificates.Get(string(arn))
	if !ok || c.Request == nil {
		return errSuperseded
	}
	i := issuance(d, arn)
	if i.Order != nil {
		if i.Order.Step == albion.StepBegun {
			i.Begun = append(since(i.Begun, now.Add(-time.Hour)), now)
			albion.Put(d, i)
		}
		return nil
	}
	n, _ := turn(&d.State, c, i, now)
	request := c.Request.At(c.Request.CAs()[n])
	id := registrationID(request)
	if err := ensureRegistration(d, id, request, now, rand); err != nil {
		return err
	}
	key, err := newKey(c.Request.KeyType, rand)
	if err != nil {
		return err
	}
	i.Order = &albion.Order{Account: id, Step: albion.StepBegun, Replaces: replaces(c, i, request)}
	i.Begun = append(since(i.Begun, now.Add(-time.Hour)), now)
	i.Steps = nil
	albion.Put(d, i)
	return putKey(d, albion.OrderKeyName(arn), key)
}

// replaces names the contents that a renewal takes the place of, if the same
// account of the same CA issued them: to another it means nothing.
func replaces(c *albion.Certificate, i *albion.Issuance, r *albion.Request) string {
	if c.Pending || i.Directory != r.Directory || i.Account != registrationID(r) {
		return ""
	}
	leaf, err := parseFirst(c.Chain)
	if err != nil {
		return ""
	}
	return acme.CertificateID(leaf)
}

func ensureRegistration(d *albion.Draft, id string, r *albion.Request, now time.Time, rand io.Reader) error {
	if _, ok := d.Registrations.Get(id); ok {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return fmt.Errorf("acm: make an account's key: %w", err)
	}
	account := &albion.Registration{ID: id, Directory: r.Directory, Email: r.Email, Binding: r.Binding, Created: now}
	albion.Put(d, account)
	return putKey(d, account.KeyName(), key)
}

// issuance returns a copy of what is journalled of a certificate, to be changed.
func issuance(d *albion.Draft, arn albion.ARN) *albion.Issuance {
	if old, ok := d.Issuances.Get(string(arn)); ok {
		i := *old
		i.Begun, i.Issued, i.Steps = slices.Clone(i.Begun), slices.Clone(i.Issued), slices.Clone(i.Steps)
		return &i
	}
	return &albion.Issuance{Certificate: arn}
}

// record journals a step of an order.
func record(d *albion.Draft, arn albion.ARN, before, after *albion.Order, said string) error {
	old, ok := d.Issuances.Get(string(arn))
	if !ok || old.Order == nil || old.Order.URL != before.URL || old.Order.Step != before.Step {
		return errSuperseded
	}
	i := issuance(d, arn)
	i.Order = after
	i.Steps = say(i.Steps, said)
	albion.Put(d, i)
	return nil
}

// say adds a sentence to what was done, and keeps the list short.
func say(steps []string, sentence string) []string {
	const most = 32
	if sentence != "" {
		steps = append(steps, sentence)
	}
	if len(steps) > most {
		steps = steps[len(steps)-most:]
	}
	return steps
}

// install gives the certificate what was issued, under the same ARN, and closes
// the journal.
func install(d *albion.Draft, arn albion.ARN, now time.Time) error {
	old, ok := d.Certificates.Get(string(arn))
	i := issuance(d, arn)
	if !ok || old.Request == nil || i.Order == nil || i.Order.Step != albion.StepDownloaded {
		return errSuperseded
	}
	from, ok := asked(old, i)
	if !ok {
		return errSuperseded
	}
	key, ok := d.Keys.Get(albion.OrderKeyName(arn))
	if !ok {
		return fmt.Errorf("acm: the key of the order for %s is missing", arn)
	}
	if err := early(i.Order.Chain, now); err != nil {
		return err
	}
	bundle, err := Read(now,
		Source{Name: "the CA's answer", PEM: []byte(i.Order.Chain)},
		Source{Name: "our key", PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key.Secret})})
	if err != nil {
		return unusable(err.Error())
	}
	if !old.Request.Covers(bundle.Domains) {
		return unusable("it is for " + strings.Join(bundle.Domains, ", "))
	}
	kind := albion.EventRenewed
	if old.Pending || i.Directory == "" {
		kind = albion.EventIssued
	}
	cert := *old
	cert.Pending = false
	if err := fill(d, &cert, bundle, now); err != nil {
		return err
	}
	i.Directory, i.Account, i.Window = from.Directory, i.Order.Account, albion.Window{}
	i.Turn, i.Failures, i.Last, i.Failed, i.Next, i.Reported = 0, 0, nil, time.Time{}, time.Time{}, time.Time{}
	i.Issued = append(since(i.Issued, now.Add(-7*day)), now)
	i.Steps = say(i.Steps, "the certificate is in place, valid until "+date(cert.NotAfter))
	albion.Put(d, i)
	albion.EndOrder(d, arn)
	announce(d, kind, &cert, albion.Notice{At: now, CA: from.Host()})
	return nil
}

// unusable is what the CA issued and nobody could serve.
func unusable(words string) error {
	return &albion.Setback{Kind: albion.SetbackRefused, Sentence: "what the CA issued cannot be served", Advice: "check this machine's clock; it is tried again by itself", Words: printable(words)}
}

// fail journals that an attempt failed and when the next one may begin.
func fail(d *albion.Draft, arn albion.ARN, s *albion.Setback, now time.Time) error {
	c, ok := d.Certificates.Get(string(arn))
	if !ok || c.Request == nil {
		return errSuperseded
	}
	i := issuance(d, arn)
	asking, ok := asked(c, i)
	if !ok {
		asking = c.Request
	}
	account := registrationID(asking)
	i.Failures++
	i.Last, i.Failed = s, now
	wait := pause(i.Failures, c.NotAfter.Sub(c.NotBefore))
	wait += time.Duration(chance(string(arn), now.String()) * float64(wait) / 10)
	i.Next = latest(now.Add(wait), s.Until)
	var over bool // to another CA
	if i.Turn, over = pass(c, i, s, now); over {
		i.Next, i.Begun = now, nil // the budget is each CA's
	}
	i.Steps = say(i.Steps, s.Sentence)
	dropped := over // the order has ended with it
	switch s.Kind {
	case albion.SetbackUnavailable:
		// The CA as a whole wants to be left alone, not this certificate only. Limits
		// are of a name or a set of names, so that other certificates may go on.
		postpone(d, account, s.Until)
	case albion.SetbackLimited, albion.SetbackClock, albion.SetbackHere:
	case albion.SetbackAccount:
		forget(d, account)
		dropped = true
	default:
		dropped = true
	}
	if !over {
		report(d, c, i, asking, now)
	}
	albion.Put(d, i)
	if dropped {
		albion.EndOrder(d, arn)
	}
	return nil
}

// postpone keeps everybody from asking a CA for a while.
func postpone(d *albion.Draft, id string, until time.Time) {
	if old, ok := d.Registrations.Get(id); ok && until.After(old.Blocked) {
		account := *old
		account.Blocked = until
		albion.Put(d, &account)
	}
}

// forget makes the account be registered again, with the same key.
func forget(d *albion.Draft, id string) {
	if old, ok := d.Registrations.Get(id); ok {
		account := *old
		account.URL = ""
		albion.Put(d, &account)
	}
}

// look journals when the CA wants a certificate to be renewed; the zero Window
// when it did not say.
func look(d *albion.Draft, arn albion.ARN, w albion.Window, now time.Time) error {
	c, ok := d.Certificates.Get(string(arn))
	if !ok || c.Request == nil {
		return errSuperseded
	}
	i := issuance(d, arn)
	switch {
	case !w.Start.IsZero():
		w.Chosen = choose(c, w)
		i.Window = w
	case w.Check.IsZero():
		i.Window.Check = now.Add(usualLookAt) // what it said before still holds
	default:
		i.Window = albion.Window{Check: w.Check}
	}
	albion.Put(d, i)
	return nil
}

func newKey(kind albion.KeyType, rand io.Reader) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	if kind == albion.KeyRSA {
		key, err = rsa.GenerateKey(rand, minRSABits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand)
	}
	if err != nil {
		return nil, fmt.Errorf("acm: make a key: %w", err)
	}
	return key, nil
}

func putKey(d *albion.Draft, name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return errors.New("acm: a key cannot be kept")
	}
	albion.Put(d, &albion.Key{Name: name, Secret: der})
	return nil
}
