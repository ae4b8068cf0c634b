package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// ChallengeProtocol is what a CA that looks by TLS asks for, and nothing else
// (RFC 8737 §6.2). A connection that negotiated it carries no request.
const ChallengeProtocol = "acme-tls/1"

// challengeConfig is for a CA that looks for a proof that is expected now; nil
// for everybody else.
func challengeConfig(ring *Ring, hello *tls.ClientHelloInfo) *tls.Config {
	if ring == nil || len(ring.proofs) == 0 || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != ChallengeProtocol {
		return nil
	}
	proof, ok := ring.proofs[canonical(hello.ServerName)]
	if !ok {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{ChallengeProtocol},
		Certificates: []tls.Certificate{*proof}, SessionTicketsDisabled: true,
	}
}

// challenges makes the certificates that prove names by TLS, by the server name
// under which a CA asks for them. Those that are there already are used again.
// k.mu is held.
func (k *Keyring) challenges(s *albion.State) (map[string]*tls.Certificate, error) {
	byName, wanted := map[string]*tls.Certificate{}, map[string]bool{}
	for _, a := range s.Answers() {
		if a.Challenge != albion.ChallengeALPN {
			continue
		}
		id := a.Domain + "\x00" + a.Proof
		wanted[id] = true
		if k.proofs[id] == nil {
			proof, err := k.prove(a)
			if err != nil {
				return nil, err
			}
			k.proofs[id] = proof
		}
		byName[serverName(a.Domain)] = k.proofs[id]
	}
	for id := range k.proofs {
		if !wanted[id] {
			delete(k.proofs, id)
		}
	}
	return byName, nil
}

// prove makes the certificate of RFC 8737 §3: self-signed, for exactly the name,
// with the digest of the key authorization in a critical extension.
func (k *Keyring) prove(a albion.Answer) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), k.rand)
	if err != nil {
		return nil, fmt.Errorf("keyring: make a key for a challenge: %w", err)
	}
	digest := sha256.Sum256([]byte(a.Proof))
	value, err := asn1.Marshal(digest[:])
	if err != nil {
		return nil, fmt.Errorf("keyring: make a challenge: %w", err)
	}
	now := k.now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ACME challenge"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		ExtraExtensions: []pkix.Extension{{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}, Critical: true, Value: value, // id-pe-acmeIdentifier
		}},
	}
	if ip := net.ParseIP(a.Domain); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{a.Domain}
	}
	der, err := x509.CreateCertificate(k.rand, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("keyring: make a challenge: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// serverName is the name in the ClientHello of a CA that looks for a domain: of
// an address it is the one in the reverse DNS (RFC 8738 §6).
func serverName(domain string) string {
	ip, err := netip.ParseAddr(domain)
	if err != nil {
		return domain
	}
	var labels []string
	if ip.Is4() {
		for _, b := range ip.AsSlice() {
			labels = append(labels, strconv.Itoa(int(b)))
		}
		slices.Reverse(labels)
		return strings.Join(labels, ".") + ".in-addr.arpa"
	}
	for _, digit := range hex.EncodeToString(ip.AsSlice()) {
		labels = append(labels, string(digit))
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".") + ".ip6.arpa"
}
