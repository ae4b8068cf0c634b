package keyring_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
)

// handshake is one of a client with these protocols.
func handshake(t *testing.T, config *tls.Config, name string, protocols ...string) (tls.ConnectionState, error) {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() {
		err := tls.Server(server, config).HandshakeContext(t.Context())
		server.Close()
		done <- err
	}()
	conn := tls.Client(client, &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true}) // what is shown is looked at below
	err := conn.HandshakeContext(t.Context())
	state := conn.ConnectionState()
	client.Close()
	<-done
	return state, err
}

func TestAChallengeIsShownToWhoeverAsksForNothingElse(t *testing.T) {
	s, l := challenged(t)
	k := keyring.New(keyring.Config{})
	ring, err := k.Compile(s, l)
	if err != nil {
		t.Fatal(err)
	}
	config, err := k.Config(albion.DefaultSSLPolicy, func() *keyring.Ring { return ring })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		protocols []string
		proof     string // "": none
		fails     bool
	}{
		{"chat.example.com", []string{"acme-tls/1"}, "token.proof", false},
		{"CHAT.example.com", []string{"acme-tls/1"}, "token.proof", false},
		{"1.2.0.192.in-addr.arpa", []string{"acme-tls/1"}, "four.proof", false},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", []string{"acme-tls/1"}, "six.proof", false},
		{"chat.example.com", []string{"acme-tls/1", "http/1.1"}, "", false},
		{"chat.example.com", []string{"http/1.1"}, "", false},
		{"chat.example.com", nil, "", false},
		{"other.example.com", []string{"acme-tls/1"}, "", true},
		{"web.example.com", []string{"acme-tls/1"}, "", true}, // to be proved by HTTP
	} {
		state, err := handshake(t, config, c.name, c.protocols...)
		if (err != nil) != c.fails {
			t.Errorf("%s %v: %v", c.name, c.protocols, err)
			continue
		}
		if got := state.NegotiatedProtocol == keyring.ChallengeProtocol; got != (c.proof != "") {
			t.Errorf("%s %v: negotiated %q", c.name, c.protocols, state.NegotiatedProtocol)
		}
		if c.proof != "" {
			proves(t, state.PeerCertificates[0], c.proof)
		}
	}
	if again, err := k.Compile(s, l); err != nil || again == ring {
		t.Errorf("%v", err)
	}
}

// proves checks a certificate against RFC 8737 §3.
func proves(t *testing.T, cert *x509.Certificate, proof string) {
	t.Helper()
	want := sha256.Sum256([]byte(proof))
	for _, e := range cert.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) {
			var got []byte
			if _, err := asn1.Unmarshal(e.Value, &got); err != nil || !e.Critical || !bytes.Equal(got, want[:]) {
				t.Errorf("extension %x (critical %v), %v", e.Value, e.Critical, err)
			}
			if len(cert.DNSNames)+len(cert.IPAddresses) != 1 {
				t.Errorf("names %v %v", cert.DNSNames, cert.IPAddresses)
			}
			return
		}
	}
	t.Error("there is no proof in the certificate")
}

// challenged is a State with orders under way.
func challenged(t *testing.T) (*albion.State, *albion.Listener) {
	t.Helper()
	from := stock(t, spec{names: []string{"chat.example.com"}, key: p256()})
	d := albion.NewDraft(from.state)
	albion.Put(d, &albion.Issuance{Certificate: arn(0), Order: &albion.Order{Answers: []albion.Answer{
		{Domain: "chat.example.com", Challenge: albion.ChallengeALPN, Proof: "token.proof"},
		{Domain: "192.0.2.1", Challenge: albion.ChallengeALPN, Proof: "four.proof"},
		{Domain: "2001:db8::1", Challenge: albion.ChallengeALPN, Proof: "six.proof"},
		{Domain: "web.example.com", Challenge: albion.ChallengeHTTP, Proof: "web.proof"},
	}}})
	return &d.State, from.listener
}
