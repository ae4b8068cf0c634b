package albion_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
)

const inAWS = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"

func delivering(w *world, kind albion.DeliveryKind, to string) *albion.Draft {
	d := w.draft()
	albion.Put(d, &albion.Delivery{ID: albion.DeliveryID(w.cert.ARN, kind, to), Certificate: w.cert.ARN, Kind: kind, To: to})
	return d
}

func TestDeliveriesGoWithTheirCertificate(t *testing.T) {
	w := newWorld()
	dir := filepath.Join(t.TempDir(), "certs")
	d := delivering(w, albion.Live, dir)
	albion.Put(d, &albion.Delivery{ID: albion.DeliveryID(w.cert.ARN, albion.InACM, inAWS), Certificate: w.cert.ARN, Kind: albion.InACM, To: inAWS})
	s, err := d.Finish()
	if err != nil || s.Deliveries.Len() != 2 {
		t.Fatal(err)
	}
	d = albion.NewDraft(s)
	albion.DeleteCertificate(d, w.cert.ARN)
	if d.Deliveries.Len() != 0 {
		t.Errorf("%d are left", d.Deliveries.Len())
	}
}

func TestDeliveriesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*albion.Delivery)
		field  string
	}{
		"a place unknown":     {func(v *albion.Delivery) { v.Kind = "ftp" }, "Kind"},
		"a relative folder":   {func(v *albion.Delivery) { v.To = "certs" }, "To"},
		"no folder":           {func(v *albion.Delivery) { v.To = "" }, "To"},
		"a line":              {func(v *albion.Delivery) { v.To = "/a\nb" }, "To"},
		"a certificate gone":  {func(v *albion.Delivery) { v.Certificate = "arn:gone" }, "Certificate"},
		"an ARN of ours":      {func(v *albion.Delivery) { v.Kind, v.To = albion.InACM, string(v.Certificate) }, "To"},
		"a balancer's ARN":    {func(v *albion.Delivery) { v.Kind, v.To = albion.InACM, strings.Replace(inAWS, ":acm:", ":iam:", 1) }, "To"},
		"too much to be said": {func(v *albion.Delivery) { v.Last = &albion.Setback{Words: strings.Repeat("x", 4096)} }, "Last"},
	} {
		w := newWorld()
		d := w.draft()
		v := &albion.Delivery{Certificate: w.cert.ARN, Kind: albion.Live, To: filepath.Join(t.TempDir(), "x")}
		c.change(v)
		v.ID = albion.DeliveryID(v.Certificate, v.Kind, v.To)
		albion.Put(d, v)
		_, err := d.Finish()
		if !strings.Contains(fields(err), c.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld()
	d := delivering(w, albion.Live, filepath.Join(t.TempDir(), "x"))
	for v := range d.Deliveries.All() {
		other := *v
		other.ID = "another"
		albion.Put(d, &other)
	}
	if _, err := d.Finish(); !strings.Contains(fields(err), "ID") {
		t.Errorf("an identity that is none: %v", err)
	}
}

func TestACMRegion(t *testing.T) {
	for arn, want := range map[string]string{
		inAWS: "eu-central-1",
		strings.Replace(inAWS, "arn:aws:", "arn:aws-us-gov:", 1):    "eu-central-1",
		strings.Replace(inAWS, "eu-central-1", "us-gov-west-1", 1):  "us-gov-west-1",
		strings.Replace(inAWS, "eu-central-1", "ap-southeast-2", 1): "ap-southeast-2",
		string(albion.CertificateARN([16]byte{1})):                  `!is a certificate of Albion's own`,
		"chat.example.com": "!is no ARN",
		strings.Replace(inAWS, ":acm:", ":elasticloadbalancing:", 1):          `!is an ARN of "elasticloadbalancing" and not of ACM`,
		strings.Replace(inAWS, "certificate/", "", 1):                         "!is not the ARN of a certificate in ACM",
		strings.Replace(inAWS, "eu-central-1", "eu-central-1.example.com", 1): "!is not the ARN of a certificate in ACM",
		inAWS + "\n": "!is not the ARN of a certificate in ACM",
	} {
		region, err := albion.ACMRegion(arn)
		if problem, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), problem) || albion.CodeOf(err) != albion.CodeInvalidParameter {
				t.Errorf("%q: %q, %v", arn, region, err)
			}
		} else if err != nil || region != want {
			t.Errorf("%q: %q, %v", arn, region, err)
		}
	}
}

// fields lists which fields an error is about.
func fields(err error) string {
	var all []string
	var walk func(error)
	walk = func(err error) {
		var e *albion.Error
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range many.Unwrap() {
				walk(one)
			}
		} else if errors.As(err, &e) {
			all = append(all, e.Field)
		}
	}
	walk(err)
	return strings.Join(all, " ")
}
