package config

import "github.com/albion-lb/albion"

// authority is a CA in the file's own words.
type authority struct {
	issuer, profile, keyID string
	root                   *source // of ca_root
	mac                    *secret
}

// Authority is a CA and what it wants to know.
type Authority struct {
	Issuer  string // letsencrypt, letsencrypt-staging, zerossl, google, google-staging, or the https URL of a directory
	Roots   string // PEM
	Profile string
	KeyID   string        // identifier of the account elsewhere that ours is bound to
	MAC     albion.Secret // its key; nil: none, or known already
}

// namedIssuers are the CAs that can be named.
func namedIssuers() []string {
	return []string{"letsencrypt", "letsencrypt-staging", "zerossl", "google", "google-staging"}
}

// binding reads what binds our account at a CA to one that was made elsewhere.
func (n node) binding(to *authority) {
	there := n.fields("a binding", append([]field{
		{"kid", func(n node) { to.keyID, _ = n.text("the identifier that the CA's page shows") }},
	}, secretFields("hmac", &to.mac)...))
	if there == nil {
		return
	}
	n.oneSecret("hmac", there)
	if _, ok := there["kid"]; !ok {
		n.bad("eab needs kid: the identifier that the CA's page shows")
	}
}

// fallbacks reads the CAs to be asked while the first one cannot issue.
func (n node) fallbacks() []authority {
	var all []authority
	n.oneOrMore("CAs", func(n node) {
		var a authority
		if n.isScalar() {
			a.issuer = n.publicIssuer()
		} else {
			there := n.fields("a fallback", []field{
				{"issuer", func(n node) { a.issuer = n.publicIssuer() }},
				{"profile", func(n node) { a.profile, _ = n.text("a profile of the CA") }},
				{"ca_root", func(n node) {
					if s := n.filename(); s != "" {
						a.root = &source{n.path, s}
					}
				}},
				{"eab", func(n node) { n.binding(&a) }},
			})
			if _, ok := there["issuer"]; !ok && there != nil {
				n.bad("a fallback needs issuer")
			}
		}
		all = append(all, a)
	})
	return all
}

// ask turns a CA of the file into what is requested of it; ok is false after a
// problem.
func (a *applier) ask(of authority, at places) (out Authority, ok bool) {
	out = Authority{Issuer: of.issuer, Profile: of.profile, KeyID: of.keyID}
	if of.root != nil {
		data, err := a.env.ReadFile(of.root.path)
		if err != nil {
			p := a.f.problem(at.find(of.root.key), "%s", err)
			p.Err = err
			a.found = append(a.found, p)
			return out, false
		}
		out.Roots = string(data)
	}
	out.MAC, ok = a.reveal(of.mac, true, at) // whoever keeps it says when it is missing
	return out, ok
}

// files lists what is read of other files.
func (of *authority) files() []string {
	var all []string
	if of.root != nil {
		all = append(all, of.root.path)
	}
	if of.mac != nil && of.mac.file != "" {
		all = append(all, of.mac.file)
	}
	return all
}
