package albion

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Certificate is what an HTTPS listener shows: a chain, and elsewhere, under the
// same ARN, the key that belongs to it. A renewal replaces the contents and
// keeps the ARN.
type Certificate struct {
	ARN          ARN
	Name         string   // what people call it; unique
	Domains      []string // DNS names and IP addresses of the leaf
	Chain        string   // PEM: the leaf, then each one's issuer; never the key
	KeyAlgorithm string   // ACM's words: RSA_2048, EC_prime256v1, …
	Serial       string   // of the leaf, hexadecimal with colons, as ACM shows it
	NotBefore    time.Time
	NotAfter     time.Time
	Issuer       Issuer
	Request      *Request `json:",omitempty"` // of one that a CA issues
	Pending      bool     `json:",omitempty"` // the contents are the local authority's, until the CA's are there
	Created      time.Time
	Imported     time.Time // when the contents last changed
	Told         EventKind `json:",omitempty"` // at-risk or expired, of these contents, when that has been said
	Origin       Origin
}

// Issuer says where the next contents of a certificate come from.
type Issuer string

// Imported certificates come from outside and are replaced from outside; local
// ones are made and renewed by the balancer's own authority; those of ACME are
// requested and renewed from the CA that their Request names.
const (
	Imported Issuer = "imported"
	Local    Issuer = "local"
	ACME     Issuer = "acme"
)

// Authority is a certificate authority of the balancer's own. Its key is the Key
// with the name "authority/" and its own.
type Authority struct {
	Name  string
	Chain string // PEM, one self-signed certificate
}

// KeyName is the name of the Key of this authority.
func (a *Authority) KeyName() string { return "authority/" + a.Name }

// Key is a secret: the private key of the certificate whose ARN it has for a
// name (PKCS #8, DER), or another secret of the balancer's own.
type Key struct {
	Name   string
	Secret Secret
}

// StickinessKey is the name of the key that seals stickiness cookies: 32 random
// bytes.
const StickinessKey = "stickiness"

// Secret is bytes that no log line, message or document may show. All its
// renderings are the same.
type Secret []byte

const hidden = "[secret]"

// Format is there because String alone leaves %d and its like to print the bytes.
func (Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, hidden) }
func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

func (c *Certificate) called() string                    { return c.Name }
func (c *Certificate) Identity() string                  { return string(c.ARN) }
func (*Certificate) kind() Kind                          { return KindCertificate }
func (*Certificate) table(s *State) *Table[*Certificate] { return &s.Certificates }

func (a *Authority) Identity() string                { return a.Name }
func (*Authority) kind() Kind                        { return KindAuthority }
func (*Authority) table(s *State) *Table[*Authority] { return &s.Authorities }

func (k *Key) Identity() string          { return k.Name }
func (*Key) kind() Kind                  { return KindKey }
func (*Key) table(s *State) *Table[*Key] { return &s.Keys }
