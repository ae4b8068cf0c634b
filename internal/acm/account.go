package acm

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// register makes an account known to its CA, bound to the one elsewhere that it
// belongs to.
func register(ctx context.Context, client *acme.Client, s *albion.State, account *albion.Registration, key crypto.Signer, now time.Time) (*albion.Registration, error) {
	var binding *acme.Binding
	if account.Binding != "" {
		mac, ok := s.Keys.Get(account.BindingKeyName())
		if !ok {
			return nil, &albion.Setback{
				Kind: albion.SetbackAccount, Sentence: fmt.Sprintf("the key that binds the account to %q is missing", printable(account.Binding)),
				Advice: "request the certificate again with --eab-kid and --eab-hmac",
			}
		}
		binding = &acme.Binding{KeyID: account.Binding, MAC: string(mac.Secret)}
	}
	made, err := client.Register(ctx, account, key, binding)
	if err != nil {
		return nil, unbound(account, err)
	}
	if binding != nil && made.Bound.IsZero() {
		made.Bound = now
	}
	return made, nil
}

// unbound says what to do when a CA does not take the key that an account is to
// be bound with. Some take each key once: with the account, it is lost.
func unbound(account *albion.Registration, err error) error {
	var s *albion.Setback
	if account.Binding == "" || !errors.As(err, &s) || s.Kind != albion.SetbackAccount && s.Kind != albion.SetbackRefused && s.Kind != albion.SetbackName {
		return err
	}
	page := "at the CA's page"
	if ca, ok := namedCA(account.Directory); ok && ca.keys != "" {
		page = "at " + ca.keys
	}
	out := *s
	out.Kind = albion.SetbackAccount
	again := "and request the certificate again with --eab-kid and --eab-hmac (eab in a file)"
	switch {
	case account.Bound.IsZero():
		out.Sentence = fmt.Sprintf("the CA does not accept the key %q that the account is to be bound with", printable(account.Binding))
		out.Advice = "check both parts, or get new ones " + page + ", " + again
	default:
		out.Sentence = fmt.Sprintf("the CA has lost our account, and the key %q that bound it is used up", printable(account.Binding))
		out.Advice = "nothing is renewed until somebody acts: get a new identifier and key " + page + ", " + again
	}
	return &out
}
