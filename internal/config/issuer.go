package config

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/albion-lb/albion"
)

// request is what a file says about a certificate that a CA issues, in the
// file's own words.
type request struct {
	authority                 // the preferred CA
	email, challenge, keyType string
	fallbacks                 []authority
}

// Requested is a certificate that a CA is to issue.
type Requested struct {
	Name    string
	Domains []string
	Authority
	Email     string
	Challenge string      // as albion.ParseMethod reads it
	Zones     []string    // hosted zones that the file declares, without a dot at the end
	KeyType   string      // ecdsa or rsa
	Fallbacks []Authority // asked while the CA cannot issue, in this order
}

// requestFields are the keys that belong to domains, apart from domains itself.
func (c *certificate) requestFields() []field {
	text := func(to *string, expected string) func(node) {
		return func(n node) { *to, _ = n.text(expected) }
	}
	return []field{
		{"issuer", func(n node) { c.request.issuer = n.issuer() }},
		{"email", text(&c.request.email, "an e-mail address")},
		{"challenge", func(n node) { c.request.challenge = n.method() }},
		{"key_type", func(n node) { c.request.keyType = n.word(string(albion.KeyECDSA), string(albion.KeyRSA)) }},
		{"profile", text(&c.request.profile, "a profile of the CA")},
		{"ca_root", func(n node) {
			if s := n.filename(); s != "" {
				c.request.root = &source{n.path, s}
			}
		}},
		{"eab", func(n node) { n.binding(&c.request.authority) }},
		{"fallback", func(n node) { c.request.fallbacks = n.fallbacks() }},
	}
}

// method reads how names are proved. What it needs a file for is relative to the
// file's folder, as every name of a file is.
func (n node) method() string {
	s, ok := n.text("auto, " + orList(albion.Methods()))
	if !ok {
		return ""
	}
	m, argument, err := albion.ParseMethod(s)
	if err != nil {
		n.bad("%s: %s", n.key, err)
		return ""
	}
	if m.TakesFile() && !filepath.IsAbs(argument) {
		argument = filepath.Join(n.r.file.dir, argument)
	}
	r := albion.Request{Method: m, Argument: argument}
	return r.Way()
}

// issuer reads who issues: the local authority, a CA by name or by address.
func (n node) issuer() string {
	if s, ok := n.scalar(); ok && strings.HasPrefix(s, "https://") {
		return s
	}
	if s, ok := n.scalar(); ok && strings.Contains(s, "://") {
		n.bad("issuer: %s is not an https address", quote(s))
		return ""
	}
	return n.word(append([]string{string(albion.Local)}, namedIssuers()...)...)
}

// publicIssuer is issuer without the local authority, which clients do not know.
func (n node) publicIssuer() string {
	s := n.issuer()
	if s == string(albion.Local) {
		n.bad("%s: the local CA is no fallback: clients do not know it", n.key)
	}
	return s
}

// requests says whether a CA is asked, and not the local authority.
func (c *certificate) requests() bool {
	return c.request.issuer != "" && c.request.issuer != string(albion.Local)
}

// checkRequest refuses what only a CA could be told.
func (c *certificate) checkRequest(there map[string]node) {
	if c.requests() {
		return
	}
	for _, key := range []string{"email", "challenge", "key_type", "profile", "ca_root", "eab", "fallback"} {
		if part, ok := there[key]; ok {
			part.at = part.keyAt
			part.bad("%s is for a CA, and the issuer is local: add issuer: letsencrypt, or leave %s out", key, key)
		}
	}
}

// requested asks a CA for a certificate.
func (a *applier) requested(c certificate) error {
	want := Requested{
		Name: c.name, Domains: c.domains, Email: c.request.email, Challenge: c.request.challenge, Zones: a.zoneNames(), KeyType: c.request.keyType,
	}
	var ok bool
	if want.Authority, ok = a.ask(c.request.authority, c.at); !ok {
		return nil
	}
	for _, fallback := range c.request.fallbacks {
		other, ok := a.ask(fallback, c.at)
		if !ok {
			return nil
		}
		want.Fallbacks = append(want.Fallbacks, other)
	}
	err := a.env.Request(a.d, want)
	if s := a.unset(c.request, err); s != nil {
		a.bad(c.at.find(s.key), "the variable %s is not set in the environment of the server", s.variable)
		return nil
	}
	return err
}

// unset is the secret that a request lacks because its variable is not set; nil
// when that is not what is wrong. The error names the identifier.
func (a *applier) unset(r request, err error) *secret {
	var wrong *albion.Error
	if !errors.As(err, &wrong) || wrong.Field != "ExternalAccountBinding" {
		return nil
	}
	for _, of := range append([]authority{r.authority}, r.fallbacks...) {
		if of.mac == nil || of.mac.variable == "" || of.keyID != wrong.ID {
			continue
		}
		if a.env.Getenv == nil || strings.TrimSpace(a.env.Getenv(of.mac.variable)) == "" {
			return of.mac
		}
	}
	return nil
}

// zoneNames lists the hosted zones of the file, which are made after its
// certificates: names may be proved through them.
func (a *applier) zoneNames() []string {
	var all []string
	for _, z := range a.f.hostedZones {
		all = append(all, strings.TrimSuffix(z.want.Name, "."))
	}
	return all
}
