package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/acm"

	"github.com/albion-lb/albion/internal/acme/acmetest"
	"github.com/albion-lb/albion/internal/awsclient/awstest"
)

// The story's last row: a certificate of Let's Encrypt reaches ACM under the ARN
// that listeners show, now and at every renewal. AWS's own client reads it back.
func TestRenewalsReachACM(t *testing.T) {
	awstest.New(t)
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-central-1"))
	if err != nil {
		t.Fatal(err)
	}
	client := acm.NewFromConfig(cfg)
	i := newIssuing(t, acmetest.Options{Profiles: map[string]acmetest.Profile{"brief": {ValidityPeriod: 60}}})
	said, end := i.up("--issuer", i.ca.Directory, "--ca-root", i.root, "--accept-tos")
	defer end()
	said("is in place")

	// What people begin with: an import by hand.
	dir := t.TempDir()
	if out, err := i.command("cert", "export", "chat.example.com", "--dir", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	imported, err := client.ImportCertificate(t.Context(), &acm.ImportCertificateInput{
		Certificate: read(t, dir, "cert.pem"), CertificateChain: read(t, dir, "chain.pem"), PrivateKey: read(t, dir, "privkey.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := aws.ToString(imported.CertificateArn)
	inACM := func() string {
		t.Helper()
		got, err := client.GetCertificate(t.Context(), &acm.GetCertificateInput{CertificateArn: &arn})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(aws.ToString(got.Certificate))
	}

	out, err := i.command("cert", "push-acm", "chat.example.com", "--arn", arn, "--dry-run")
	if err != nil || !strings.Contains(out, "chain  1 besides the leaf") || !strings.Contains(out, "key    EC_prime256v1 (not shown)") ||
		!strings.Contains(out, "chat.example.com, imported, ISSUED, EC_prime256v1") || !strings.Contains(out, "nothing was sent") || strings.Contains(out, "PRIVATE") {
		t.Errorf("%v\n%s", err, out)
	}
	other := strings.Replace(arn, arn[len(arn)-4:], "0000", 1)
	if out, err := i.command("cert", "push-acm", "chat.example.com", "--arn", other); err == nil || !strings.Contains(out, "ResourceNotFoundException") || !strings.Contains(out, "it is tried again by itself; `albion cert delivery remove") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := i.command("cert", "delivery", "remove", "chat.example.com", "--arn", other); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := i.command("cert", "push-acm", "chat.example.com", "--arn", arn, "--once"); err != nil || !strings.Contains(out, "once") {
		t.Errorf("%v\n%s", err, out)
	}

	out, err = i.command("cert", "push-acm", "chat.example.com", "--arn", arn, "--json")
	var report struct{ State, Region string }
	if err != nil || json.Unmarshal([]byte(out), &report) != nil || report.State != "ok" || report.Region != "eu-central-1" {
		t.Fatalf("%v\n%s", err, out)
	}
	first := inACM()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(2 * patience); inACM() == first; {
		if time.Now().After(over) {
			out, _ := i.command("cert", "list")
			t.Fatalf("no renewal has reached ACM\n%s", out)
		}
		<-tick.C
	}
	all, err := client.ListCertificates(t.Context(), &acm.ListCertificatesInput{})
	if err != nil || len(all.CertificateSummaryList) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if out, err := i.command("cert", "delivery", "list"); err != nil || !strings.Contains(out, arn) {
		t.Errorf("%v\n%s", err, out)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
