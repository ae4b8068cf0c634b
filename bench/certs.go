package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificate is one that balancers show, in files.
type certificate struct {
	Name        string // the only one it is for
	Certificate string // PEM files: leaf and issuer
	Key         string
	Combined    string // both in one
}

// issuer is a certificate authority that lives for one run.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

// life is how long certificates hold: longer than any run.
const life = 30 * 24 * time.Hour

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &issuer{key: key, cert: cert, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// issue writes certificate number n, for name, into dir.
func (a *issuer) issue(dir, name string, n int) (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(int64(n + 2)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return certificate{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return certificate{}, err
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), a.pem...)
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	base := filepath.Join(dir, name)
	c := certificate{Name: name, Certificate: base + ".crt", Key: base + ".key", Combined: base + ".pem"}
	for path, data := range map[string][]byte{c.Certificate: chain, c.Key: keyPEM, c.Combined: append(chain[:len(chain):len(chain)], keyPEM...)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return certificate{}, fmt.Errorf("bench: %w", err)
		}
	}
	return c, nil
}

// issueMany writes n certificates for names below example.com.
func (a *issuer) issueMany(dir string, n int) ([]certificate, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	all := make([]certificate, 0, n)
	for i := range n {
		c, err := a.issue(dir, fmt.Sprintf("n%05d.example.com", i), i+1)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}
