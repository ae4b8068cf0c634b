package admin_test

import (
	"slices"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
)

func TestWhatTheDoctorIsTold(t *testing.T) {
	service, s := newService(t, func(c *admin.Config) {
		c.Beacon = func() (string, string) { return "token", "answer" }
		c.Seen = func() albion.Seen { return albion.Seen{} }
	})
	apply(t, service, file)
	known, err := admin.Direct(service).Known(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !known.Running || known.Token != "token" || known.Answer != "answer" || known.Authority == "" {
		t.Errorf("%+v", known)
	}
	if want := []string{"127.0.0.1:1", "127.0.0.1:2"}; !slices.Equal(known.Targets, want) {
		t.Errorf("targets are %q, want %q", known.Targets, want)
	}
	if len(known.Listeners) != 2 || known.Listeners[0].Port != 8080 || known.Listeners[0].Secure || !known.Listeners[1].Secure {
		t.Errorf("listeners are %+v", known.Listeners)
	}
	for c := range s.State().Certificates.All() {
		if len(known.Certificates) != 1 || known.Certificates[0].Serial != c.Serial {
			t.Errorf("certificates are %+v", known.Certificates)
		}
	}
	// Without a server there is nobody to recognise.
	service, _ = newService(t, nil)
	if known := service.Known(); known.Running || known.Token != "" {
		t.Errorf("%+v", known)
	}
}
