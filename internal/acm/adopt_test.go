package acm_test

import (
	"crypto/x509"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

const someCA = "https://ca.example.com/directory"

func adoption(t *testing.T, b *acm.Bundle) acm.Adoption {
	t.Helper()
	return acm.Adoption{
		Name: "chat", Bundle: b, Directory: someCA, Challenge: "http", Now: noon, ID: [16]byte{7},
		Account: &acm.AdoptedAccount{Directory: someCA, Email: "me@example.com", URL: someCA + "/acct/1", Key: rsa2048()},
	}
}

// adopt applies an Adoption to a State and returns the next one.
func adopt(t *testing.T, s *albion.State, in acm.Adoption) (acm.Adopted, *albion.State) {
	t.Helper()
	d := albion.NewDraft(s)
	out, err := acm.Adopt(d, in)
	if err != nil {
		t.Fatal(err)
	}
	return out, must(d.Finish())(t)
}

// keyed is a certificate with a key identifier, as every CA's is: without one
// nothing can be said to be replaced.
func keyed(t *testing.T, changes ...change) *acm.Bundle {
	t.Helper()
	w := newWeb(t, ec256())
	w.leaf = issue(t, &w.mid, ec256(), server("chat.example.com"), changes...)
	return bundle(t, w.leaf, w.mid, w.upper)
}

func TestAnAdoptedCertificateIsRenewedByTheAccountThatIssuedIt(t *testing.T) {
	out, s := adopt(t, &albion.State{}, adoption(t, keyed(t)))
	cert, _ := s.Certificates.Get(string(out.Certificate.ARN))
	i, _ := s.Issuances.Get(string(cert.ARN))
	account, ok := s.Registrations.Get(i.Account)
	if !ok || account.URL != someCA+"/acct/1" || cert.Issuer != albion.ACME || cert.Pending || cert.Request.Way() != "http" || cert.Request.Email != "me@example.com" || !out.Exempt {
		t.Errorf("%+v %+v %+v", cert, i, account)
	}
	// Nothing is due before its time.
	d := albion.NewDraft(s)
	show(d, cert.ARN)
	for _, due := range acm.Plan(must(d.Finish())(t), noon) {
		if due.Deed == acm.Obtain && !due.At.After(noon) {
			t.Errorf("%+v", due)
		}
	}
}

func TestAdoptingAgainChangesNothing(t *testing.T) {
	in := adoption(t, keyed(t))
	first, s := adopt(t, &albion.State{}, in)
	again, s2 := adopt(t, s, in)
	if !again.Kept || again.Certificate.ARN != first.Certificate.ARN || s2 != s {
		t.Errorf("%+v", again)
	}
	// What has been renewed here is not put back.
	in.Bundle = keyed(t, func(c *x509.Certificate) { c.NotBefore = noon.AddDate(0, 0, -40) })
	if out, s3 := adopt(t, s, in); !out.Kept || s3 != s {
		t.Errorf("%+v", out)
	}
	// What certbot has renewed since is taken.
	in.Bundle = keyed(t, func(c *x509.Certificate) { c.NotBefore = noon.AddDate(0, 0, -1) })
	if out, _ := adopt(t, s, in); out.Kept || out.Certificate.ARN != first.Certificate.ARN {
		t.Errorf("%+v", out)
	}
}

func TestAnImportedNameKeepsItsARN(t *testing.T) {
	d := albion.NewDraft(&albion.State{})
	old := must(acm.Put(d, acm.Import{Name: "chat", Bundle: bundle(t, newWeb(t, ec384()).leaf), Now: noon, ID: [16]byte{1}}))(t)
	if out, _ := adopt(t, must(d.Finish())(t), adoption(t, keyed(t))); out.Certificate.ARN != old.ARN {
		t.Error("another ARN")
	}
}

// Another account of ours at the same CA, with which certificates were issued, is
// not given up.
func TestAnAccountInUseStays(t *testing.T) {
	in := adoption(t, keyed(t))
	_, s := adopt(t, &albion.State{}, in)
	other := in
	other.Name, other.ID = "other", [16]byte{8}
	account := *in.Account
	account.Key, account.URL = ec384(), someCA+"/acct/2"
	other.Account = &account
	out, s := adopt(t, s, other)
	i, _ := s.Issuances.Get(string(out.Certificate.ARN))
	if out.Exempt || i.Account != "" || s.Registrations.Len() != 1 {
		t.Errorf("%+v %+v", out, i)
	}
	for a := range s.Registrations.All() {
		if a.URL != someCA+"/acct/1" {
			t.Errorf("%+v", a)
		}
	}
}

func TestAdoptionsThatAreRefusedChangeNothing(t *testing.T) {
	for name, change := range map[string]func(*acm.Adoption){
		"a method unknown": func(a *acm.Adoption) { a.Challenge = "dns-magic" },
		"no address":       func(a *acm.Adoption) { a.Directory = "http://ca.example.com/" },
		"no root":          func(a *acm.Adoption) { a.Roots = "x" },
	} {
		in := adoption(t, keyed(t))
		change(&in)
		d := albion.NewDraft(&albion.State{})
		if _, err := acm.Adopt(d, in); albion.CodeOf(err) == "" || len(d.Changes()) > 0 {
			t.Errorf("%s: %v, %v", name, err, d.Changes())
		}
	}
}
