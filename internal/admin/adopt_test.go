package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

const someCA = "https://ca.example.com/directory"

// tree is what a client looked after: one certificate that can be taken over, one
// that needs a decision, one that a CA would not be asked for, and no certificate.
func tree(t *testing.T) admin.AdoptRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	one := func(name, challenge, directory string) admin.AdoptCertificate {
		return admin.AdoptCertificate{Name: name, Sources: []acm.Source{certificate(t, name)}, Directory: directory, Account: "a", Challenge: challenge}
	}
	broken := one("broken.example.com", "http", someCA)
	broken.Sources[0].PEM = []byte("nothing")
	return admin.AdoptRequest{
		Certificates: []admin.AdoptCertificate{one("chat.example.com", "http", someCA), one("ask.example.com", "", someCA), one("odd.example.com", "http", "http://ca.example.com"), broken},
		Accounts:     []admin.AdoptAccount{{ID: "a", Directory: someCA, URL: someCA + "/acct/1", Key: der}},
		Hooks: []admin.AdoptHook{
			{Name: "certbot-chat", Certificates: []string{"chat.example.com"}, Shell: "true"},
			{Name: "certbot-broken", Certificates: []string{"broken.example.com", "ask.example.com"}, Shell: "true"},
		},
	}
}

func actions(r *admin.AdoptResult) (all []string) {
	for _, a := range r.Certificates {
		all = append(all, a.Name+": "+a.Action)
	}
	return all
}

func TestAnAdoptionIsOneChange(t *testing.T) {
	service, s := newService(t, nil)
	in := tree(t)
	before := s.State()
	in.DryRun = true
	planned, err := service.Adopt(t.Context(), in)
	if err != nil || s.State() != before {
		t.Fatalf("a dry run has changed something, %v", err)
	}
	in.DryRun = false
	result, err := admin.Direct(service).Adopt(t.Context(), in) // as commands ask
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"chat.example.com: adopt", "ask.example.com: import", "odd.example.com: import", "broken.example.com: leave out"}
	if got := actions(result); !slices.Equal(got, want) || !slices.Equal(actions(planned), want) {
		t.Errorf("%q, planned %q", got, actions(planned))
	}
	if !slices.Equal(result.Hooks, []string{"certbot-chat"}) {
		t.Errorf("%q", result.Hooks)
	}
	for i, problem := range []string{"", "", "the CA", "nothing in PEM form"} {
		if a := result.Certificates[i]; !strings.Contains(a.Problem, problem) || (problem == "") != (a.Problem == "") {
			t.Errorf("%s: %q", a.Name, a.Problem)
		}
	}
	state := s.State()
	if state.Version != before.Version+1 || state.Certificates.Len() != 3 || state.Registrations.Len() != 1 || state.Hooks.Len() != 1 {
		t.Errorf("version %d, then %d; %d certificates", before.Version, state.Version, state.Certificates.Len())
	}
	again, err := service.Adopt(t.Context(), in)
	if err != nil || s.State() != state || again.Certificates[0].Action != admin.ActionKeep || !again.Certificates[0].Replaced {
		t.Errorf("%q, %v", actions(again), err)
	}
}

func TestAnAdoptionHasToFit(t *testing.T) {
	in := tree(t)
	if !in.Fits() {
		t.Error("a small one does not fit")
	}
	in.Certificates[0].Sources[0].PEM = make([]byte, 32<<20)
	if in.Fits() {
		t.Error("a large one fits")
	}
}

func TestAnAccountThatCannotBeReadAdoptsNothing(t *testing.T) {
	service, s := newService(t, nil)
	before := s.State()
	in := tree(t)
	in.Accounts[0].Key = []byte("secret")
	if _, err := service.Adopt(t.Context(), in); albion.CodeOf(err) != albion.CodeInvalidParameter || strings.Contains(err.Error(), "secret") || s.State() != before {
		t.Error(err)
	}
}

func TestDeliveriesAreShownAndEnded(t *testing.T) {
	service, s := newService(t, nil)
	c := admin.Direct(service)
	if _, err := c.Import(t.Context(), admin.ImportRequest{Name: "chat", Sources: []acm.Source{certificate(t, "chat.example.com")}}); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(filepath.Join(os.TempDir(), "certs"))
	if err != nil {
		t.Fatal(err)
	}
	request := admin.DeliveryRequest{Certificate: "chat", Kind: albion.Live, To: folder}
	for range 2 { // asking twice is asking once
		if v, err := c.Deliver(t.Context(), request); err != nil || v.State != admin.DeliveryPending || v.Certificate != "chat" {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	fail := func(change func(*albion.Delivery)) {
		t.Helper()
		_, err := s.Update(t.Context(), func(d *albion.Draft) error {
			for old := range d.Deliveries.All() {
				v := *old
				change(&v)
				albion.Put(d, &v)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	fail(func(v *albion.Delivery) {
		v.Failures, v.Last, v.Next = 3, &albion.Setback{Sentence: "no"}, v.Created.AddDate(1, 0, 0)
	})
	all, err := c.Deliveries(t.Context())
	if err != nil || len(all) != 1 || all[0].State != admin.DeliveryRetrying || all[0].Next == nil || all[0].Problem.Sentence != "no" {
		t.Errorf("%+v, %v", all, err)
	}
	// Who asks again does not want to wait.
	if v, err := c.Deliver(t.Context(), request); err != nil || v.Next != nil {
		t.Errorf("%+v, %v", v, err)
	}
	cert, err := c.Certificate(t.Context(), "chat")
	if err != nil || len(cert.Deliveries) != 1 {
		t.Errorf("%+v, %v", cert, err)
	}
	for _, bad := range []admin.DeliveryRequest{
		{Certificate: "nobody", Kind: albion.Live, To: folder}, {Certificate: "chat", Kind: albion.Live, To: "certs"},
		{Certificate: "chat", Kind: "ftp", To: folder}, {Certificate: "chat", Kind: albion.InACM, To: string(cert.ARN)},
	} {
		if _, err := c.Deliver(t.Context(), bad); albion.CodeOf(err) == "" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	fail(func(v *albion.Delivery) { v.Origin = albion.OriginFile })
	if _, err := c.EndDelivery(t.Context(), request); albion.CodeOf(err) != albion.CodeResourceInUse {
		t.Error(err)
	}
	fail(func(v *albion.Delivery) { v.Origin = "" })
	if _, err := c.EndDelivery(t.Context(), request); err != nil || s.State().Deliveries.Len() != 0 {
		t.Error(err)
	}
	if _, err := c.EndDelivery(t.Context(), request); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is not delivered to %s", folder)) {
		t.Error(err)
	}
}
