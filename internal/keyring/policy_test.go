package keyring_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
)

// The table of ALB's page, in OpenSSL's names, without what crypto/tls lacks.
const (
	setG   = "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "
	setC2  = "ECDHE-ECDSA-AES128-SHA256 ECDHE-RSA-AES128-SHA256 "
	setC1  = "ECDHE-ECDSA-AES128-SHA ECDHE-RSA-AES128-SHA ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES256-SHA "
	setRG  = "AES128-GCM-SHA256 AES128-SHA256 AES256-GCM-SHA384 "
	setR1  = "AES128-SHA AES256-SHA "
	setAll = setG + setC2 + setC1 + setRG + setR1
)

var (
	from10 = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	from11 = from10[1:]
	from12 = from10[2:]
	only13 = from10[3:]
)

var published = map[string]struct {
	versions []uint16
	ciphers  string
	hybrid   bool
}{
	"ELBSecurityPolicy-TLS13-1-3-2021-06":         {only13, "", false},
	"ELBSecurityPolicy-TLS13-1-3-PQ-2025-09":      {only13, "", true},
	"ELBSecurityPolicy-TLS13-1-2-Res-2021-06":     {from12, setG, false},
	"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09":  {from12, setG, true},
	"ELBSecurityPolicy-TLS13-1-2-2021-06":         {from12, setG + setC2, false},
	"ELBSecurityPolicy-TLS13-1-2-PQ-2025-09":      {from12, setG + setC2, true},
	"ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06":    {from12, setG + setC2 + setRG, false},
	"ELBSecurityPolicy-TLS13-1-2-Ext1-PQ-2025-09": {from12, setG + setC2 + setRG, true},
	"ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06":    {from12, setAll, false},
	"ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09": {from12, setAll, true},
	"ELBSecurityPolicy-TLS13-1-1-2021-06":         {from11, setAll, false},
	"ELBSecurityPolicy-TLS13-1-0-2021-06":         {from10, setAll, false},
	"ELBSecurityPolicy-TLS13-1-0-PQ-2025-09":      {from10, setAll, true},
	"ELBSecurityPolicy-2016-08":                   {from10[:3], setAll, false},
}

// opensslNames are OpenSSL's names of every suite of TLS 1.2 and before that
// crypto/tls can offer.
var opensslNames = map[uint16]string{
	tls.TLS_RSA_WITH_RC4_128_SHA:                      "RC4-SHA",
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA:                 "DES-CBC3-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:                  "AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256:               "AES128-SHA256",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA:              "ECDHE-ECDSA-RC4-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA:                "ECDHE-RSA-RC4-SHA",
	tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:           "ECDHE-RSA-DES-CBC3-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:       "ECDHE-ECDSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:         "ECDHE-RSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
}

// both is a listener with an RSA and an ECDSA certificate for one name.
func both(t *testing.T) shelf {
	t.Helper()
	return stock(t,
		spec{names: []string{"chat.example.com"}, key: p256()},
		spec{names: []string{"chat.example.com"}, key: rsa2048()},
	)
}

func TestEveryPolicyIsKnownAndInTheTable(t *testing.T) {
	for _, policy := range albion.SSLPolicies() {
		if _, ok := published[policy]; !ok {
			t.Errorf("%s is not in the table", policy)
		}
	}
	if len(published) != len(albion.SSLPolicies()) {
		t.Errorf("%d policies in the table, %d in the model", len(published), len(albion.SSLPolicies()))
	}
}

func TestPolicyAllowsItsVersionsAndCiphersAndNoOthers(t *testing.T) {
	s := both(t)
	k := keyring.New(keyring.Config{Now: at(noon)})
	ring := compile(t, k, s)
	for policy, want := range published {
		server := config(t, k, policy, ring)
		for _, version := range from10 {
			for id, name := range opensslNames {
				if version == tls.VersionTLS13 && name != "AES128-SHA" { // once: its suites cannot be asked for
					continue
				}
				if version < tls.VersionTLS12 && needs12(name) {
					continue // no client can offer these then
				}
				client := dialer(s, "chat.example.com")
				client.MinVersion, client.MaxVersion, client.CipherSuites = version, version, []uint16{id}
				m := shake(t, server, client)
				allowed := slices.Contains(want.versions, version) &&
					(version == tls.VersionTLS13 || slices.Contains(strings.Fields(want.ciphers), name))
				if (m.err == nil) != allowed {
					t.Errorf("%s, %s, %s: %v, allowed is %t", policy, tls.VersionName(version), name, m.err, allowed)
				}
			}
		}
	}
}

func needs12(suite string) bool {
	return strings.Contains(suite, "SHA256") || strings.Contains(suite, "SHA384") || strings.Contains(suite, "CHACHA")
}

func TestPolicyOffersHybridGroupsOnlyWhenItsNameSaysPQ(t *testing.T) {
	s := both(t)
	k := keyring.New(keyring.Config{Now: at(noon)})
	ring := compile(t, k, s)
	hybrid := []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024}
	classical := []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	for policy, want := range published {
		if want.hybrid != strings.Contains(policy, "-PQ-") {
			t.Errorf("%s: the table contradicts the name", policy)
		}
		server := config(t, k, policy, ring)
		for _, curve := range slices.Concat(hybrid, classical) {
			client := dialer(s, "chat.example.com")
			client.CurvePreferences = []tls.CurveID{curve}
			client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			m := shake(t, server, client)
			allowed := want.hybrid || slices.Contains(classical, curve)
			if (m.err == nil) != allowed || allowed && m.client.CurveID != curve {
				t.Errorf("%s, %v: %v (%v)", policy, curve, m.err, m.client.CurveID)
			}
		}
		m := shake(t, server, dialer(s, "chat.example.com"))
		if got := slices.Contains(hybrid, m.client.CurveID); m.err != nil || got != want.hybrid {
			t.Errorf("%s: a current client gets %v, %v", policy, m.client.CurveID, m.err)
		}
	}
}

// TestOpenSSLAgreesWithTheTable asks another implementation, which also knows
// the three suites that crypto/tls does not have.
func TestOpenSSLAgreesWithTheTable(t *testing.T) {
	s := both(t)
	k := keyring.New(keyring.Config{Now: at(noon)})
	ring := compile(t, k, s)
	flags := map[uint16]string{tls.VersionTLS10: "-tls1", tls.VersionTLS11: "-tls1_1", tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}
	for policy, want := range published {
		address := serve(t, config(t, k, policy, ring))
		for version, flag := range flags {
			got, out := openssl(t, address, flag, "-cipher", "ALL:@SECLEVEL=0")
			if got != slices.Contains(want.versions, version) {
				t.Errorf("%s %s: %t\n%s", policy, flag, got, out)
			}
		}
		for _, cipher := range []string{
			"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256", "AES128-SHA256", "AES256-SHA",
			"ECDHE-RSA-AES256-SHA384", "ECDHE-ECDSA-AES256-SHA384", "AES256-SHA256",
			"DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305",
		} {
			got, out := openssl(t, address, "-tls1_2", "-cipher", cipher+":@SECLEVEL=0")
			if got != slices.Contains(strings.Fields(want.ciphers), cipher) {
				t.Errorf("%s %s: %t\n%s", policy, cipher, got, out)
			}
		}
	}
}

// serve accepts TLS connections until the test ends.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				c := tls.Server(conn, config)
				if c.HandshakeContext(t.Context()) == nil {
					_, _ = c.Write([]byte("x"))
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func openssl(t *testing.T, address string, args ...string) (shaken bool, output string) {
	t.Helper()
	args = append([]string{"s_client", "-connect", address, "-servername", "chat.example.com"}, args...)
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = bytes.NewReader(nil)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Contains(string(out), "New, TLSv1") || strings.Contains(string(out), "New, SSLv3"), string(out)
}
