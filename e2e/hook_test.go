package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// Albion sees the certificate on its own listener, and the hook hears of it
// afterwards.
func TestAHookIsToldOnceTheCertificateIsServed(t *testing.T) {
	i := newIssuing(t, acmetest.Options{})
	told := make(chan acm.Document, 10)
	ops := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var doc acm.Document
		if err := json.NewDecoder(r.Body).Decode(&doc); err != nil || r.Header.Get(acm.SignatureHeader) == "" {
			t.Errorf("%v, signature %q", err, r.Header.Get(acm.SignatureHeader))
		}
		told <- doc
	}))
	t.Cleanup(ops.Close)
	if out, err := i.command("cert", "hook", "add", "ops", "--event", "issued", "--url", ops.URL, "--secret", "0123456789"); err != nil {
		t.Fatal(out)
	}
	said, end := i.up("--issuer", i.ca.Directory, "--ca-root", i.root, "--accept-tos")
	said("is in place")
	select {
	case doc := <-told:
		if doc.Event != albion.EventIssued || doc.Certificate.Name != "chat.example.com" {
			t.Errorf("%+v", doc)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the hook was not told")
	}
	for _, c := range []struct{ command, want string }{
		{"cert show chat.example.com", "Served   by every listener, seen "},
		{"cert hook list", "(signed)"},
	} {
		if out, err := i.command(strings.Fields(c.command)...); err != nil || !strings.Contains(out, c.want) || strings.Contains(out, "0123456789") {
			t.Errorf("%s: %v\n%s", c.command, err, out)
		}
	}
	end()
	if out, err := i.command("cert", "hook", "remove", "ops"); err != nil || !strings.Contains(out, "removed ops") {
		t.Error(out)
	}
}
