package awsclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/acm"

	"github.com/albion-lb/albion/internal/awsclient"
	"github.com/albion-lb/albion/internal/awsclient/awstest"
)

// authority issues certificates for ACM.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	a.cert = a.sign(template, template, key.Public())
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// issue makes what is imported, with a key of RSA.
func (a *authority) issue(serial int64, names ...string) awsclient.ACMContents {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public())
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return awsclient.ACMContents{Certificate: pemOf("CERTIFICATE", leaf.Raw), Chain: pemOf("CERTIFICATE", a.cert.Raw), Key: pemOf("PRIVATE KEY", secret)}
}

func pemOf(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// sdk is AWS's own client, against which ours is held.
func sdk(t *testing.T) *acm.Client {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-central-1"))
	if err != nil {
		t.Fatal(err)
	}
	return acm.NewFromConfig(cfg)
}

// first imports a certificate as people do once, and returns its ARN.
func first(t *testing.T, c awsclient.ACMContents) string {
	t.Helper()
	out, err := sdk(t).ImportCertificate(t.Context(), &acm.ImportCertificateInput{Certificate: c.Certificate, CertificateChain: c.Chain, PrivateKey: c.Key})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.CertificateArn)
}

func session(t *testing.T, region string) *awsclient.Session {
	t.Helper()
	s, err := awsclient.Load(t.Context(), awsclient.Config{Region: region})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestACertificateInACMIsReplacedUnderItsARN(t *testing.T) {
	awstest.New(t)
	ca := newAuthority(t)
	old, fresh := ca.issue(17, "chat.example.com"), ca.issue(0xabc, "chat.example.com", "www.example.com")
	arn := first(t, old)
	s := session(t, "eu-central-1")
	there, err := s.DescribeACM(t.Context(), arn)
	if err != nil || !there.Imported || there.ARN != arn || there.KeyAlgorithm != "RSA_2048" || there.Domain != "chat.example.com" {
		t.Fatalf("%+v, %v", there, err)
	}
	if err := s.ImportACM(t.Context(), arn, fresh); err != nil {
		t.Fatal(err)
	}
	if there, err = s.DescribeACM(t.Context(), arn); err != nil || !slices.Contains(there.Names, "www.example.com") {
		t.Errorf("%+v, %v", there, err)
	}
	// What AWS's own client reads back is the leaf and the chain, apart.
	got, err := sdk(t).GetCertificate(t.Context(), &acm.GetCertificateInput{CertificateArn: aws.String(arn)})
	// Moto puts Amazon's root behind every chain.
	if err != nil || strings.TrimSpace(aws.ToString(got.Certificate)) != strings.TrimSpace(string(fresh.Certificate)) || !strings.HasPrefix(aws.ToString(got.CertificateChain), string(fresh.Chain)) {
		t.Errorf("%+v, %v", got, err)
	}
	all, err := sdk(t).ListCertificates(t.Context(), &acm.ListCertificatesInput{})
	if err != nil || len(all.CertificateSummaryList) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	// Without a chain there is none.
	alone := fresh
	alone.Chain = nil
	if err := s.ImportACM(t.Context(), arn, alone); err != nil {
		t.Error(err)
	}
}

// answering stands in AWS's place for answers that moto does not give.
func answering(t *testing.T, status int, body string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
}

func TestWhatACMRefusesIsSaidPlainly(t *testing.T) {
	const arn = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
	for name, c := range map[string]struct {
		arrange      func(*testing.T)
		code, advice string
	}{
		"access denied": {func(t *testing.T) {
			answering(t, 400, `{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::1:user/x is not authorized to perform: acm:ImportCertificate"}`)
		}, "AccessDeniedException", "allow it in the IAM policy"},
		"another kind of key": {func(t *testing.T) {
			answering(t, 400, `{"__type":"ValidationException","message":"The certificate's key algorithm differs from the previous one."}`)
		}, "ValidationException", "ACM keeps the type and size of a certificate's key"},
		"a bad token": {func(t *testing.T) {
			answering(t, 400, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
		}, "UnrecognizedClientException", "look at the credentials, and at this machine's clock"},
		"no credentials": {func(t *testing.T) {
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
				t.Setenv(name, "")
			}
		}, "", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		"nobody there": {func(t *testing.T) { t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1") }, "", "AWS was not reached: look at the network and at the region eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range map[string]string{
				"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
				"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
			} {
				t.Setenv(name, value)
			}
			c.arrange(t)
			err := session(t, "eu-central-1").ImportACM(t.Context(), arn, awsclient.ACMContents{Certificate: []byte("x"), Key: []byte("the secret")})
			var e *awsclient.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Advice, c.advice) || strings.Contains(err.Error(), "the secret") {
				t.Errorf("%v", err)
			}
		})
	}
}

// With moto, which judges by itself.
func TestWhatMotoRefuses(t *testing.T) {
	awstest.New(t)
	ca := newAuthority(t)
	one, other := ca.issue(1, "chat.example.com"), ca.issue(2, "chat.example.com")
	arn := first(t, one)
	var e *awsclient.Error
	if err := session(t, "us-east-1").ImportACM(t.Context(), arn, other); !errors.As(err, &e) || e.Code != "ResourceNotFoundException" || !strings.Contains(e.Advice, "no such certificate in us-east-1") {
		t.Errorf("another region: %v", err)
	}
	mixed := one
	mixed.Key = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	if err := session(t, "eu-central-1").ImportACM(t.Context(), arn, mixed); !errors.As(err, &e) || e.Code != "ValidationException" || strings.Contains(err.Error(), "AAAA") {
		t.Errorf("a key that is none: %v", err)
	}
}
