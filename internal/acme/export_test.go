package acme

import (
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/albion-lb/albion"
)

// For tests of what is read from a CA.
var (
	ParseWindow = parseWindow
	RetryAfter  = retryAfter
	RetryDetail = retryDetail
	Words       = words
)

// Explain reads a problem document as the answer of a CA about one name.
func Explain(kind, detail string, status int, name string, challenge albion.Challenge, now time.Time) error {
	s := situation{doing: "ordering", challenge: challenge}
	if name != "" {
		s.domains = []string{name}
	}
	return explainProblem(&acme.Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: detail, Status: status}, s, now)
}
