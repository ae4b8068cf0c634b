package admin_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

// Whoever looks later finds the record to add, also when something else is in
// the way.
func TestTheRecordToAddIsSaidBesideTheProblem(t *testing.T) {
	w := albion.Wanted{Type: albion.TypeCNAME, Name: "_acme-challenge.dd.example.org", Value: "dd.example.com"}
	service, s := newService(t, func(c *admin.Config) {
		c.Wanted = func(albion.ARN) []albion.Wanted { return []albion.Wanted{w} }
	})
	if _, err := admin.Direct(service).CreateZone(t.Context(), admin.CreateZoneRequest{Name: "example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), func(d *albion.Draft) error {
		_, _, err := acm.Request(d, acm.CARequest{Domains: []string{"dd.example.org"}, Issuer: acm.LetsEncrypt, Challenge: "dns-delegated", Now: time.Now(), Rand: rand.Reader, ID: [16]byte{9}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, problem := range []string{"", "the zone example.com is not delegated"} {
		w.Problem = problem
		for _, c := range service.Certificates() {
			if c.Status != acm.StatusWaiting || !strings.HasPrefix(c.Reason, problem) || !strings.Contains(c.Reason, w.Name+" with the value "+w.Value) {
				t.Errorf("%q: %+v", problem, c)
			}
		}
	}
}
