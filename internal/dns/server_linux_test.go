package dns_test

import (
	"fmt"
	"testing"

	"github.com/albion-lb/albion/internal/dns"
)

// A socket for all addresses answers from the one that was asked: a connected
// client takes no other answer. On Linux all of 127.0.0.0/8 is this machine.
func TestAnswersComeFromWhereTheQuestionWent(t *testing.T) {
	port := freePort(t)
	s := start(t, dns.Config{})
	apply(t, s, listening(t, state(t, small), fmt.Sprintf(":%d", port)))
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.9.9.9", "[::1]"} {
		m, err := over(t, "udp", fmt.Sprintf("%s:%d", host, port), "www.example.com.")
		if err != nil || len(m.Answer) != 1 {
			t.Errorf("%s: %v, %v", host, m, err)
		}
	}
}
