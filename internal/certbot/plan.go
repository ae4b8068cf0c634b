package certbot

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/albion-lb/albion"
)

// Plan is what becomes of a lineage here.
type Plan struct {
	Way      string // as albion.ParseMethod reads it; "": somebody has to decide
	Decision string // what, and how
	Script   *Script
	Notes    []string
}

// Script is a program that has to be there before its Way is used.
type Script struct {
	Path string
	Text []byte
}

// Plan says how Albion proves the names of a lineage. Programs that it would need
// come into the folder scripts.
func (l *Lineage) Plan(scripts string) Plan {
	if l.Problem != "" {
		return Plan{Decision: l.Problem}
	}
	p := l.method(scripts)
	switch {
	case p.Decision != "":
		return p
	case l.Suspended:
		return l.decide("certbot was told not to renew it (autorenew = False)", p)
	case l.Account == nil:
		return l.decide("without its account nobody has agreed to the CA's terms", p)
	}
	return p
}

// method is how the names were proved, in Albion's words.
func (l *Lineage) method(scripts string) Plan {
	switch l.Authenticator {
	case "webroot", "standalone", "nginx", "apache":
		return l.unlessWildcard(Plan{Way: string(albion.MethodHTTP)})
	case "manual":
		return l.manual(scripts)
	case "dns-rfc2136", "dns-cloudflare":
		if !filepath.IsAbs(l.Credentials) {
			return l.decide("the configuration names no file with the credentials of "+l.Authenticator, Plan{})
		}
		return Plan{Way: l.Authenticator + "=" + l.Credentials, Notes: []string{"the server has to be able to read " + l.Credentials}}
	case "dns-route53":
		return Plan{Way: l.Authenticator, Notes: []string{"the server needs the AWS credentials that certbot used, in its environment or home folder"}}
	case "":
		return l.decide("certbot's configuration does not say how its names were proved", Plan{})
	}
	return l.decide("Albion knows nothing of certbot's "+l.Authenticator, Plan{})
}

// unlessWildcard refuses what no CA would accept.
func (l *Lineage) unlessWildcard(p Plan) Plan {
	names, _ := l.Leaf()
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "*.") }) {
		return l.decide("a wildcard cannot be proved by "+l.Authenticator, Plan{})
	}
	return p
}

// manual plans for certbot's authenticator manual, which proves by HTTP unless
// it was told otherwise or a wildcard is among the names.
func (l *Lineage) manual(scripts string) Plan {
	byDNS := len(l.Preferred) > 0 && strings.HasPrefix(l.Preferred[0], "dns")
	if !byDNS && l.unlessWildcard(Plan{Way: "http"}).Way != "" {
		return Plan{Way: string(albion.MethodHTTP)}
	}
	if l.AuthHook == "" {
		return l.decide("it was proved by hand, with TXT records", Plan{})
	}
	s := l.script(scripts)
	return Plan{Way: string(albion.MethodExec) + "=" + s.Path, Script: s}
}

// script makes one program of the two hooks of a lineage. Certbot ran them in a
// shell, with what arguments they had, and so does this.
func (l *Lineage) script(dir string) *Script {
	cleanup := l.CleanupHook
	if cleanup == "" {
		cleanup = ":"
	}
	return &Script{filepath.Join(dir, l.Name), fmt.Appendf(nil, `#!/bin/sh
# What certbot ran to prove the names of %s. Made by: albion cert adopt certbot
case "$1" in
auth)
%s
;;
cleanup)
%s
;;
esac
`, l.Name, l.AuthHook, cleanup)}
}

// decide is a Plan to import a lineage and to say how it could be renewed: as the
// plan p would, or through one CNAME when that knows no way.
func (l *Lineage) decide(why string, p Plan) Plan {
	names, _ := l.Leaf()
	ask := "albion cert request --name " + Quote(l.Name)
	for _, name := range names {
		ask += " -d '" + name + "'"
	}
	if p.Way == "" {
		p.Way = string(albion.MethodDelegated)
	}
	ask += " --challenge " + Quote(p.Way)
	if l.Directory != "" && l.Directory != letsEncrypt {
		ask += " --ca " + Quote(l.Directory)
	}
	p.Way, p.Decision = "", why+": it is imported and not renewed until you say how, such as: "+ask+" --accept-tos"
	return p
}

// Quote writes a word for a shell.
func Quote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/.:_=,+-", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Leaf reads the names and the end of a lineage's certificate; nil and "" when it
// cannot be read.
func (l *Lineage) Leaf() (names []string, leaf *x509.Certificate) {
	block, _ := pem.Decode(l.Fullchain)
	if block == nil {
		return nil, nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil
	}
	names = slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names, leaf
}
