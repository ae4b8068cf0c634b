package admin_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

// Where keys and credentials are is told over the socket, and not to whoever
// reaches the admin address.
func TestPublicStatusTellsNoPlaces(t *testing.T) {
	service, s := newService(t, func(c *admin.Config) {
		c.Seen = func() albion.Seen { return albion.Seen{} }
		c.Now = time.Now
	})
	c := admin.Direct(service)
	if _, err := c.Import(t.Context(), admin.ImportRequest{Name: "chat", Sources: []acm.Source{certificate(t, "chat.example.com")}}); err != nil {
		t.Fatal(err)
	}
	place, err := filepath.Abs(filepath.Join(t.TempDir(), "keys-are-here"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Deliver(t.Context(), admin.DeliveryRequest{Certificate: "chat", Kind: albion.Live, To: place}); err != nil {
		t.Fatal(err)
	}
	setback := &albion.Setback{Kind: albion.SetbackRefused, Sentence: "cannot write to " + place, Advice: "see " + place, Words: "open " + place, Ours: true}
	_, err = s.Update(t.Context(), func(d *albion.Draft) error {
		for old := range d.Deliveries.All() {
			v := *old
			v.Failures, v.Last = 1, setback
			albion.Put(d, &v)
		}
		for old := range d.Certificates.All() {
			cert := *old
			cert.Issuer = albion.ACME
			cert.Request = &albion.Request{Directory: "https://ca.example/directory", Domains: cert.Domains, Method: albion.MethodWebroot, Argument: place}
			albion.Put(d, &cert)
			albion.Put(d, &albion.Issuance{Certificate: cert.ARN, Failures: 1, Last: setback, Steps: []string{"a file in " + place}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Status(t.Context())
	if err != nil || len(status.Certificates) != 1 || status.Certificates[0].Deliveries[0].To != place || status.Certificates[0].Issuance.Request.Argument != place {
		t.Fatalf("the socket: %+v, %v", status, err)
	}
	body := serve(service.Public(), "GET", "/status", "").Body.String()
	if strings.Contains(body, "keys-are-here") || !strings.Contains(body, "cannot write to …") || !strings.Contains(body, `"chat.example.com"`) {
		t.Errorf("the admin address: %s", body)
	}
	// What is kept stays whole.
	for i := range s.State().Issuances.All() {
		if i.Last.Words != "open "+place || i.Steps[0] != "a file in "+place {
			t.Errorf("%+v", i)
		}
	}
}
