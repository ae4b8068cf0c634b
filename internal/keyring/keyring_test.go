package keyring_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is long ago for a certificate that lasts a day, and all tests share it.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

// Keys are slow to make and say nothing about a test, so each kind is made once.
var (
	p256    = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P256()) })
	p384    = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P384()) })
	rsa2048 = sync.OnceValue(func() crypto.Signer { return rsaKey(2048) })
	rsa3072 = sync.OnceValue(func() crypto.Signer { return rsaKey(3072) })
)

func ecKey(curve elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func rsaKey(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// spec is a self-signed certificate to be.
type spec struct {
	names []string
	key   crypto.Signer
	days  int // of validity from noon; 0 means 30
	arn   albion.ARN
}

// shelf is a State with certificates and one listener that has them all.
type shelf struct {
	state    *albion.State
	listener *albion.Listener
	roots    *x509.CertPool
}

func arn(n int) albion.ARN { return albion.CertificateARN([16]byte{14: byte(n >> 8), 15: byte(n)}) }

// stock makes a State with these certificates, the ARN of the first ending in 0.
func stock(t testing.TB, specs ...spec) shelf {
	t.Helper()
	d := albion.NewDraft(&albion.State{})
	out := shelf{listener: &albion.Listener{ARN: "arn:listener", Protocol: albion.HTTPS}, roots: x509.NewCertPool()}
	for i, s := range specs {
		if s.arn == "" {
			s.arn = arn(i)
		}
		out.roots.AddCert(put(t, d, s))
		out.listener.Certificates = append(out.listener.Certificates, s.arn)
	}
	out.state = &d.State
	return out
}

var serials = func() func() *big.Int {
	var mu sync.Mutex
	n := int64(0)
	return func() *big.Int {
		mu.Lock()
		defer mu.Unlock()
		n++
		return big.NewInt(n)
	}
}()

func put(t testing.TB, d *albion.Draft, s spec) *x509.Certificate {
	t.Helper()
	if s.days == 0 {
		s.days = 30
	}
	template := &x509.Certificate{
		SerialNumber: serials(), Subject: pkix.Name{CommonName: s.names[0]}, DNSNames: s.names,
		NotBefore: noon.AddDate(0, 0, -60), NotAfter: noon.AddDate(0, 0, s.days),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(s.key)
	must(t, err)
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	albion.Put(d, &albion.Certificate{ARN: s.arn, Name: string(s.arn), Chain: string(chain)})
	albion.Put(d, &albion.Key{Name: string(s.arn), Secret: secret})
	return leaf
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func compile(t testing.TB, k *keyring.Keyring, s shelf) *keyring.Ring {
	t.Helper()
	ring, err := k.Compile(s.state, s.listener)
	must(t, err)
	return ring
}

func config(t testing.TB, k *keyring.Keyring, policy string, ring *keyring.Ring) *tls.Config {
	t.Helper()
	c, err := k.Config(policy, func() *keyring.Ring { return ring })
	must(t, err)
	return c
}

// notes is a connection that remembers what was chosen.
type notes struct {
	net.Conn
	arn albion.ARN
}

func (n *notes) Chosen(arn albion.ARN) { n.arn = arn }

// meeting is what came of one handshake and one exchanged byte.
type meeting struct {
	client tls.ConnectionState
	server tls.ConnectionState
	chosen albion.ARN
	err    error // the client's
	refuse error // the server's
}

// loopback is two ends of a TCP connection. A net.Pipe would not do: it has no
// buffer, and TLS 1.3 lets both sides write at once.
func loopback(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	must(t, err)
	far, err = l.Accept()
	must(t, err)
	return near, far
}

// shake lets a client of crypto/tls meet a server. The byte that the server
// sends makes the client read the tickets of TLS 1.3.
func shake(t testing.TB, server, client *tls.Config) meeting {
	t.Helper()
	near, far := loopback(t)
	deadline := time.Now().Add(20 * time.Second)
	must(t, near.SetDeadline(deadline))
	must(t, far.SetDeadline(deadline))
	conn := &notes{Conn: far}
	var m meeting
	var wait sync.WaitGroup
	wait.Go(func() {
		defer far.Close()
		s := tls.Server(conn, server)
		if m.refuse = s.HandshakeContext(t.Context()); m.refuse != nil {
			return
		}
		m.server = s.ConnectionState()
		if _, m.refuse = s.Write([]byte{1}); m.refuse == nil {
			_, _ = io.Copy(io.Discard, s)
		}
	})
	c := tls.Client(near, client)
	if m.err = c.HandshakeContext(t.Context()); m.err == nil {
		_, m.err = io.ReadFull(c, make([]byte, 1))
		m.client = c.ConnectionState()
		_ = c.Close()
	}
	_ = near.Close()
	wait.Wait()
	m.chosen = conn.arn
	return m
}

// dialer is a client that trusts the shelf.
func dialer(s shelf, name string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: s.roots, Time: at(noon), MinVersion: tls.VersionTLS10}
}

const standard = albion.DefaultSSLPolicy

func TestHandshakeShowsTheCertificateOfTheName(t *testing.T) {
	s := stock(t,
		spec{names: []string{"default.example.com"}, key: p256()},
		spec{names: []string{"chat.example.com"}, key: p256()},
		spec{names: []string{"*.example.com"}, key: rsa2048()},
		spec{names: []string{"xn--bcher-kva.example"}, key: p256()},
	)
	k := keyring.New(keyring.Config{Now: at(noon)})
	server := config(t, k, standard, compile(t, k, s))
	for name, want := range map[string]int{
		"chat.example.com":       1,
		"CHAT.Example.COM":       1,
		"chat.example.com.":      1,
		"other.example.com":      2,
		"a.b.example.com":        0,
		"example.com":            0,
		"elsewhere.example.org":  0,
		"":                       0,
		"xn--bcher-kva.example":  3,
		"XN--Bcher-KVA.example.": 3,
	} {
		client := dialer(s, name)
		client.InsecureSkipVerify = true // the default answers for names that it does not have
		m := shake(t, server, client)
		must(t, m.err)
		if m.chosen != arn(want) {
			t.Errorf("%q: the connection was told %s, want %s", name, m.chosen, arn(want))
		}
		if got := m.client.PeerCertificates[0].Subject.CommonName; got != certName(t, s, want) {
			t.Errorf("%q: shown %s", name, got)
		}
		if m.client.NegotiatedProtocol != "" {
			t.Errorf("%q: protocol %q, though none was offered", name, m.client.NegotiatedProtocol)
		}
	}
}

func certName(t *testing.T, s shelf, n int) string {
	t.Helper()
	c, ok := s.state.Certificates.Get(string(arn(n)))
	if !ok {
		t.Fatalf("no certificate %d", n)
	}
	b, _ := pem.Decode([]byte(c.Chain))
	leaf, err := x509.ParseCertificate(b.Bytes)
	must(t, err)
	return leaf.Subject.CommonName
}

func TestClientGetsTheBestCertificateThatItSupports(t *testing.T) {
	s := stock(t,
		spec{names: []string{"default.example.com"}, key: p256()},
		spec{names: []string{"chat.example.com"}, key: rsa2048()},
		spec{names: []string{"chat.example.com"}, key: rsa3072()},
		spec{names: []string{"chat.example.com"}, key: p256(), days: 10},
		spec{names: []string{"chat.example.com", "*.example.com"}, key: p256(), days: 20},
		spec{names: []string{"chat.example.com"}, key: p384(), days: -1},
		spec{names: []string{"*.example.com"}, key: rsa2048()},
	)
	k := keyring.New(keyring.Config{Now: at(noon)})
	server := config(t, k, "ELBSecurityPolicy-2016-08", compile(t, k, s))
	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		says   string
		name   string
		suites []uint16
		want   int
	}{
		{"ECDSA first, valid before expired, then what lasts longer", "chat.example.com", nil, 4},
		{"the larger RSA key for a client that has only RSA", "chat.example.com", rsaOnly, 2},
		{"a static RSA exchange is RSA too", "chat.example.com", []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, 2},
		{"ECDSA among the wildcards", "any.example.com", nil, 4},
		{"RSA among the wildcards", "any.example.com", rsaOnly, 6},
	} {
		client := dialer(s, c.name)
		client.CipherSuites = c.suites
		m := shake(t, server, client)
		if m.err != nil || m.chosen != arn(c.want) {
			t.Errorf("%s: %s (%v), want %s", c.says, m.chosen, m.err, arn(c.want))
		}
	}
}

func TestHandshakeFailsWithoutACertificate(t *testing.T) {
	k := keyring.New(keyring.Config{})
	m := shake(t, config(t, k, standard, nil), &tls.Config{ServerName: "chat.example.com"})
	if m.err == nil || m.refuse == nil || m.refuse.Error() != "keyring: the listener has no certificate yet" {
		t.Errorf("client: %v, server: %v", m.err, m.refuse)
	}
}

func TestALPNOffersWhatTheKeyringWasGiven(t *testing.T) {
	s := stock(t, spec{names: []string{"chat.example.com"}, key: p256()})
	for _, c := range []struct {
		speaks, offers []string
		want           string
	}{
		{nil, []string{"h2", "http/1.1"}, "http/1.1"},
		{[]string{"h2", "http/1.1"}, []string{"http/1.1", "h2"}, "h2"},
	} {
		k := keyring.New(keyring.Config{Now: at(noon), Protocols: c.speaks})
		client := dialer(s, "chat.example.com")
		client.NextProtos = c.offers
		m := shake(t, config(t, k, standard, compile(t, k, s)), client)
		if m.err != nil || m.client.NegotiatedProtocol != c.want {
			t.Errorf("%v: %q, %v", c.speaks, m.client.NegotiatedProtocol, m.err)
		}
	}
}

func TestUnknownPolicyIsRefused(t *testing.T) {
	k := keyring.New(keyring.Config{})
	for _, name := range []string{"", "ELBSecurityPolicy-TLS13-1-1-PQ-2025-09", "TLS13-1-2-2021-06"} {
		_, err := k.Config(name, nil)
		if albion.CodeOf(err) != albion.CodeSSLPolicyNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestKeyringNeedsRandomness(t *testing.T) {
	k := keyring.New(keyring.Config{Rand: empty{}})
	if _, err := k.Config(standard, nil); err == nil {
		t.Error("a Config without ticket keys")
	}
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }

func TestCompileRefusesABrokenState(t *testing.T) {
	good := func() (*albion.Draft, *albion.Listener) {
		s := stock(t, spec{names: []string{"a.example.com"}, key: p256()}, spec{names: []string{"b.example.com"}, key: rsa2048()})
		return albion.NewDraft(s.state), s.listener
	}
	first, second := string(arn(0)), string(arn(1))
	for _, c := range []struct {
		want   string
		damage func(*albion.Draft, *albion.Listener)
	}{
		{"keyring: listener arn:listener has no certificate", func(_ *albion.Draft, l *albion.Listener) { l.Certificates = nil }},
		{"keyring: there is no certificate " + first, func(d *albion.Draft, _ *albion.Listener) {
			albion.Delete[*albion.Certificate](d, first)
		}},
		{"keyring: the key of " + second + " is missing", func(d *albion.Draft, _ *albion.Listener) {
			albion.Delete[*albion.Key](d, second)
		}},
		{"keyring: certificate " + first + ": the chain is empty", func(d *albion.Draft, _ *albion.Listener) {
			albion.Put(d, &albion.Certificate{ARN: arn(0)})
		}},
		{"keyring: certificate " + first + ": the key is damaged", func(d *albion.Draft, _ *albion.Listener) {
			albion.Put(d, &albion.Key{Name: first, Secret: []byte("hunter2")})
		}},
		{"keyring: certificate " + first + ": the key belongs to another certificate", func(d *albion.Draft, _ *albion.Listener) {
			key, _ := d.Keys.Get(second)
			albion.Put(d, &albion.Key{Name: first, Secret: key.Secret})
		}},
	} {
		d, l := good()
		c.damage(d, l)
		_, err := keyring.New(keyring.Config{}).Compile(&d.State, l)
		if err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func ExampleKeyring() {
	k := keyring.New(keyring.Config{})
	config, err := k.Config("ELBSecurityPolicy-TLS13-1-3-2021-06", func() *keyring.Ring { return nil })
	fmt.Println(config.MinVersion == tls.VersionTLS13, err)
	// Output: true <nil>
}
