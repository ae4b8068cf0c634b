package albion

import "strings"

const (
	maxSecret = 64 << 10
	maxChain  = 2 << 20 // ACM's bound of an imported chain
)

func (c *checker) checkKeys(keys []*Key) {
	for _, k := range keys {
		s := c.at(k)
		if len(k.Secret) == 0 {
			s.wrong(CodeValidation, "Secret", "the key is empty")
		}
		if len(k.Secret) > maxSecret {
			s.wrong(CodeValidation, "Secret", "the key is longer than %d bytes", maxSecret)
		}
	}
}

func (c *checker) checkAuthorities(authorities []*Authority) {
	for _, a := range authorities {
		s := c.at(a)
		s.certificateName(a.Name)
		s.chain(a.Chain)
		if _, ok := c.state.Keys.Get(a.KeyName()); !ok {
			s.wrong(CodeValidation, "Name", "its key %q is missing", a.KeyName())
		}
	}
}

func (c *checker) checkCertificates(certificates []*Certificate) {
	names := make(map[string]*Certificate, len(certificates))
	for _, cert := range certificates {
		s := c.at(cert)
		s.certificateName(cert.Name)
		unique(s, names, cert.Name, CodeValidation)
		s.chain(cert.Chain)
		oneOf(s, "Issuer", cert.Issuer, Imported, Local, ACME)
		s.request(cert)
		if cert.NotAfter.Before(cert.NotBefore) {
			s.wrong(CodeValidation, "NotAfter", "it ends before it begins")
		}
		if _, ok := c.state.Keys.Get(string(cert.ARN)); !ok {
			s.wrong(CodeValidation, "ARN", "its private key is missing; import certificate and key together")
		}
	}
}

// certificateName checks a name that may also become a folder's: what domain
// names hold, and a little more.
func (s subject) certificateName(name string) {
	if !NameFits(name) {
		s.wrong(CodeValidation, "Name", "a name is 1 to 255 letters, digits and -_.*+@: and does not begin with a dot")
	}
}

// NameFits says whether a certificate or a hook can be called that: 1 to 255
// letters, digits and -_.*+@: of which the first is no dot.
func NameFits(name string) bool {
	const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.*+@:"
	strange := strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(signs, r) })
	return !strange && name != "" && len(name) <= 255 && name[0] != '.'
}

// chain checks that a chain is certificates and nothing else. The keys are kept
// apart and sealed; one that slipped in here would be stored and shown in the
// clear.
func (s subject) chain(chain string) {
	if len(chain) > maxChain {
		s.wrong(CodeValidation, "Chain", "the chain is longer than %d bytes", maxChain)
		return
	}
	blocks := 0
	// One byte at a time is much faster to look for than a string, and base64
	// holds no hyphens; a State may have ten thousand chains.
	for rest := chain; ; {
		i := strings.IndexByte(rest, '-')
		if i < 0 {
			break
		}
		behind := strings.TrimLeft(rest[i:], "-")
		hyphens := len(rest) - i - len(behind)
		rest = behind
		label, begins := strings.CutPrefix(behind, "BEGIN ")
		if !begins || hyphens < 5 {
			continue
		}
		if !strings.HasPrefix(label, "CERTIFICATE-----") {
			s.wrong(CodeValidation, "Chain", "the chain holds something else than certificates; import the private key apart from it")
			return
		}
		blocks++
	}
	if blocks == 0 {
		s.wrong(CodeValidation, "Chain", "the chain holds no certificate in PEM form")
	}
}

func (c *checker) checkSecurityGroups(groups []*SecurityGroup) {
	names := make(map[string]*SecurityGroup, len(groups))
	for _, g := range groups {
		s := c.at(g)
		if g.Name == "" || len(g.Name) > 255 || !visible(strings.ReplaceAll(g.Name, " ", "_")) {
			s.wrong(CodeValidation, "Name", "a name is 1 to 255 ASCII characters without controls")
		}
		unique(s, names, g.Name, CodeDuplicateSecurityGroup)
		sources := 0
		for i := range g.Ingress {
			s.permission(index("Ingress", i), &g.Ingress[i])
			sources += len(g.Ingress[i].Sources)
		}
		if sources > MaxSourcesPerSecurityGroup {
			s.wrong(CodeValidation, "Ingress", "it lists %d sources; %d are allowed, so join neighbouring networks", sources, MaxSourcesPerSecurityGroup)
		}
	}
}

func (s subject) permission(field string, p *Permission) {
	if p.FromPort > p.ToPort {
		s.wrong(CodeValidation, field+".ToPort", "ports %d to %d are the wrong way round", p.FromPort, p.ToPort)
	}
	if len(p.Sources) == 0 {
		s.wrong(CodeValidation, field+".Sources", "a permission without sources lets nobody in; use 0.0.0.0/0 and ::/0 for everybody")
	}
	for i, source := range p.Sources {
		switch {
		case !source.IsValid():
			s.wrong(CodeValidation, index(field+".Sources", i), "that is no network; write it as 192.0.2.0/24 or 2001:db8::/32")
		case source.Addr().Is4In6():
			s.wrong(CodeValidation, index(field+".Sources", i), "%s is an IPv4 network in IPv6 dress; write it as IPv4", source)
		}
	}
}
