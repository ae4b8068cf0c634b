package acm_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

func ask(t *testing.T, d *albion.Draft, change func(*acm.CARequest)) (*albion.Certificate, bool) {
	t.Helper()
	in := acm.CARequest{Name: "chat", Domains: []string{"chat.example.com"}, Issuer: acm.LetsEncrypt, Now: noon, Rand: rand.Reader, ID: [16]byte{7}}
	if change != nil {
		change(&in)
	}
	cert, changed, err := acm.Request(d, in)
	if err != nil {
		t.Fatal(err)
	}
	return cert, changed
}

func TestARequestIsPendingAndShowsSomethingMeanwhile(t *testing.T) {
	d := draft()
	cert, changed := ask(t, d, func(in *acm.CARequest) { in.Domains = []string{"Bücher.example.com", "192.0.2.1"} })
	if !changed || !cert.Pending || cert.Issuer != albion.ACME || cert.Request.Domains[0] != "xn--bcher-kva.example.com" || len(cert.Domains) != 2 {
		t.Errorf("%+v", cert)
	}
	finish(t, d)
	if fare := acm.FareOf(&d.State, cert, noon, true); fare.Word != acm.StatusPending || fare.Next != "obtained now" || fare.Method != "http or tls-alpn at letsencrypt" {
		t.Errorf("%+v", fare)
	}
	again, changed := ask(t, draft(finish(t, d)), func(in *acm.CARequest) { in.Domains = []string{"Bücher.example.com", "192.0.2.1"} })
	if changed || again.ARN != cert.ARN {
		t.Error("the same request changes something")
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for want, change := range map[string]func(*acm.CARequest){
		"choose one of dns-manual, dns-delegated": func(in *acm.CARequest) { in.Domains = []string{"*.example.com"} },
		"no full domain name":                     func(in *acm.CARequest) { in.Domains = []string{"localhost"} },
		"at least one domain":                     func(in *acm.CARequest) { in.Domains = nil },
		"the CA \"nobody\" is not known":          func(in *acm.CARequest) { in.Issuer = "nobody" },
		"https://app.zerossl.com/developer":       func(in *acm.CARequest) { in.Issuer = "zerossl" },
		"the challenge \"dns-magic\"":             func(in *acm.CARequest) { in.Challenge = "dns-magic" },
		"cannot be proved by dns-manual":          func(in *acm.CARequest) { in.Challenge, in.Domains = "dns-manual", []string{"192.0.2.1"} },
		"cannot be proved by http":                func(in *acm.CARequest) { in.Challenge, in.Domains = "http", []string{"*.example.com"} },
		"the key type \"both\"":                   func(in *acm.CARequest) { in.KeyType = "both" },
		"no certificate in the root":              func(in *acm.CARequest) { in.Roots = "none" },
		"cannot be the name":                      func(in *acm.CARequest) { in.Name = "a b" },
		"the CA \"http://ca.example.com\"":        func(in *acm.CARequest) { in.Issuer = "http://ca.example.com" },
	} {
		in := acm.CARequest{Name: "chat", Domains: []string{"chat.example.com"}, Issuer: acm.LetsEncrypt, Now: noon, Rand: rand.Reader}
		change(&in)
		d := draft()
		if _, _, err := acm.Request(d, in); err == nil || !strings.Contains(err.Error(), want) || albion.CodeOf(err) == "" {
			t.Errorf("%v, want %q", err, want)
		}
		if len(d.Changes()) != 0 {
			t.Errorf("%s: something has changed", want)
		}
	}
}

func TestPrivateNamesAreForPrivateCAs(t *testing.T) {
	for _, name := range []string{"10.0.0.1", "127.0.0.1", "fd00::1", "wiki", "a.corp.local", "*.chat.test", "box.home.arpa"} {
		method := "auto"
		if strings.HasPrefix(name, "*") {
			method = "dns-manual"
		}
		in := acm.CARequest{Domains: []string{"chat.example.com", name}, Issuer: acm.LetsEncrypt, Challenge: method, Now: noon, Rand: rand.Reader, ID: [16]byte{7}}
		for _, issuer := range []string{acm.LetsEncrypt, acm.LetsEncryptStaging, "https://acme-v02.api.letsencrypt.org/directory"} {
			in.Issuer = issuer
			if _, _, err := acm.Request(draft(), in); err == nil || !strings.Contains(err.Error(), "use issuer local for it") {
				t.Errorf("%s at %s: %v", name, issuer, err)
			}
		}
		in.Issuer = "https://ca.corp.example/directory"
		if _, _, err := acm.Request(draft(), in); err != nil {
			t.Errorf("%s at a private CA: %v", name, err)
		}
		in.Fallbacks = []acm.Choice{{Issuer: acm.LetsEncrypt}}
		if _, _, err := acm.Request(draft(), in); err == nil || !strings.Contains(err.Error(), "letsencrypt does not issue for") {
			t.Errorf("%s with a public fallback: %v", name, err)
		}
	}
}

// What is good for the names is shown until the CA's is there; whoever changes
// back to another source leaves nothing behind.
func TestACertificateMovesToACAAndBack(t *testing.T) {
	d := draft()
	old, _ := local(t, d, "chat", noon, "chat.example.com")
	cert, _ := ask(t, d, nil)
	if cert.ARN != old.ARN || cert.Serial != old.Serial || cert.Pending {
		t.Errorf("%+v", cert)
	}
	if due := acm.Plan(finish(t, d), noon)[0]; due.Deed != acm.Obtain || due.At.After(noon) {
		t.Errorf("%+v", due)
	}
	begun(t, d, cert.ARN, noon)
	keys := d.Keys.Len()
	back, _ := local(t, d, "chat", noon, "chat.example.com")
	if back.ARN != old.ARN || back.Request != nil || d.Issuances.Len() != 0 || d.Keys.Len() != keys-1 {
		t.Errorf("%+v, %d issuances", back, d.Issuances.Len())
	}
	finish(t, d)
}

// Whoever asks again is shown what happens from now on, and of what was before only
// the order that goes on.
func TestAskingAgainForgetsTheStepsOfWhatHasEnded(t *testing.T) {
	for _, underWay := range []bool{false, true} {
		d := draft()
		cert, _ := ask(t, d, nil)
		i := &albion.Issuance{Certificate: cert.ARN}
		if underWay {
			begun(t, d, cert.ARN, noon)
			old, _ := d.Issuances.Get(string(cert.ARN))
			*i = *old
		}
		i.Steps = []string{"the CA could not be reached"}
		albion.Put(d, i)
		ask(t, d, func(in *acm.CARequest) { in.Again = true })
		if now, _ := d.Issuances.Get(string(cert.ARN)); (len(now.Steps) == 1) != underWay {
			t.Errorf("under way: %v: %q", underWay, now.Steps)
		}
		finish(t, d)
	}
}

func TestPlan(t *testing.T) {
	ca := newAuthority(t)
	d := draft()
	cert, _ := ask(t, d, nil)
	begun(t, d, cert.ARN, noon)
	ca.complete(d, cert.ARN, noon, 90*day)
	if err := acm.Install(d, cert.ARN, noon); err != nil {
		t.Fatal(err)
	}
	base := finish(t, d)
	plan := func(change func(*albion.Draft), at time.Time) acm.Due {
		d := albion.NewDraft(base)
		change(d)
		return acm.Plan(&d.State, at)[0]
	}
	used := func(d *albion.Draft) { show(d, cert.ARN) }
	window := func(w albion.Window) func(*albion.Draft) {
		return func(d *albion.Draft) {
			used(d)
			if err := acm.Looked(d, cert.ARN, w, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	backstop := noon.Add(60*day - time.Hour)
	for name, c := range map[string]struct {
		change   func(*albion.Draft)
		deed     acm.Deed
		from, to time.Time
	}{
		"nothing shows it":         {func(*albion.Draft) {}, acm.Nothing, time.Time{}, time.Time{}},
		"the CA was not asked yet": {used, acm.Look, time.Time{}, noon},
		"the CA says nothing":      {window(albion.Window{Check: noon.Add(900 * day)}), acm.Obtain, backstop.Add(-2 * day), backstop},
		"the CA says when":         {window(albion.Window{Start: noon.Add(20 * day), End: noon.Add(21 * day), Check: noon.Add(900 * day)}), acm.Obtain, noon.Add(20 * day), noon.Add(21 * day)},
		"long ago":                 {window(albion.Window{Start: noon.Add(-9 * day), End: noon.Add(-8 * day), Check: noon.Add(900 * day)}), acm.Obtain, time.Time{}, noon},
		"far in the future":        {window(albion.Window{Start: noon.Add(8000 * day), End: noon.Add(8001 * day), Check: noon.Add(9000 * day)}), acm.Obtain, backstop.Add(-2 * day), backstop},
		"other names are wanted":   {func(d *albion.Draft) { ask(t, d, func(in *acm.CARequest) { in.Domains = []string{"www.example.com"} }) }, acm.Obtain, time.Time{}, noon},
		"another CA is wanted":     {func(d *albion.Draft) { ask(t, d, func(in *acm.CARequest) { in.Issuer = acm.LetsEncryptStaging }) }, acm.Obtain, time.Time{}, noon},
		"another key is wanted":    {func(d *albion.Draft) { ask(t, d, func(in *acm.CARequest) { in.KeyType = "rsa" }) }, acm.Obtain, time.Time{}, noon},
	} {
		due := plan(c.change, noon)
		if due.Deed != c.deed || due.At.Before(c.from) || due.At.After(c.to) {
			t.Errorf("%s: %+v, want %v between %s and %s", name, due, c.deed, c.from, c.to)
		}
	}
}

// Four certificates for the same names in a week are ours, the fifth is not.
func TestTheBudgetIsBelowTheCAs(t *testing.T) {
	ca := newAuthority(t)
	d := draft()
	cert, _ := ask(t, d, nil)
	for n := range 4 {
		at := noon.Add(time.Duration(n) * 2 * time.Hour)
		if due := acm.Plan(&d.State, at)[0]; due.At.After(at) {
			t.Fatalf("%d: %+v", n, due)
		}
		begun(t, d, cert.ARN, at)
		ca.complete(d, cert.ARN, at, 90*day)
		if err := acm.Install(d, cert.ARN, at); err != nil {
			t.Fatal(err)
		}
		ask(t, d, func(in *acm.CARequest) { in.KeyType = []string{"rsa", "ecdsa"}[n%2] }) // another key is wanted each time
	}
	due := acm.Plan(&d.State, noon.Add(9*time.Hour))[0]
	if due.Deed != acm.Obtain || !due.At.Equal(noon.Add(7*day)) {
		t.Errorf("%+v", due)
	}
}

// What a CA issues for something else is not installed.
func TestWhatWasNotAskedForIsNotInstalled(t *testing.T) {
	ca := newAuthority(t)
	d := draft()
	cert, _ := ask(t, d, nil)
	begun(t, d, cert.ARN, noon)
	ca.complete(d, cert.ARN, noon, 90*day)
	if err := acm.Install(d, cert.ARN, noon.Add(-2*day)); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a leaf of the future: %v", err)
	}
	other, _ := d.Certificates.Get(string(cert.ARN))
	changed, request := *other, *other.Request
	request.Domains = []string{"www.example.com"}
	changed.Request = &request
	albion.Put(d, &changed)
	if err := acm.Install(d, cert.ARN, noon); err == nil || !strings.Contains(err.Error(), "chat.example.com") {
		t.Errorf("a leaf for others: %v", err)
	}
}
