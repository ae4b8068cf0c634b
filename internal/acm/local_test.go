package acm_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// parse returns the leaf of a kept certificate.
func parse(t testing.TB, c *albion.Certificate) *x509.Certificate {
	t.Helper()
	return must(x509.ParseCertificate(pemBytes(t, c.Chain)))(t)
}

func pemBytes(t testing.TB, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

func trust(t testing.TB, s *albion.State) *x509.CertPool {
	t.Helper()
	text, ok := acm.Authority(s)
	pool := x509.NewCertPool()
	if !ok || !pool.AppendCertsFromPEM([]byte(text)) {
		t.Fatal("there is no authority")
	}
	return pool
}

func TestLocalIssuesWhatClientsAccept(t *testing.T) {
	d := draft()
	cert, changed := local(t, d, "chat", noon, "chat.example.com", "*.Example.com.", "bücher.example", "192.0.2.1", "[2001:DB8::1]", "localhost", "chat.example.com")
	want := []string{"chat.example.com", "*.example.com", "xn--bcher-kva.example", "localhost", "192.0.2.1", "2001:db8::1"}
	if !changed || !slices.Equal(cert.Domains, want) || cert.Issuer != albion.Local || cert.KeyAlgorithm != "EC_prime256v1" {
		t.Errorf("%t, %+v", changed, cert)
	}
	leaf := parse(t, cert)
	if got := leaf.NotAfter.Sub(leaf.NotBefore); got != 90*24*time.Hour {
		t.Errorf("it lives for %v", got)
	}
	for name, ok := range map[string]bool{
		"chat.example.com": true, "any.example.com": true, "xn--bcher-kva.example": true, "localhost": true,
		"192.0.2.1": true, "2001:db8::1": true, "example.com": false, "a.b.example.com": false, "192.0.2.2": false,
	} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: trust(t, &d.State), CurrentTime: noon})
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLocalAuthorityIsMadeOnceAndSignsOnlyLeaves(t *testing.T) {
	d := draft()
	local(t, d, "one", noon, "one.example.com")
	first, _ := acm.Authority(&d.State)
	local(t, d, "two", noon, "two.example.com")
	second, _ := acm.Authority(&d.State)
	root := must(x509.ParseCertificate(pemBytes(t, first)))(t)
	switch {
	case first != second || d.Authorities.Len() != 1 || d.Keys.Len() != 3:
		t.Error("another authority")
	case !root.IsCA || root.MaxPathLen != 0 || !root.MaxPathLenZero || root.KeyUsage&x509.KeyUsageCertSign == 0:
		t.Errorf("it may sign: %t, %d", root.IsCA, root.MaxPathLen)
	case !strings.HasPrefix(root.Subject.CommonName, "Albion local CA ") || !root.NotAfter.Equal(noon.AddDate(10, 0, 0)):
		t.Errorf("%s until %v", root.Subject.CommonName, root.NotAfter)
	}
	if _, ok := acm.Authority(&albion.State{}); ok {
		t.Error("an authority out of nothing")
	}
}

func TestLocalChangesOnlyWhatIsDue(t *testing.T) {
	d := draft()
	old, _ := local(t, d, "chat", noon, "chat.example.com", "www.example.com")
	for _, c := range []struct {
		says    string
		now     time.Time
		domains []string
		changes bool
	}{
		{"the same", noon.Add(time.Hour), []string{"chat.example.com", "www.example.com"}, false},
		{"another order and case", noon.Add(time.Hour), []string{"WWW.example.com", "chat.example.com."}, false},
		{"a name more", noon.Add(time.Hour), []string{"chat.example.com", "www.example.com", "a.example.com"}, true},
		{"a name less", noon.Add(time.Hour), []string{"chat.example.com"}, true},
		{"not due yet", noon.AddDate(0, 0, 59), []string{"chat.example.com", "www.example.com"}, false},
		{"due", noon.AddDate(0, 0, 60), []string{"chat.example.com", "www.example.com"}, true},
	} {
		next := draft(&d.State)
		cert, changed := local(t, next, "chat", c.now, c.domains...)
		if changed != c.changes || (len(next.Changes()) > 0) != c.changes {
			t.Errorf("%s: changed is %t, %v", c.says, changed, next.Changes())
		}
		if cert.ARN != old.ARN || (cert.Serial != old.Serial) != c.changes {
			t.Errorf("%s: %s, %s", c.says, cert.ARN, cert.Serial)
		}
	}
}

func TestLocalReplacesAnImport(t *testing.T) {
	w := newWeb(t, rsa2048())
	d := draft()
	old := must(acm.Put(d, acm.Import{Name: "chat", Bundle: bundle(t, w.leaf, w.mid), Now: noon}))(t)
	cert, changed := local(t, d, "chat", noon, old.Domains...)
	if !changed || cert.ARN != old.ARN || cert.Issuer != albion.Local || cert.KeyAlgorithm != "EC_prime256v1" {
		t.Errorf("%t, %+v", changed, cert)
	}
}

func TestLocalRefusesDomains(t *testing.T) {
	for _, domain := range []string{
		"", "*", "*.", "a..b", "a b.example.com", "http://example.com", "example.com:443", "a.*.example.com", "*.*.example.com",
		"fe80::1%eth0", "1.2.3.4.5", "1.2.3.999", "-a.example.com", strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 130) + "com", "a\x00.example.com",
	} {
		d := draft()
		_, _, err := acm.Local(d, acm.LocalRequest{Name: "x", Domains: []string{domain}, Now: noon, Rand: rand.Reader})
		if albion.CodeOf(err) != albion.CodeInvalidParameter || len(d.Changes()) != 0 {
			t.Errorf("%q: %v, %v", domain, err, d.Changes())
		}
	}
	_, _, err := acm.Local(draft(), acm.LocalRequest{Name: "x", Domains: []string{"exa mple"}, Now: noon, Rand: rand.Reader})
	refused(t, err, `"exa mple" is not a domain, a wildcard such as *.example.com, or an IP address`)
	_, _, err = acm.Local(draft(), acm.LocalRequest{Name: "x", Now: noon, Rand: rand.Reader})
	refused(t, err, "a certificate needs at least one domain or IP address")
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("n%d.example.com", i))
	}
	_, _, err = acm.Local(draft(), acm.LocalRequest{Name: "x", Domains: many, Now: noon, Rand: rand.Reader})
	refused(t, err, "101 domains are more than one certificate may have (100): split them")
}

// FuzzLocalDomain: whatever is accepted as a domain, a client that trusts the
// authority accepts under the name that the certificate then has.
func FuzzLocalDomain(f *testing.F) {
	for _, seed := range []string{"chat.example.com", "*.example.com", "bücher.example", "192.0.2.1", "::ffff:192.0.2.1", "ß.example", "a_b.example", "1.1", "☃.example", "*.*.a"} {
		f.Add(seed)
	}
	base := draft()
	local(f, base, "first", noon, "first.example.com")
	roots := trust(f, &base.State)
	f.Fuzz(func(t *testing.T, domain string) {
		cert, _, err := acm.Local(draft(&base.State), acm.LocalRequest{Name: "x", Domains: []string{domain}, Now: noon, Rand: rand.Reader, ID: [16]byte{9}})
		if err != nil {
			if albion.CodeOf(err) != albion.CodeInvalidParameter {
				t.Fatal(err)
			}
			return
		}
		if len(cert.Domains) != 1 {
			t.Fatalf("%q became %q", domain, cert.Domains)
		}
		name := strings.Replace(cert.Domains[0], "*", "any", 1)
		if _, err := parse(t, cert).Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: noon}); err != nil {
			t.Fatalf("%q: %v", domain, err)
		}
	})
}

// TestRenewalIsAlwaysInTime runs the clock for years: as long as Renew is called
// every day, each certificate is valid, of the authority that is published, and
// has its ARN; and nothing is renewed that is not due.
func TestRenewalIsAlwaysInTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := draft()
		now := noon
		for i := range 3 {
			local(t, d, fmt.Sprint("c", i), now.AddDate(0, 0, rapid.IntRange(-89, 0).Draw(r, "age")), fmt.Sprintf("c%d.example.com", i))
		}
		state := &d.State
		for range 40 {
			now = now.AddDate(0, 0, rapid.IntRange(1, 25).Draw(r, "days"))
			next := draft(state)
			due := 0
			for c := range state.Certificates.All() {
				if acm.LocalDue(c, now) {
					due++
				}
			}
			renewed, err := acm.Renew(next, now, rand.Reader)
			valid(t, next)
			if err != nil || len(renewed) != due {
				r.Fatalf("%d renewed, %d due, %v", len(renewed), due, err)
			}
			for c := range next.Certificates.All() {
				old, _ := state.Certificates.Get(string(c.ARN))
				if acm.LocalDue(c, now) || !slices.Equal(c.Domains, old.Domains) || (c.Serial != old.Serial) != slices.Contains(renewed, c.ARN) {
					r.Fatalf("%+v", c)
				}
			}
			state = &next.State
		}
		for c := range state.Certificates.All() {
			if _, err := parse(t, c).Verify(x509.VerifyOptions{DNSName: c.Domains[0], Roots: trust(t, state), CurrentTime: now}); err != nil {
				r.Fatal(err)
			}
		}
	})
}

func TestAnAuthorityNearItsEndIsReplaced(t *testing.T) {
	d := draft()
	old, _ := local(t, d, "chat", noon, "chat.example.com")
	before := trust(t, &d.State)
	late := noon.AddDate(10, 0, -80)
	renewed, err := acm.Renew(d, late, rand.Reader)
	if err != nil || len(renewed) != 1 || renewed[0] != old.ARN || d.Authorities.Len() != 1 || d.Keys.Len() != 2 {
		t.Fatalf("%v, %v", renewed, err)
	}
	cert, _ := d.Certificates.Get(string(old.ARN))
	leaf := parse(t, cert)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: before, CurrentTime: late}); err == nil {
		t.Error("the old authority still signs")
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: trust(t, &d.State), CurrentTime: late}); err != nil {
		t.Error(err)
	}
}

func TestLocalReportsABrokenAuthority(t *testing.T) {
	base := draft()
	local(t, base, "chat", noon, "chat.example.com")
	other := draft()
	local(t, other, "chat", noon, "chat.example.com")
	stolen, _ := other.Keys.Get("authority/local")
	for want, damage := range map[string]func(*albion.Draft){
		"acm: the key of the authority local is missing":   func(d *albion.Draft) { albion.Delete[*albion.Key](d, "authority/local") },
		"acm: the key of the authority local is another's": func(d *albion.Draft) { albion.Put(d, stolen) },
		"acm: the key authority/local is damaged": func(d *albion.Draft) {
			albion.Put(d, &albion.Key{Name: "authority/local", Secret: []byte("x")})
		},
		"acm: the authority local is damaged: acm: no certificate in the chain": func(d *albion.Draft) {
			albion.Put(d, &albion.Authority{Name: "local"})
		},
	} {
		d := draft(&base.State)
		damage(d)
		_, _, err := acm.Local(d, acm.LocalRequest{Name: "new", Domains: []string{"new.example.com"}, Now: noon, Rand: rand.Reader, ID: [16]byte{7}})
		if err == nil || err.Error() != want || albion.CodeOf(err) != "" {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestLocalNeedsRandomness(t *testing.T) {
	_, _, err := acm.Local(draft(), acm.LocalRequest{Name: "x", Domains: []string{"a.example.com"}, Now: noon, Rand: bytes.NewReader(nil)})
	if err == nil {
		t.Error("a serial number out of nothing")
	}
}

// TestOpenSSLAndCurlAcceptTheLocalAuthority asks other implementations, with
// the real clock.
func TestOpenSSLAndCurlAcceptTheLocalAuthority(t *testing.T) {
	d := draft()
	local(t, d, "chat", time.Now(), "chat.example.com", "127.0.0.1")
	files := must(acm.Export(&d.State, "chat"))(t)
	authority, _ := acm.Authority(&d.State)
	dir := t.TempDir()
	ca := write(t, filepath.Join(dir, "ca.pem"), authority)
	leaf := write(t, filepath.Join(dir, "cert.pem"), string(files.Cert))
	if out := run(t, "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "chat.example.com", "-CAfile", ca, leaf); !strings.Contains(out, "OK") {
		t.Errorf("openssl: %s", out)
	}

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	pair := must(tls.X509KeyPair(files.Fullchain, files.Privkey))(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"https://127.0.0.1:" + port, "https://chat.example.com:" + port} {
		out := run(t, "curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", ca, "--resolve", "chat.example.com:"+port+":127.0.0.1", url)
		if out != "hello" {
			t.Errorf("curl %s: %s", url, out)
		}
	}
}

func run(t testing.TB, command string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
