package acm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"time"

	"github.com/albion-lb/albion"
)

// Adoption is a certificate that another ACME client has looked after until now,
// and that is renewed here from now on.
type Adoption struct {
	Name      string
	Bundle    *Bundle
	Directory string // URL of the CA's directory, https
	Roots     string // PEM; as in CARequest
	Challenge string // as albion.ParseMethod reads it; names of files are absolute
	Profile   string
	Account   *AdoptedAccount // with which it was issued; nil: not known
	Now       time.Time
	ID        [16]byte // random; of the ARN, should the name be new
}

// AdoptedAccount is an account at a CA that another client made.
type AdoptedAccount struct {
	Directory string // URL, https
	Email     string // or ""
	URL       string // of the account; "": the CA finds it by its key
	Key       crypto.Signer
}

// Adopted is what became of an Adoption.
type Adopted struct {
	Certificate *albion.Certificate
	Kept        bool // what is here is as new, or newer, and stays as it is
	Exempt      bool // the first renewal is by the account that issued it, and says what it replaces (RFC 9773 §5)
}

// Adopt makes a certificate be one that a CA renews for us, with the contents and
// the account that it had elsewhere. A name that exists keeps its ARN. Contents
// that are here already, or older ones, change nothing, so that Adopt can be
// repeated.
func Adopt(d *albion.Draft, in Adoption) (Adopted, error) {
	if old, ok := byName(&d.State, in.Name); ok && old.Issuer == albion.ACME && !old.Pending && !old.NotBefore.Before(in.Bundle.Leaf.NotBefore) {
		return Adopted{Certificate: old, Kept: true}, nil
	}
	want := CARequest{
		Name: in.Name, Domains: in.Bundle.Domains, Issuer: in.Directory, Roots: in.Roots,
		Challenge: in.Challenge, KeyType: keyTypeOf(in.Bundle.Key), Profile: in.Profile, Now: in.Now,
	}
	if in.Account != nil {
		want.Email = in.Account.Email
	}
	if _, err := want.request(); err != nil { // before anything is changed
		return Adopted{}, err
	}
	if _, err := Put(d, Import{Name: in.Name, Bundle: in.Bundle, Now: in.Now, ID: in.ID}); err != nil {
		return Adopted{}, err
	}
	mine, err := adoptAccount(d, in.Account, in.Now)
	if err != nil {
		return Adopted{}, err
	}
	cert, _, err := Request(d, want)
	if err != nil {
		return Adopted{}, err
	}
	i := &albion.Issuance{Certificate: cert.ARN, Directory: cert.Request.Directory}
	if mine {
		i.Account = registrationID(cert.Request)
	}
	albion.Put(d, i)
	return Adopted{Certificate: cert, Exempt: mine && replaces(cert, i, cert.Request) != ""}, nil
}

func keyTypeOf(key crypto.Signer) string {
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		return string(albion.KeyECDSA)
	}
	return string(albion.KeyRSA)
}

// adoptAccount keeps an account, unless we have another one at that CA with that
// address: what we have issued belongs to it. mine says whether the account is
// the one that we use there.
func adoptAccount(d *albion.Draft, in *AdoptedAccount, now time.Time) (mine bool, err error) {
	if in == nil {
		return false, nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(in.Key)
	if err != nil {
		return false, errors.New("acm: the key of the account cannot be kept")
	}
	account := &albion.Registration{
		ID:        registrationID(&albion.Request{Directory: in.Directory, Email: in.Email}),
		Directory: in.Directory, Email: in.Email, URL: in.URL, Created: now,
	}
	if old, ok := d.Registrations.Get(account.ID); ok {
		key, ok := d.Keys.Get(old.KeyName())
		if ok && bytes.Equal(key.Secret, der) {
			return true, nil
		}
		if needed(&d.State, old.ID) {
			return false, nil
		}
	}
	albion.Put(d, account)
	albion.Put(d, &albion.Key{Name: account.KeyName(), Secret: der})
	return true, nil
}

// needed says whether certificates were issued, or are being ordered, with an
// account.
func needed(s *albion.State, account string) bool {
	for i := range s.Issuances.All() {
		if i.Account == account || i.Order != nil && i.Order.Account == account {
			return true
		}
	}
	return false
}
