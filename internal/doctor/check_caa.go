package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/albion-lb/albion/internal/resolve"
)

// allowance is what CAA records let a CA do for a name (RFC 8659, RFC 8657).
type allowance struct {
	allowed  bool
	methods  []string // the only challenges; nil: all
	accounts []string // the only accounts; nil: all
	unknown  string   // a critical tag that CAs have to refuse
}

// allow reads the records for a CA of some identities. wild asks for a wildcard.
func allow(records []resolve.CAA, identities []string, wild bool) allowance {
	tag := "issue"
	if wild && slices.ContainsFunc(records, func(r resolve.CAA) bool { return r.Tag == "issuewild" }) {
		tag = "issuewild"
	}
	var out allowance
	restricted := false
	for _, r := range records {
		switch r.Tag {
		case "issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone":
		default:
			if r.Critical {
				return allowance{unknown: r.Tag}
			}
		}
		if r.Tag != tag {
			continue
		}
		restricted = true
		domain, parameters := property(r.Value)
		if !slices.Contains(identities, domain) {
			continue
		}
		out.allowed = true
		if m := parameters["validationmethods"]; m != "" {
			out.methods = append(out.methods, strings.Split(m, ",")...)
		}
		if a := parameters["accounturi"]; a != "" {
			out.accounts = append(out.accounts, a)
		}
	}
	out.allowed = out.allowed || !restricted
	return out
}

// property cuts "letsencrypt.org; accounturi=…" (RFC 8659 §4.2).
func property(value string) (domain string, parameters map[string]string) {
	parts := strings.Split(value, ";")
	parameters = map[string]string{}
	for _, p := range parts[1:] {
		if k, v, ok := strings.Cut(p, "="); ok {
			parameters[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
		}
	}
	return strings.ToLower(strings.TrimSpace(parts[0])), parameters
}

// checkCAA judges for each CA whether it may issue.
func checkCAA(s *sight) []Finding {
	n := s.names
	if n == nil || reserved(s.subject.Name) || n.addresses.missing && n.zoneErr != nil {
		return nil
	}
	if n.caaErr != nil {
		if errors.Is(n.caaErr, resolve.BadName) || n.addresses.err != nil {
			return nil // said already
		}
		return []Finding{{
			Warning, Authorities, "caa-fails", "the name servers do not say who may issue (CAA), and then no CA does", []string{n.caaErr.Error()},
			"ask again in a while; if it stays so, ask whoever runs the name servers to answer questions of type CAA",
		}}
	}
	var all []Finding
	for _, ca := range s.cas {
		all = append(all, checkCAAOf(s, ca)...)
	}
	return all
}

func checkCAAOf(s *sight, ca caSeen) []Finding {
	set, who := s.names.caa, caName(ca.Directory)
	var lines []string
	for _, r := range set.Records {
		lines = append(lines, fmt.Sprintf("%s CAA %s %q", set.Name, r.Tag, printable(r.Value)))
	}
	if len(set.Records) > 0 && len(ca.identities) == 0 {
		return []Finding{{Note, Authorities, "caa-unknown", fmt.Sprintf("whether CAA records let %s issue cannot be told: it does not say what they call it", who), lines, ""}}
	}
	one, wild := allow(set.Records, ca.identities, false), allow(set.Records, ca.identities, true)
	add := fmt.Sprintf("add a record: host %s, type CAA, value 0 issue \"%s\"", caaHost(s), first(ca.identities))
	switch {
	case one.unknown != "":
		return []Finding{{Problem, Authorities, "caa-critical", fmt.Sprintf("a CAA record of %s has the critical tag %q, which no CA may pass over", set.Name, printable(one.unknown)), lines, "delete that record, or take its critical flag away"}}
	case !one.allowed:
		return []Finding{{Problem, Authorities, "caa-forbids", fmt.Sprintf("CAA records of %s do not let %s issue", set.Name, who), lines, add}}
	case one.accounts != nil && ca.Account == "":
		return []Finding{{Warning, Authorities, "caa-account", fmt.Sprintf("CAA records of %s let %s issue to certain accounts only, and there is none here yet", set.Name, who), lines, "add the account's address there once it is known, or adopt the account: `albion cert adopt certbot`"}}
	case one.accounts != nil && !slices.Contains(one.accounts, ca.Account):
		return []Finding{{Problem, Authorities, "caa-account", fmt.Sprintf("CAA records of %s let %s issue to another account only", set.Name, who), append(lines, "the account here is "+ca.Account), fmt.Sprintf("add a record: host %s, type CAA, value 0 issue \"%s; accounturi=%s\"", caaHost(s), first(ca.identities), ca.Account)}}
	case one.methods != nil:
		return []Finding{{Note, Authorities, "caa-methods", fmt.Sprintf("CAA records of %s let %s issue by these challenges only: %s", set.Name, who, printable(strings.Join(one.methods, ", "))), lines, ""}}
	case !wild.allowed:
		return []Finding{{Note, Authorities, "caa-no-wildcard", fmt.Sprintf("CAA records of %s let %s issue for names, and not for wildcards", set.Name, who), lines, ""}}
	case len(set.Records) == 0:
		return []Finding{{OK, Authorities, "caa", fmt.Sprintf("no CAA record forbids %s to issue", who), nil, ""}}
	}
	return []Finding{{OK, Authorities, "caa", fmt.Sprintf("CAA records of %s let %s issue", set.Name, who), lines, ""}}
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// caaHost is where a CAA record goes: beside the ones that there are. A name that
// is an alias cannot have one.
func caaHost(s *sight) string {
	if at := s.names.caa.Name; at != "" && s.names.zone.Name != "" {
		if at == s.names.zone.Name {
			return "@"
		}
		if host, ok := strings.CutSuffix(at, "."+s.names.zone.Name); ok {
			return host
		}
	}
	return "@"
}

// checkCAs judges whether the CAs can be reached, and _acme-challenge.
func checkCAs(s *sight) []Finding {
	var all []Finding
	for _, ca := range s.cas {
		if ca.err != nil && !(s.names != nil && s.names.addresses.missing && offline(s)) {
			all = append(all, Finding{
				Warning, Authorities, "ca-unreachable", fmt.Sprintf("%s cannot be reached from here, so nothing can be ordered from this machine", caName(ca.Directory)), []string{ca.Directory + ": " + ca.err.Error()},
				"let this machine connect to " + hostOf(ca.Directory) + " on port 443; when another one gets the certificates, this does not matter",
			})
		}
	}
	return append(all, checkChallengeName(s)...)
}

// checkChallengeName judges what stands at _acme-challenge.
func checkChallengeName(s *sight) []Finding {
	if s.names == nil || reserved(s.subject.Name) {
		return nil
	}
	c, at := s.names.challenge, "_acme-challenge."+s.subject.Name
	switch {
	case errors.Is(c.chainErr, resolve.Endless):
		return []Finding{{Warning, Authorities, "challenge-circle", "the alias at " + at + " leads nowhere", []string{c.chainErr.Error()}, "delete it, or let `albion cert request -d " + s.subject.Name + " --challenge dns-delegated` say where it has to lead"}}
	case len(c.wildcard) > 0 && len(c.chain) > 0 && c.wildcard[0].Type == "CNAME" && c.wildcard[0].Data == c.chain[0]:
		return []Finding{{
			Warning, Authorities, "challenge-swallowed", fmt.Sprintf("a wildcard swallows %s: it leads to %s, where no CA finds a proof", at, c.chain[0]), nil,
			fmt.Sprintf("for a DNS challenge give %s a record of its own, which takes the wildcard's place: `albion cert request -d %s --challenge dns-delegated` says which", at, s.subject.Name),
		}}
	case len(c.chain) > 0:
		return []Finding{{Note, Authorities, "challenge-delegated", fmt.Sprintf("%s is delegated to %s: DNS challenges are answered there", at, c.chain[len(c.chain)-1]), nil, ""}}
	case len(c.texts) > 0:
		return []Finding{{Note, Authorities, "challenge-leftover", fmt.Sprintf("%s holds %s that some earlier order may have left", at, counted(len(c.texts), "a TXT record", "TXT records")), nil, "delete what no order needs any more"}}
	}
	return nil
}

// counted is "a TXT record" or "3 TXT records".
func counted(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf("%d %s", n, many)
}
