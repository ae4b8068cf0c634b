package acm

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/albion-lb/albion"
)

// The CAs that have names here.
const (
	LetsEncrypt        = "letsencrypt"
	LetsEncryptStaging = "letsencrypt-staging"
	ZeroSSL            = "zerossl"
	Google             = "google"
	GoogleStaging      = "google-staging"
)

// caName is a CA that has a name here.
type caName struct {
	name, directory string
	staging         string // name of the place where it can be tried; "": it has none
	keys            string // page where one gets the key that an account is bound with; "": it wants none
	public          bool   // its certificates count, against its limits
}

// namedCAs are from [LE] "ACME Endpoints", pki.goog "Request EAB keys" and
// zerossl.com "ACME".
func namedCAs() []caName {
	const googleKeys = "https://cloud.google.com/certificate-manager/docs/public-ca-tutorial"
	return []caName{
		{LetsEncrypt, "https://acme-v02.api.letsencrypt.org/directory", LetsEncryptStaging, "", true},
		{LetsEncryptStaging, "https://acme-staging-v02.api.letsencrypt.org/directory", "", "", false},
		{ZeroSSL, "https://acme.zerossl.com/v2/DV90", "", "https://app.zerossl.com/developer", true},
		{Google, "https://dv.acme-v02.api.pki.goog/directory", GoogleStaging, googleKeys, true},
		{GoogleStaging, "https://dv.acme-v02.test-api.pki.goog/directory", "", googleKeys, false},
	}
}

// namedCA finds a CA by its name or its directory.
func namedCA(issuer string) (caName, bool) {
	all := namedCAs()
	i := slices.IndexFunc(all, func(a caName) bool { return a.name == issuer || a.directory == issuer })
	if i < 0 {
		return caName{}, false
	}
	return all[i], true
}

// Issuers lists the CAs that have names here.
func Issuers() []string {
	var all []string
	for _, a := range namedCAs() {
		all = append(all, a.name)
	}
	return all
}

// KeysPage is where one gets what an account at a CA has to be bound with; "" for
// a CA that is not known to want that.
func KeysPage(issuer string) string {
	a, _ := namedCA(issuer)
	return a.keys
}

// Counts says whether what a CA issues counts against limits that the whole
// Internet shares.
func Counts(directory string) bool {
	a, _ := namedCA(directory)
	return a.public
}

// Directory is the address of a CA, given by its name here or as that address.
func Directory(issuer string) (string, error) {
	if a, ok := namedCA(issuer); ok {
		return a.directory, nil
	}
	if strings.HasPrefix(issuer, "https://") {
		return issuer, nil
	}
	return "", refuse("CertificateAuthority", "the CA %q is not known: expected %s, or the https address of a CA's ACME directory", printable(issuer), strings.Join(Issuers(), ", "))
}

// Staging is where a CA can be tried without its limits; the CA itself when it
// has no such place.
func Staging(issuer string) string {
	a, _ := namedCA(issuer)
	return cmp.Or(a.staging, issuer)
}

// IssuerName is the name of a directory here, or the directory.
func IssuerName(directory string) string {
	a, _ := namedCA(directory)
	return cmp.Or(a.name, directory)
}

// Choice is a CA in the words of a person, with what it wants to know.
type Choice struct {
	Issuer  string // a name, or the https URL of a directory
	Roots   string // PEM; who vouches for a private CA's server; "": the system's authorities
	Profile string
	KeyID   string        // identifier of the account elsewhere that ours is bound to (RFC 8555 §7.3.4); "": none, or the one known already
	MAC     albion.Secret // its key, base64 of any alphabet; nil: it is known already
}

// choices are the CAs of a request, the preferred one first.
func (in *CARequest) choices() []Choice {
	return append([]Choice{{in.Issuer, in.Roots, in.Profile, in.KeyID, in.MAC}}, in.Fallbacks...)
}

// ca is a choice as it is kept. Which account it is bound to follows.
func (c *Choice) ca() (albion.CA, error) {
	if c.Roots != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.Roots)) {
		return albion.CA{}, refuse("CertificateAuthority", "there is no certificate in the root of the CA: give the PEM file of the authority that vouches for its server")
	}
	directory, err := Directory(c.Issuer)
	return albion.CA{Directory: directory, Roots: c.Roots, Profile: c.Profile, Binding: c.KeyID}, err
}

// bind settles to which account elsewhere ours is bound, for each CA of a
// request, and returns the keys to be kept. What a CA wants is said here, before
// it is asked for anything.
func (in *CARequest) bind(s *albion.State, want *albion.Request) ([]*albion.Key, error) {
	var keys []*albion.Key
	all := want.CAs()
	for n, choice := range in.choices() {
		key, err := choice.bind(s, want, &all[n])
		if err != nil {
			return nil, err
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	want.Binding = all[0].Binding
	copy(want.Fallbacks, all[1:])
	return keys, nil
}

func (c *Choice) bind(s *albion.State, want *albion.Request, ca *albion.CA) (*albion.Key, error) {
	if ca.Binding == "" && len(c.MAC) > 0 {
		return nil, refuse("ExternalAccountBinding", "a key to bind the account at %s is given without its identifier: give both, as the CA's page shows them", printable(c.Issuer))
	}
	if ca.Binding == "" {
		ca.Binding = boundTo(s, want.Email, ca.Directory)
	}
	account := &albion.Registration{ID: registrationID(want.At(*ca))}
	known, there := s.Registrations.Get(account.ID)
	if ca.Binding == "" {
		if a, ok := namedCA(ca.Directory); ok && a.keys != "" && (!there || known.URL == "") {
			return nil, refuse("ExternalAccountBinding", "%s issues only to accounts that are bound to one on its web page: get an identifier and a key at %s, and give both (--eab-kid and --eab-hmac; eab in a file)", a.name, a.keys)
		}
		return nil, nil
	}
	old, kept := s.Keys.Get(account.BindingKeyName())
	if len(c.MAC) == 0 {
		if !kept && (!there || known.URL == "") {
			e := albion.Errorf(albion.CodeInvalidParameter, "the key of %q at %s is missing: give it with its identifier (--eab-hmac; eab in a file)", printable(ca.Binding), printable(c.Issuer))
			e.Kind, e.ID, e.Field = albion.KindCertificate, ca.Binding, "ExternalAccountBinding"
			return nil, e
		}
		return nil, nil
	}
	mac, err := normalMAC(c.MAC)
	if err != nil || kept && slices.Equal(old.Secret, mac) {
		return nil, err
	}
	return &albion.Key{Name: account.BindingKeyName(), Secret: mac}, nil
}

// boundTo is the account elsewhere that one of ours at this CA is bound to
// already, or "".
func boundTo(s *albion.State, email, directory string) string {
	for r := range s.Registrations.All() {
		if r.Directory == directory && r.Email == email && r.Binding != "" {
			return r.Binding
		}
	}
	return ""
}

// normalMAC writes a key as ACME has it. CAs hand it out with or without padding,
// in both alphabets.
func normalMAC(mac albion.Secret) (albion.Secret, error) {
	plain := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(string(mac)))
	if raw, err := base64.RawURLEncoding.DecodeString(plain); err != nil || len(raw) < 16 {
		return nil, refuse("ExternalAccountBinding", "the key that binds the account is not base64, or is cut off: copy it anew from the CA's page")
	}
	return albion.Secret(plain), nil
}
