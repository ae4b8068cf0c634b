package acme

import (
	"context"

	"github.com/albion-lb/albion"
)

// Solver presents what proves the names of one order where the CA looks: TXT
// records, files of another web server, a listener of its own. Errors are best
// an *albion.Setback, which is shown as it is; any other is wrapped in one.
type Solver interface {
	// Present returns once the CA may look at all of them: every authoritative
	// server has the records, the files can be fetched. It may block until ctx ends.
	// Presenting the same twice is no mistake, nor are several values at one name:
	// a domain and its wildcard have that.
	Present(ctx context.Context, all []Presentation) error
	// CleanUp removes exactly these, and nothing else at the same names. What is
	// not there any more is no error; neither is what another process presented.
	CleanUp(ctx context.Context, all []Presentation) error
}

// Preparer is a Solver that has something to look at before a CA is asked for
// anything: whether a CNAME is there, whether a port is free. It may block until
// ctx ends, and its errors are as those of Present.
type Preparer interface {
	Prepare(ctx context.Context, domains []string) error
}

// Presentation is what proves one name.
type Presentation struct {
	Domain    string // DNS name, without "*.", or IP address
	Challenge albion.Challenge
	Token     string // of http-01: the file's name
	Proof     string // of http-01: its content
	Name      string // of dns-01: the TXT record's, without a dot at the end
	Value     string // of dns-01: the TXT record's
}

// presentations is what proves the names of an order.
func presentations(answers []albion.Answer) []Presentation {
	all := make([]Presentation, len(answers))
	for i, a := range answers {
		all[i] = Presentation{Domain: a.Domain, Challenge: a.Challenge, Token: a.Token, Proof: a.Proof}
		if a.Challenge == albion.ChallengeDNS {
			all[i].Name, all[i].Value = albion.ChallengeName(a.Domain), a.TXT()
		}
	}
	return all
}
