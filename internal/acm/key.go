package acm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
)

const (
	maxKeyBytes = 8 << 10 // of a key's DER; RSA 8192 takes 4.7 KB
	minRSABits  = 2048    // ALB, "SSL certificates for your Application Load Balancer"
	maxRSABits  = 8192    // beyond it crypto/tls and browsers refuse, and a handshake costs too much
)

// parseKey reads a private key of any common form, whatever its label says.
// Errors name the place and never the contents, so those of the parsers are
// dropped.
func parseKey(b block) (crypto.Signer, error) {
	label := b.pem.Type
	switch {
	case strings.Contains(label, "ENCRYPTED") || strings.Contains(b.pem.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, refuse(fieldKey, "%s: the private key is encrypted: decrypt it first (openssl pkey -in FILE -out privkey.pem)", b.source)
	case strings.HasPrefix(label, "OPENSSH"):
		return nil, refuse(fieldKey, "%s holds an SSH key: give the private key with which the certificate was requested", b.source)
	case len(b.pem.Bytes) > maxKeyBytes:
		return nil, refuse(fieldKey, "%s: the private key is larger than %d bytes: use RSA 2048 or ECDSA P-256", b.source, maxKeyBytes)
	case strings.HasPrefix(label, "DSA"):
		return nil, refuse(fieldKey, "%s: browsers do not accept DSA keys: use RSA 2048 or ECDSA P-256", b.source)
	}
	key, ok := parseKeyDER(b.pem.Bytes)
	if !ok {
		return nil, refuse(fieldKey, "%s: the private key on line %d cannot be read: it is damaged or of a kind that browsers do not accept", b.source, b.line)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, refuse(fieldKey, "%s: this kind of key cannot sign: use RSA 2048 or ECDSA P-256", b.source)
	}
	if reason := weakKey(signer.Public()); reason != "" {
		return nil, refuse(fieldKey, "%s: %s", b.source, reason)
	}
	return signer, nil
}

// parseKeyDER tries PKCS #8 (RFC 5958), PKCS #1 (RFC 8017 A.1.2) and SEC 1
// (RFC 5915).
func parseKeyDER(der []byte) (any, bool) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, true
	}
	return nil, false
}

// weakKey says why a key cannot serve browsers, or "".
func weakKey(public crypto.PublicKey) string {
	const use = ": use RSA 2048 or ECDSA P-256"
	switch k := public.(type) {
	case *rsa.PublicKey:
		switch bits := k.N.BitLen(); {
		case bits < minRSABits:
			return fmt.Sprintf("an RSA key of %d bits is too short for browsers%s", bits, use)
		case bits > maxRSABits:
			return fmt.Sprintf("an RSA key of %d bits is too long for browsers%s", bits, use)
		}
		return ""
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return ""
		}
		return "browsers do not accept ECDSA keys on this curve" + use
	case ed25519.PublicKey:
		return "browsers do not accept Ed25519 keys" + use
	}
	return "browsers do not accept keys of this kind" + use
}

// keyWords describes a key for people: "RSA 2048", "ECDSA P-256".
func keyWords(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	}
	return "other"
}

// keyAlgorithm is ACM's word for a key (CertificateDetail$KeyAlgorithm).
func keyAlgorithm(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA_%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return "EC_prime256v1"
		case elliptic.P384():
			return "EC_secp384r1"
		case elliptic.P521():
			return "EC_secp521r1"
		}
	}
	return ""
}

// samePublic says whether two public keys are one.
func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
