package keyring

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/albion-lb/albion"
)

// parsed is a certificate and what it was parsed from. Comparing the sources is
// cheap, and cannot go wrong as comparing dates or serial numbers can.
type parsed struct {
	chain  string
	secret albion.Secret
	shown  *shown
}

// Compile makes the Ring of an HTTPS listener. Only certificates that have
// changed since they were last compiled, for any listener, are parsed: 10,000
// and one change cost milliseconds.
//
// An error means that the State breaks its own rules: a certificate is missing,
// or its key does not belong to it.
func (k *Keyring) Compile(s *albion.State, l *albion.Listener) (*Ring, error) {
	if len(l.Certificates) == 0 {
		return nil, fmt.Errorf("keyring: listener %s has no certificate", l.ARN)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(s)
	certs := make([]*shown, 0, len(l.Certificates))
	for _, arn := range l.Certificates {
		shown, err := k.shown(s, arn)
		if err != nil {
			return nil, err
		}
		certs = append(certs, shown)
	}
	ring := newRing(certs)
	var err error
	ring.proofs, err = k.challenges(s)
	return ring, err
}

// forget drops what the State no longer has, once that is worth the look.
func (k *Keyring) forget(s *albion.State) {
	if len(k.parsed) <= s.Certificates.Len() {
		return
	}
	for arn := range k.parsed {
		if _, ok := s.Certificates.Get(string(arn)); !ok {
			delete(k.parsed, arn)
		}
	}
}

// shown returns one certificate, parsed now or before.
func (k *Keyring) shown(s *albion.State, arn albion.ARN) (*shown, error) {
	cert, ok := s.Certificates.Get(string(arn))
	if !ok {
		return nil, fmt.Errorf("keyring: there is no certificate %s", arn)
	}
	key, ok := s.Keys.Get(string(arn))
	if !ok {
		return nil, fmt.Errorf("keyring: the key of %s is missing", arn)
	}
	if old, ok := k.parsed[arn]; ok && old.chain == cert.Chain && bytes.Equal(old.secret, key.Secret) {
		return old.shown, nil
	}
	pair, err := parse(cert.Chain, key.Secret)
	if err != nil {
		return nil, fmt.Errorf("keyring: certificate %s: %w", arn, err)
	}
	fresh := newShown(arn, pair)
	k.parsed[arn] = parsed{cert.Chain, key.Secret, fresh}
	return fresh, nil
}

// parse makes what crypto/tls serves. Errors never quote the key.
func parse(chain string, secret albion.Secret) (*tls.Certificate, error) {
	pair := &tls.Certificate{}
	for rest := []byte(chain); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		pair.Certificate = append(pair.Certificate, b.Bytes)
	}
	if len(pair.Certificate) == 0 {
		return nil, errors.New("the chain is empty")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return nil, errors.New("the key is damaged")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return nil, errors.New("the key belongs to another certificate")
	}
	pair.Leaf, pair.PrivateKey = leaf, signer
	return pair, nil
}
