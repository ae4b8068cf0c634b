package main

import (
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/doctor"
)

// What is shown to be typed examines this server and not another.
func TestTheDoctorIsSentToWhereTheNameIsServed(t *testing.T) {
	t.Setenv("ALBION_DATA", "/usual")
	for want, c := range map[string]struct {
		dataDir string
		ports   []uint16
	}{
		"albion doctor chat.test":                       {"/usual", nil},
		"albion doctor chat.test --data /other":         {"/other", []uint16{18444, 443}},
		"albion doctor chat.test:18444 --data /another": {"/another", []uint16{18445, 18444}},
	} {
		d := albion.NewDraft(&albion.State{})
		for _, port := range c.ports {
			albion.Put(d, &albion.Listener{ARN: albion.ARN("arn:" + want + string(rune(port))), Protocol: albion.HTTPS, Port: port})
		}
		albion.Put(d, &albion.Listener{ARN: "arn:plain", Protocol: albion.HTTP, Port: 80})
		g := &globals{streams: streams{name: "albion"}, dataDir: c.dataDir}
		if got := g.doctorCommand(&d.State, doctor.Subject{Name: "chat.test"}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestIssuersAreCalledByTheirNames(t *testing.T) {
	of := func(directory string) *admin.Issuance {
		return &admin.Issuance{Request: albion.Request{Directory: directory}}
	}
	known, err := acm.Directory(acm.LetsEncrypt)
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]admin.Certificate{
		"imported":        {Issuer: albion.Imported},
		"letsencrypt":     {Issuer: albion.ACME, Issuance: of(known)},
		"ca.example:4443": {Issuer: albion.ACME, Issuance: of("https://ca.example:4443/dir")},
	} {
		if got := issuerWord(&c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
