package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newService is a Service on a store of its own, with nothing running.
func newService(t testing.TB, change func(*admin.Config)) (*admin.Service, *store.Store) {
	t.Helper()
	s, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg := admin.Config{Store: s, Version: "test"}
	if change != nil {
		change(&cfg)
	}
	return admin.New(cfg), s
}

const file = `
certificates:
  chat: {domains: [chat.test]}
target_groups:
  servers: {targets: [127.0.0.1:1]}
  canary: {targets: [127.0.0.1:2]}
load_balancers:
  web:
    listeners:
      - {port: 8080, redirect: {protocol: HTTPS, port: 8443}}
      - {port: 8443, certificates: chat, forward: servers, rules: [{path: /x, forward: canary}]}
`

func apply(t testing.TB, s *admin.Service, text string) *admin.ApplyResult {
	t.Helper()
	result, err := s.Apply(t.Context(), admin.ApplyRequest{Name: "albion.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// certificate is a self-signed leaf with its key.
func certificate(t testing.TB, domain string) acm.Source {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: []string{domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return acm.Source{Name: "all.pem", PEM: append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)}
}

func TestDryRunKeepsNothing(t *testing.T) {
	service, s := newService(t, nil)
	before := s.State()
	result, err := service.Apply(t.Context(), admin.ApplyRequest{Name: "albion.yaml", Data: []byte(file), DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Changes) == 0 || !result.DryRun {
		t.Errorf("%+v", result)
	}
	if s.State() != before {
		t.Error("a dry run has changed the State")
	}
}

func TestApplyTwiceChangesOnce(t *testing.T) {
	service, s := newService(t, nil)
	if result := apply(t, service, file); len(result.Changes) == 0 || result.Version != s.State().Version {
		t.Errorf("%+v", result)
	}
	before := s.State()
	if result := apply(t, service, file); len(result.Changes) != 0 {
		t.Errorf("the same file again changes %+v", result.Changes)
	}
	if s.State() != before {
		t.Error("the same file again has changed the State")
	}
}

func TestApplyIsRefusedWholeWithThePlace(t *testing.T) {
	service, s := newService(t, nil)
	apply(t, service, file)
	before := s.State()
	broken := strings.Replace(file, "forward: canary", "forward: canray", 1)
	_, err := service.Apply(t.Context(), admin.ApplyRequest{Name: "albion.yaml", Data: []byte(broken)})
	if err == nil || !strings.HasPrefix(err.Error(), "albion.yaml:11:") || !strings.Contains(err.Error(), "did you mean canary?") {
		t.Errorf("error %v", err)
	}
	if s.State() != before {
		t.Error("a refused file has changed the State")
	}
}

func TestImportReplacesInPlace(t *testing.T) {
	service, _ := newService(t, nil)
	first, err := service.Import(t.Context(), admin.ImportRequest{Name: "shop", Sources: []acm.Source{certificate(t, "shop.test")}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := service.Import(t.Context(), admin.ImportRequest{Name: "shop", Sources: []acm.Source{certificate(t, "shop.test")}})
	if err != nil {
		t.Fatal(err)
	}
	if first.Replaced || !second.Replaced || first.Certificate.ARN != second.Certificate.ARN || first.Certificate.Serial == second.Certificate.Serial {
		t.Errorf("first %+v, then %+v", first, second)
	}
}

func TestImportOverWhatAFileDeclaresIsWarnedOf(t *testing.T) {
	service, _ := newService(t, nil)
	apply(t, service, file)
	result, err := service.Import(t.Context(), admin.ImportRequest{Name: "chat", Sources: []acm.Source{certificate(t, "chat.test")}})
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(result.Warnings, "\n"); !strings.Contains(text, "a configuration file declares this certificate") {
		t.Errorf("warnings %q", text)
	}
}

func TestDeleteCertificateRefusesWhatIsNeeded(t *testing.T) {
	service, s := newService(t, nil)
	apply(t, service, strings.Replace(file, "target_groups:", "  spare: {domains: [spare.test]}\ntarget_groups:", 1))
	before := s.State()
	for name, want := range map[string]struct {
		code albion.Code
		text string
	}{
		"chat":   {albion.CodeResourceInUse, "in use by web:8443"},
		"spare":  {albion.CodeResourceInUse, "a configuration file declares the certificate spare"},
		"nobody": {albion.CodeCertificateNotFound, `there is no certificate "nobody"`},
		"":       {albion.CodeCertificateNotFound, `there is no certificate ""`},
	} {
		_, err := service.DeleteCertificate(t.Context(), name)
		if albion.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if s.State() != before {
		t.Error("a refused deletion has changed the State")
	}
}

func TestDeleteCertificateTakesItsKeyAlong(t *testing.T) {
	service, s := newService(t, nil)
	imported, err := service.Import(t.Context(), admin.ImportRequest{Sources: []acm.Source{certificate(t, "shop.test")}})
	if err != nil {
		t.Fatal(err)
	}
	arn := string(imported.Certificate.ARN)
	if _, ok := s.State().Keys.Get(arn); !ok {
		t.Fatal("an imported certificate has no key")
	}
	gone, err := service.DeleteCertificate(t.Context(), arn)
	if err != nil || gone.Name != "shop.test" {
		t.Fatalf("%+v, %v", gone, err)
	}
	_, certificate := s.State().Certificates.Get(arn)
	_, key := s.State().Keys.Get(arn)
	if certificate || key {
		t.Errorf("left behind: certificate %t, key %t", certificate, key)
	}
}

func TestStatusSaysWhatListenersDo(t *testing.T) {
	for action, want := range map[string]string{
		"redirect: https":                                                                    "redirect to HTTPS (301)",
		"redirect: {protocol: HTTPS, port: 8443}":                                            "redirect to HTTPS, port 8443 (301)",
		`redirect: {host: www.test, path: "/x/#{path}", status: 302}`:                        "redirect to host www.test, path /x/#{path} (302)",
		`redirect: {path: /new, query: ""}`:                                                  "redirect to path /new, no query (301)",
		"fixed_response: {status: 410}":                                                      "answer 410",
		"forward: servers":                                                                   "forward to servers",
		"forward: [{group: servers, weight: 9}, {group: canary, weight: 1}]":                 "forward to servers (9), canary (1)",
		`redirect: {protocol: "#{protocol}", port: 8444, host: "#{host}", path: "/#{path}"}`: "redirect to port 8444 (301)",
	} {
		service, _ := newService(t, nil)
		apply(t, service, "target_groups: {servers: {}, canary: {}}\nload_balancers: {web: {listeners: [{port: 8080, "+action+"}]}}\n")
		if got := service.Status().Listeners[0].Default; got != want {
			t.Errorf("%s: %q, want %q", action, got, want)
		}
	}
}

func TestStatusShowsWhatIsSeen(t *testing.T) {
	var seen albion.Seen
	service, s := newService(t, func(c *admin.Config) { c.Seen = func() albion.Seen { return seen } })
	apply(t, service, file)
	var failed, serving albion.ARN
	for l := range s.State().Listeners.All() {
		if l.Port == 8080 {
			failed = l.ARN
		} else {
			serving = l.ARN
		}
	}
	var group *albion.TargetGroup
	for g := range s.State().TargetGroups.All() {
		if g.Name == "servers" {
			group = g
		}
	}
	until := time.Now().Add(time.Minute)
	seen = albion.Seen{
		Listeners: []albion.ListenerSeen{
			{Listener: failed, Problem: "port 8080 is in use"},
			{Listener: serving, Serving: true, Address: "[::]:8443", Connections: 7},
		},
		Targets: []albion.TargetSeen{
			{Group: group.ARN, Target: group.Targets[0], Health: albion.Health{State: albion.Draining}, Outstanding: 3, Until: until},
		},
	}
	status := service.Status()
	if !status.Running {
		t.Error("not running")
	}
	if l := status.Listeners[0]; l.Name != "web:8080" || l.State != "failed" || l.Problem != "port 8080 is in use" {
		t.Errorf("%+v", l)
	}
	if l := status.Listeners[1]; l.State != "serving" || l.Connections != 7 || l.Rules != 1 || l.Certificates[0] != "chat" {
		t.Errorf("%+v", l)
	}
	if target := status.TargetGroups[1].Targets[0]; target.Check != "http://127.0.0.1:1/" || target.State != albion.Draining || target.Outstanding != 3 || !target.Until.Equal(until) {
		t.Errorf("%+v", target)
	}
	// What nothing was seen of is shown all the same.
	if target := status.TargetGroups[0].Targets[0]; target.Target != "127.0.0.1:2" || target.State != albion.Unused {
		t.Errorf("%+v", target)
	}
}

// A change that waits for its turn ends when its caller gives up.
func TestGivingUp(t *testing.T) {
	service, s := newService(t, nil)
	before := s.State()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := service.Apply(ctx, admin.ApplyRequest{Name: "albion.yaml", Data: []byte(file)}); err == nil {
		t.Error("no error")
	}
	if s.State() != before {
		t.Error("the State has changed")
	}
}
