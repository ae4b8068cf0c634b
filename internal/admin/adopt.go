package admin

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// AdoptRequest is what another ACME client looked after until now.
type AdoptRequest struct {
	Certificates []AdoptCertificate
	Accounts     []AdoptAccount
	Hooks        []AdoptHook
	Roots        string // PEM; who vouches for the servers of CAs that have no name here
	DryRun       bool   // say what would become of it, and change nothing
}

// AdoptCertificate is one certificate, with how it is to be renewed.
type AdoptCertificate struct {
	Name      string
	Sources   []acm.Source
	Directory string // URL of the CA's directory
	Account   string // ID among the Accounts; "": not known
	Challenge string // as albion.ParseMethod reads it; "": it is only imported
	Profile   string
}

// AdoptAccount is an account at a CA.
type AdoptAccount struct {
	ID, Directory, Email, URL string
	Key                       []byte // PKCS #8, DER
}

// AdoptHook is a command that ran after renewals.
type AdoptHook struct {
	Name         string
	Certificates []string
	Exec         []string // a program and its arguments, or
	Shell        string   // a line for the shell
}

// AdoptResult is what became of each certificate, in their order.
type AdoptResult struct {
	Certificates []Adopted
	Hooks        []string `json:",omitempty"` // names of those that tell programs of renewals from now on
	DryRun       bool
}

// The words of Adopted.Action.
const (
	ActionAdopt    = "adopt"     // it is renewed here from now on
	ActionImport   = "import"    // it is here, and nobody renews it
	ActionKeep     = "keep"      // it is here already
	ActionLeaveOut = "leave out" // it cannot be used
)

// Adopted is what became of one certificate, or would.
type Adopted struct {
	Name     string
	Action   string
	ARN      albion.ARN `json:",omitempty"`
	Domains  []string   `json:",omitempty"`
	NotAfter *time.Time `json:",omitempty"`
	Replaced bool       // a certificate of that name was here
	Exempt   bool       // the first renewal does not count against the CA's limits
	Problem  string     `json:",omitempty"` // why it was left out, or only imported
	Warnings []string   `json:",omitempty"`
}

// Adopt takes over what another client looked after: all of it in one change, or
// nothing. Certificates that cannot be used are left out and say why.
func (s *Service) Adopt(ctx context.Context, in AdoptRequest) (*AdoptResult, error) {
	accounts := map[string]*acm.AdoptedAccount{}
	for _, a := range in.Accounts {
		key, err := x509.ParsePKCS8PrivateKey(a.Key)
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, albion.Errorf(albion.CodeInvalidParameter, "the key of the account %q cannot be read", a.ID)
		}
		accounts[a.ID] = &acm.AdoptedAccount{Directory: a.Directory, Email: a.Email, URL: a.URL, Key: signer}
	}
	out := &AdoptResult{DryRun: in.DryRun}
	_, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		out.Certificates = []Adopted{}
		for _, c := range in.Certificates {
			adopted, err := s.adopt(d, c, accounts[c.Account], in.Roots)
			if err != nil {
				return err
			}
			out.Certificates = append(out.Certificates, adopted)
		}
		out.Hooks = adoptHooks(d, in.Hooks, out.Certificates, s.cfg.Now())
		if !in.DryRun {
			return nil
		}
		if _, err := d.Finish(); err != nil {
			return err
		}
		return errDryRun
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, err
	}
	return out, nil
}

// adoptHooks keeps the commands of certificates that are renewed here. A hook of
// that name which is here already stays as it is.
func adoptHooks(d *albion.Draft, hooks []AdoptHook, certificates []Adopted, now time.Time) []string {
	var names []string
	for _, h := range hooks {
		wanted := slices.DeleteFunc(slices.Clone(h.Certificates), func(name string) bool {
			return !slices.ContainsFunc(certificates, func(a Adopted) bool {
				return a.Name == name && (a.Action == ActionAdopt || a.Action == ActionKeep)
			})
		})
		if len(wanted) == 0 {
			continue
		}
		names = append(names, h.Name)
		if _, there := d.Hooks.Get(h.Name); !there {
			albion.Put(d, &albion.Hook{
				Name: h.Name, Events: []albion.EventKind{albion.EventRenewed}, Certificates: wanted,
				Exec: h.Exec, Shell: h.Shell, Created: now,
			})
		}
	}
	return names
}

// adopt takes one certificate over. Its error is none of this certificate alone.
func (s *Service) adopt(d *albion.Draft, in AdoptCertificate, account *acm.AdoptedAccount, roots string) (Adopted, error) {
	now := s.cfg.Now()
	out := Adopted{Name: in.Name, Action: ActionImport}
	bundle, problem := acm.Read(now, in.Sources...)
	if problem != nil {
		return out.leftOut(problem), nil
	}
	old, missing := find(&d.State, in.Name)
	out.Replaced = missing == nil
	out.Domains, out.NotAfter, out.Warnings = bundle.Domains, &bundle.Leaf.NotAfter, bundle.Warnings
	cert, refused := s.take(d, in, acm.Adoption{
		Name: in.Name, Bundle: bundle, Directory: in.Directory, Roots: privateOnly(in.Directory, roots), Challenge: in.Challenge,
		Profile: in.Profile, Account: account, Now: now, ID: s.id(),
	}, &out)
	if userError(refused) {
		return out.leftOut(refused), nil
	}
	if refused != nil {
		return out, refused
	}
	out.ARN = cert.ARN
	if old != nil && old.Origin == albion.OriginFile {
		out.Warnings = append(out.Warnings, "a configuration file declares this certificate: applying it again brings its own contents back, unless it says domains and issuer")
	}
	for other := range d.Certificates.All() {
		if other.ARN != cert.ARN && other.Serial == cert.Serial && other.Chain == cert.Chain {
			out.Warnings = append(out.Warnings, "the same certificate is here as "+other.Name+", too: let the listeners that show that one show "+in.Name)
		}
	}
	return out, nil
}

func (a Adopted) leftOut(why error) Adopted {
	a.Action, a.Problem = ActionLeaveOut, why.Error()
	return a
}

// take adopts or imports.
func (s *Service) take(d *albion.Draft, in AdoptCertificate, a acm.Adoption, out *Adopted) (*albion.Certificate, error) {
	if in.Challenge == "" {
		if old, err := find(&d.State, in.Name); err == nil && old.Issuer == albion.ACME && !old.NotBefore.Before(a.Bundle.Leaf.NotBefore) {
			out.Action = ActionKeep // somebody has decided since
			return old, nil
		}
		return acm.Put(d, acm.Import{Name: in.Name, Bundle: a.Bundle, Now: a.Now, ID: a.ID})
	}
	adopted, err := acm.Adopt(d, a)
	if userError(err) { // what the CA would be asked for is refused; the contents may still be good
		out.Problem = err.Error()
		return acm.Put(d, acm.Import{Name: in.Name, Bundle: a.Bundle, Now: a.Now, ID: a.ID})
	}
	if err != nil {
		return nil, err
	}
	out.Action, out.Exempt = ActionAdopt, adopted.Exempt
	if adopted.Kept {
		out.Action = ActionKeep
	}
	return adopted.Certificate, nil
}

// privateOnly: who vouches for a private CA does not for one that everybody
// knows.
func privateOnly(directory, roots string) string {
	if acm.IssuerName(directory) != directory {
		return ""
	}
	return roots
}

func (s *Service) adoptOperations(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/certificates/adopt", answer(s.Adopt))
}

// Fits says whether a request is small enough to be sent.
func (in *AdoptRequest) Fits() bool {
	encoded, err := json.Marshal(in)
	return err == nil && len(encoded) <= maxRequest
}

// Adopt takes over what another ACME client looked after.
func (c *Client) Adopt(ctx context.Context, in AdoptRequest) (*AdoptResult, error) {
	return ask[AdoptResult](ctx, c, "certificates/adopt", in)
}
