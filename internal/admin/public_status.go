package admin

import (
	"strings"

	"github.com/albion-lb/albion"
)

// withoutPlaces leaves out of a Status, which nobody else holds yet, what tells where keys
// and credentials are on this machine, and what others said of that. Operators see
// it over the socket.
func withoutPlaces(s Status) Status {
	for i := range s.Certificates {
		c := &s.Certificates[i]
		for j := range c.Deliveries {
			v := &c.Deliveries[j]
			v.To = ""
			if v.Problem != nil { // its sentence is often the system's, and names files
				v.Problem = &albion.Setback{Kind: v.Problem.Kind, Sentence: "`albion cert delivery list` says why"}
			}
		}
		if c.Issuance != nil {
			c.Issuance.withoutPlaces(c)
		}
	}
	return s
}

// withoutPlaces does so for what stands in a certificate of a CA.
func (i *Issuance) withoutPlaces(c *Certificate) {
	unnamed := func(text string) string { return text }
	if argument := i.Request.Argument; argument != "" {
		unnamed = func(text string) string { return strings.ReplaceAll(text, argument, "…") }
		i.Request.Argument = ""
		c.Method = strings.ReplaceAll(c.Method, "="+argument, "")
	}
	for j, step := range i.Steps {
		i.Steps[j] = unnamed(step)
	}
	if p := i.Problem; p != nil {
		c.Reason = strings.ReplaceAll(c.Reason, p.Error(), p.Sentence)
		i.Problem = &albion.Setback{Kind: p.Kind, Sentence: unnamed(p.Sentence), Advice: unnamed(p.Advice), Ours: p.Ours, Until: p.Until}
	}
	c.Reason, c.Next = unnamed(c.Reason), unnamed(c.Next)
}
