package acme_test

import (
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// What a CA says of a name is turned into what to do.
func TestWhatACASaysOfANameIsExplained(t *testing.T) {
	for _, c := range []struct{ kind, detail, sentence, advice string }{
		{"caa", "CAA record for chat.example.com prevents issuance", "forbids this CA", "choose the CA that they name"},
		{"caa", "While processing CAA for chat.example.com: CAA record for example.com prevents issuance: accounturi mismatch", "another account", "accounturi"},
		{"caa", "CAA record prevents issuance, validationmethods does not list http-01", "forbids this way", "validationmethods"},
		{"caa", "DNS problem: query timed out looking up CAA for example.com", "could not read", "dig CAA"},
		{"dns", "DNS problem: SERVFAIL looking up CAA for example.com - the domain's nameservers may be malfunctioning", "could not read", "dig CAA"},
		{"dns", "DNS problem: NXDOMAIN looking up A for chat.example.com", "no usable address", "A (or AAAA)"},
		{"connection", "192.0.2.7: Fetching http://chat.example.com/.well-known/acme-challenge/x: Timeout during connect", "(it asked 192.0.2.7)", "open port 80"},
		{"connection", "2001:db8::7: Fetching http://chat.example.com/.well-known/acme-challenge/x: Connection refused", "(it asked 2001:db8::7)", "the AAAA record of chat.example.com"},
		{"unauthorized", "2001:db8::7: Invalid response from http://chat.example.com/.well-known/acme-challenge/x: 404", "(it asked 2001:db8::7)", "or remove the record"},
		{"connection", "During secondary validation: 192.0.2.7: Fetching http://chat.example.com: Timeout", "could not reach", "several places of the world"},
	} {
		err := acme.Explain(c.kind, c.detail, 400, "chat.example.com", albion.ChallengeHTTP, time.Now())
		s := setback(t, err)
		if s.Kind != albion.SetbackName || !strings.Contains(s.Sentence, c.sentence) || !strings.Contains(s.Advice, c.advice) || !strings.Contains(s.Words, c.detail[:20]) {
			t.Errorf("%s %q: %v", c.kind, c.detail, s)
		}
	}
}
