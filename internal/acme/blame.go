package acme

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"

	"github.com/albion-lb/albion"
)

// maxBlamed is how many names a sentence spells out.
const maxBlamed = 5

// blame is one Setback of those of single names. One name that cannot be proved
// keeps a certificate from all the others, so it says which those are, and how
// they could have one meanwhile. names are those of refused; a name and its
// wildcard share one.
func blame(refused []*albion.Setback, names, domains []string) error {
	out := *refused[0]
	for i, s := range refused {
		out.Names = append(out.Names, albion.NameSetback{Domain: names[i], Sentence: s.Sentence, Words: s.Words})
	}
	proved := slices.DeleteFunc(slices.Clone(domains), func(domain string) bool {
		return slices.Contains(names, strings.TrimPrefix(domain, "*."))
	})
	if len(refused) > 1 {
		out.Sentence = fmt.Sprintf("%d of %d names could not be proved: %s", len(refused), len(domains), few(names))
		out.Advice = refused[0].Sentence + ": " + refused[0].Advice
	}
	if len(proved) > 0 {
		out.Advice += "; until then a certificate for " + few(proved) + " alone would be issued: request it by itself"
	} else if len(domains) == 1 {
		out.Names = nil // it is the name
	}
	return &out
}

// few lists some names.
func few(names []string) string {
	var all []string
	for _, name := range names[:min(len(names), maxBlamed)] {
		all = append(all, words(name))
	}
	text := strings.Join(all, ", ")
	if more := len(names) - maxBlamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// blamed are the names that a problem document is about, each for itself (RFC
// 8555 §6.7.1).
func blamed(p *acme.Problem) []albion.NameSetback {
	var all []albion.NameSetback
	for _, sub := range p.Subproblems {
		if len(all) < albion.MaxNamesPerRequest && sub.Identifier.Value != "" {
			all = append(all, albion.NameSetback{Domain: words(sub.Identifier.Value), Sentence: "the CA does not issue for it", Words: words(sub.Detail)})
		}
	}
	return all
}
