package acme

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/albion-lb/albion"
)

// Config says which CA to ask and how. Directory is required.
type Config struct {
	Directory string        // URL of the CA's directory
	Roots     string        // PEM of the authorities that vouch for the CA's server; "": the system's
	Solver    Solver        // presents what our own listeners do not answer; nil: they answer all
	Chain     string        // common name of the issuer whose chain is preferred; "": the CA's choice
	Poll      time.Duration // between questions, when the CA does not say; 0: 2 s
	Timeout   time.Duration // of one question; 0: 30 s
	Now       func() time.Time
	UserAgent string
}

// Client asks one CA. It is meant for one attempt: what it has learnt of the CA,
// such as that it wants to be left alone, it keeps for as long as it lives.
type Client struct {
	cfg       Config
	ca        *acme.Client
	transport *transport
}

// New makes a Client. It asks nothing yet.
func New(c Config) (*Client, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Poll, c.Timeout = cmp.Or(c.Poll, 2*time.Second), cmp.Or(c.Timeout, requestTimeout)
	t, err := newTransport(c)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: c, transport: t, ca: &acme.Client{
		Directory: c.Directory, HTTPClient: t.httpClient(), UserAgent: c.UserAgent,
		PollInterval: c.Poll, PollTimeout: 10 * time.Minute, // some CAs take minutes to sign
	}}, nil
}

// Close lets go of the connections to the CA.
func (c *Client) Close() {
	if t, ok := c.transport.base.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// About is what a CA says of itself.
type About struct {
	Terms           string   // URL of the terms of service, or ""
	Profiles        []string // sorted
	RenewalInfo     bool     // RFC 9773
	AccountRequired bool     // an account is made elsewhere first (external account binding)
}

// About asks the CA for its directory (RFC 8555 §7.1.1).
func (c *Client) About(ctx context.Context) (About, error) {
	d, err := c.ca.GetDirectory(ctx)
	if err != nil {
		return About{}, c.explain(err, situation{doing: "asking for the CA's directory"})
	}
	about := About{RenewalInfo: d.RenewalInfo != ""}
	if d.Meta != nil {
		about.Terms, about.AccountRequired = d.Meta.TermsOfService, d.Meta.ExternalAccountRequired
		about.Profiles = sortedKeys(d.Meta.Profiles)
	}
	return about, nil
}

// Binding ties an account at the CA to one that was made elsewhere (RFC 8555
// §7.3.4).
type Binding struct {
	KeyID string
	MAC   string // base64, of any alphabet
}

// Register makes the account known to the CA and returns it with its URL. Asked
// twice with the same key it returns the same account. The terms of service are
// agreed to; asking whoever has to agree is the caller's business.
func (c *Client) Register(ctx context.Context, r *albion.Registration, key crypto.Signer, binding *Binding) (*albion.Registration, error) {
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if r.Email != "" {
		account.Contact = []string{"mailto:" + r.Email}
	}
	if binding != nil {
		eab, err := binding.normal()
		if err != nil {
			return nil, err
		}
		if err := account.SetExternalAccountBinding(ctx, c.ca, eab); err != nil {
			return nil, c.explain(err, situation{doing: "binding the account"})
		}
	}
	made, err := c.ca.NewAccount(ctx, account)
	if err != nil {
		return nil, c.explain(err, situation{doing: "registering an account"})
	}
	if made.Location == "" {
		return nil, &albion.Setback{Kind: albion.SetbackRefused, Sentence: "the CA registered an account and did not say where", Advice: "tell the CA; it breaks RFC 8555 §7.3"}
	}
	out := *r
	out.URL = made.Location
	return &out, nil
}

// normal writes the key as the library wants it: CAs hand it out with or without
// padding, in both alphabets.
func (b *Binding) normal() (acme.EAB, error) {
	plain := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(b.MAC))
	if raw, err := base64.RawURLEncoding.DecodeString(plain); err != nil || len(raw) == 0 || b.KeyID == "" {
		return acme.EAB{}, &albion.Setback{Kind: albion.SetbackAccount, Sentence: "the key that binds the account is not base64, or its identifier is missing", Advice: "copy both anew from the CA's page"}
	}
	return acme.EAB{KeyID: b.KeyID, MACKey: plain}, nil
}

// CertificateID names a certificate in ARI and in replaces (RFC 9773 §4.1); "" if
// it has no such name.
func CertificateID(leaf *x509.Certificate) string {
	id, err := acme.ARIUniqueIdentifier(leaf)
	if err != nil {
		return ""
	}
	return id
}

// account is a registration in the library's form.
func account(r *albion.Registration, key crypto.Signer) acme.Account {
	return acme.Account{Status: acme.StatusValid, Location: r.URL, PrivateKey: key}
}

// String names the CA.
func (c *Client) String() string { return fmt.Sprintf("CA %s", c.cfg.Directory) }
