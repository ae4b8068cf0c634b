package certbot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path/filepath"
	"strings"
)

// Account is an account at a CA.
type Account struct {
	ID        string // certbot's: hexadecimal
	Directory string // URL of the CA's directory
	URL       string // of the account; "" when what is kept is that of ACME's first version
	Email     string // or ""
	Key       crypto.Signer
}

// account reads the account with this id at a CA. Certbot looks in the folder of
// the CA and, since the second version of ACME took the accounts of the first
// over, in that one's.
func (r *reader) account(server, id string) (*Account, error) {
	if id == "" {
		return nil, errors.New("the lineage names no account")
	}
	if strings.Trim(id, "0123456789abcdefABCDEF") != "" || len(id) > 128 {
		return nil, errors.New("the name of the account is not hexadecimal")
	}
	var problem error
	for _, place := range accountServers(server) {
		folder, err := serverFolder(place)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(r.dir, "accounts", folder, id)
		a, err := r.readAccount(dir)
		if err == nil {
			a.ID, a.Directory = id, server
			a.URL = sameHost(a.URL, server)
			return a, nil
		}
		if problem == nil {
			problem = err
		}
	}
	return nil, problem
}

// accountServers lists where certbot looks for an account, as addresses of CAs.
func accountServers(server string) []string {
	servers := []string{server}
	for first, second := range firstVersion {
		if second == server {
			servers = append(servers, first)
		}
	}
	return servers
}

// serverFolder is the folder of a CA's accounts: its directory's address without
// the scheme.
func serverFolder(server string) (string, error) {
	_, rest, ok := strings.Cut(server, "://")
	folder := filepath.FromSlash(strings.TrimSuffix(rest, "/"))
	if !ok || !filepath.IsLocal(folder) {
		return "", errors.New("the address of its CA is none")
	}
	return folder, nil
}

// sameHost returns an account's address if it is one of the directory's host, and
// "" otherwise: the CA finds the account by its key then (RFC 8555 §7.3.1).
func sameHost(account, directory string) string {
	a, err := url.Parse(account)
	d, failed := url.Parse(directory)
	if err != nil || failed != nil || a.Host != d.Host || a.Scheme != "https" {
		return ""
	}
	return account
}

func (r *reader) readAccount(dir string) (*Account, error) {
	keyFile := filepath.Join(dir, "private_key.json")
	data, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	key, err := ParseJWK(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	a := &Account{Key: key}
	// The key is enough for the CA to find the account, should the rest be missing.
	if registration, err := readFile(filepath.Join(dir, "regr.json")); err == nil {
		a.registered(registration)
	}
	return a, nil
}

// registered takes what the CA answered when the account was made.
func (a *Account) registered(data []byte) {
	var kept struct {
		URI  string `json:"uri"`
		Body struct {
			Contact []string `json:"contact"`
		} `json:"body"`
	}
	if json.Unmarshal(data, &kept) != nil {
		return
	}
	a.URL = kept.URI
	for _, contact := range kept.Body.Contact {
		if email, ok := strings.CutPrefix(contact, "mailto:"); ok && a.Email == "" && isEmail(email) {
			a.Email = email
		}
	}
}

// isEmail says whether a text is one plain e-mail address. Others are not worth
// keeping: no CA needs them.
func isEmail(text string) bool {
	local, host, ok := strings.Cut(text, "@")
	strange := strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>,;?&\"", r) })
	return ok && local != "" && host != "" && !strange && !strings.Contains(host, "@") && len(text) <= 254
}

const (
	minRSABits = 2048 // CAs accept no less (Let's Encrypt, "Integration Guide")
	maxRSABits = 8192
)

// ParseJWK reads a private key of RSA, or of ECDSA on P-256, P-384 or P-521, as
// JSON (RFC 7517, RFC 7518 §6.2 and §6.3). Errors say nothing of what it holds.
func ParseJWK(data []byte) (crypto.Signer, error) {
	var jwk struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		X   string `json:"x"`
		Y   string `json:"y"`
		N   string `json:"n"`
		E   string `json:"e"`
		D   string `json:"d"`
		P   string `json:"p"`
		Q   string `json:"q"`
	}
	if json.Unmarshal(data, &jwk) != nil {
		return nil, errors.New("the key is not a JSON web key")
	}
	switch jwk.Kty {
	case "RSA":
		return rsaKey(jwk.N, jwk.E, jwk.D, jwk.P, jwk.Q)
	case "EC":
		return ecKey(jwk.Crv, jwk.X, jwk.Y, jwk.D)
	}
	return nil, errors.New("the key is of a kind that no CA takes: expected RSA or EC")
}

var errJWK = errors.New("the JSON web key is damaged")

func rsaKey(n, e, d, p, q string) (crypto.Signer, error) {
	var number [5]*big.Int
	for i, text := range []string{n, e, d, p, q} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil || len(raw) == 0 || len(raw) > maxRSABits/8+1 {
			return nil, errJWK
		}
		number[i] = new(big.Int).SetBytes(raw)
	}
	bits, exponent := number[0].BitLen(), number[1]
	if bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("an RSA key of %d bits is none that a CA takes", bits)
	}
	if !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 {
		return nil, errJWK
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number[0], E: int(exponent.Int64())},
		D:         number[2], Primes: []*big.Int{number[3], number[4]},
	}
	key.Precompute()
	if key.Validate() != nil {
		return nil, errJWK
	}
	return key, nil
}

func ecKey(crv, x, y, d string) (crypto.Signer, error) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[crv]
	if curve == nil {
		return nil, errors.New("the key is on a curve that no CA takes: expected P-256, P-384 or P-521")
	}
	size := (curve.Params().BitSize + 7) / 8
	var part [3][]byte
	for i, text := range []string{x, y, d} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil || len(raw) == 0 || len(raw) > size {
			return nil, errJWK
		}
		part[i] = append(make([]byte, size-len(raw)), raw...) // some writers leave zeros out
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, part[2])
	if err != nil {
		return nil, errJWK
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, part[0]...), part[1]...))
	if err != nil || !key.PublicKey.Equal(public) {
		return nil, errJWK
	}
	return key, nil
}
