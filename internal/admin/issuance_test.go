package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

// A method that cannot begin does not replace one that works, and whoever
// requests what a file declares is told that the file says otherwise.
func TestARequestIsLookedAtFirst(t *testing.T) {
	service, s := newService(t, func(c *admin.Config) {
		c.Seen = func() albion.Seen { return albion.Seen{} }
		c.Provable = func(_ context.Context, r *albion.Request) error {
			if r.Argument == "/nope" {
				return errors.New("the folder /nope cannot be opened")
			}
			return nil
		}
	})
	apply(t, service, file)
	before := s.State()
	ask := admin.CertificateRequest{Name: "chat", Domains: []string{"chat.example.com"}, Issuer: acm.LetsEncrypt, Challenge: "webroot=/nope"}
	_, err := service.Request(t.Context(), ask)
	if err == nil || !strings.Contains(err.Error(), "names cannot be proved by webroot=/nope: the folder /nope cannot be opened") || albion.CodeOf(err) == "" {
		t.Errorf("%v", err)
	}
	if s.State() != before {
		t.Error("something has changed")
	}
	ask.Challenge = "webroot=/srv"
	cert, err := service.Request(t.Context(), ask)
	if err != nil || !strings.Contains(strings.Join(cert.Warnings, "\n"), "a configuration file declares this certificate") {
		t.Errorf("%+v, %v", cert, err)
	}
	ask.Name = "another"
	if cert, err = service.Request(t.Context(), ask); err != nil || len(cert.Warnings) != 0 {
		t.Errorf("%+v, %v", cert, err)
	}
}

func TestARefusedEditIsShown(t *testing.T) {
	var refused *admin.Refusal
	service, _ := newService(t, func(c *admin.Config) { c.Refused = func() *admin.Refusal { return refused } })
	apply(t, service, file)
	get := func(path string) string {
		server := httptest.NewServer(service.Public())
		defer server.Close()
		res, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		server.Client().CloseIdleConnections()
		return string(body)
	}
	if s := service.Status(); s.Refused != nil || !strings.Contains(get("/metrics"), "\nalbion_configuration_refused 0\n") {
		t.Errorf("%+v", s.Refused)
	}
	refused = &admin.Refusal{File: "albion.yaml", Problem: "albion.yaml:1:1: wrong", At: time.Now()}
	if s := service.Status(); s.Refused != refused || !strings.Contains(get("/metrics"), "\nalbion_configuration_refused 1\n") {
		t.Errorf("%+v", s.Refused)
	}
	if text := get("/status"); !strings.Contains(text, `"File":`) || strings.Contains(text, "1:1: wrong") {
		t.Error(text)
	}
}
