package certbot_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/certbot"
)

// write puts files below a folder; the names of links end in " -> TARGET".
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name, target, link := strings.Cut(name, " -> ")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// version is the four files of a version, which hold only its number.
func version(name string, n int) map[string]string {
	files := map[string]string{}
	for _, kind := range []string{"cert", "chain", "fullchain", "privkey"} {
		files[fmt.Sprintf("archive/%s/%s%d.pem", name, kind, n)] = fmt.Sprintf("%s %d", kind, n)
	}
	return files
}

const conf = `version = 2.1.0
archive_dir = /etc/letsencrypt/archive/chat
[renewalparams]
account = 0123abcd
server = https://acme-v02.api.letsencrypt.org/directory
authenticator = standalone
renew_hook = None
`

func jwk(t testing.TB, key crypto.Signer) string {
	t.Helper()
	b64 := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	out := map[string]string{}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		out = map[string]string{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()), "d": b64(k.D.Bytes()), "p": b64(k.Primes[0].Bytes()), "q": b64(k.Primes[1].Bytes())}
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		size := len(d)
		out = map[string]string{"kty": "EC", "crv": k.Curve.Params().Name, "x": b64(public[1 : 1+size]), "y": b64(public[1+size:]), "d": b64(d)}
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if bits > 1000 {
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(map[int]elliptic.Curve{224: elliptic.P224(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}[bits], rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func read(t *testing.T, dir string) certbot.Lineage {
	t.Helper()
	tree, err := certbot.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Lineages) != 1 {
		t.Fatalf("%+v", tree)
	}
	return tree.Lineages[0]
}

func TestTheNewestWholeVersionIsTaken(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"renewal/chat.conf": conf, "live/chat/cert.pem -> ../../archive/chat/cert9.pem": "", "archive/chat/README.pem": "", "archive/chat/cert007.pem": ""})
	for _, n := range []int{1, 9, 10} {
		write(t, dir, version("chat", n))
	}
	write(t, dir, map[string]string{"archive/chat/fullchain11.pem": "", "archive/chat/cert11.pem": ""}) // cut short
	l := read(t, dir)
	if l.Problem != "" || l.Version != 10 || string(l.Fullchain) != "fullchain 10" || string(l.Privkey) != "privkey 10" {
		t.Errorf("%+v", l)
	}
	if !slices.Contains(l.Notes, "live/chat points to cert9.pem, and version 10, which is newer and whole, is taken") {
		t.Errorf("%q", l.Notes)
	}
}

// A tree that was copied elsewhere is read where it is.
func TestACopyIsReadAndNotItsOriginal(t *testing.T) {
	dir, original := t.TempDir(), t.TempDir()
	write(t, original, version("other", 3))
	text := strings.Replace(conf, "/etc/letsencrypt/archive/chat", filepath.Join(original, "archive", "other"), 1)
	write(t, dir, map[string]string{"renewal/chat.conf": text})
	if l := read(t, dir); l.Version != 3 {
		t.Errorf("the original is not found: %+v", l)
	}
	write(t, dir, version("other", 2))
	if l := read(t, dir); l.Version != 2 {
		t.Errorf("the copy is not read: %+v", l)
	}
}

func TestLineagesThatCannotBeReadSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a broken configuration": {map[string]string{"renewal/chat.conf": "[x"}, "chat.conf cannot be read: line 1: "},
		"no archive":             {map[string]string{"renewal/chat.conf": conf}, "archive/chat is missing"},
		"no whole version":       {map[string]string{"renewal/chat.conf": conf, "archive/chat/cert1.pem": ""}, "has no version of which cert, chain, fullchain and privkey are all there"},
		"a folder as a file":     {map[string]string{"renewal/chat.conf/x": ""}, "chat.conf is not a file"},
	} {
		dir := t.TempDir()
		write(t, dir, c.files)
		if l := read(t, dir); !strings.Contains(l.Problem, filepath.FromSlash(c.want)) || l.Plan(dir).Decision != l.Problem {
			t.Errorf("%s: %q, want %q", name, l.Problem, c.want)
		}
	}
	if _, err := certbot.Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a folder of certbot's") {
		t.Error(err)
	}
}

func TestAccountsAreRead(t *testing.T) {
	const v2, v1 = "acme-v02.api.letsencrypt.org/directory", "acme-v01.api.letsencrypt.org/directory"
	keys := map[string]crypto.Signer{"RSA": newKey(t, 2048), "P-256": newKey(t, 256), "P-384": newKey(t, 384), "P-521": newKey(t, 521)}
	for name, key := range keys {
		dir := t.TempDir()
		write(t, dir, map[string]string{
			"renewal/chat.conf": conf,
			"cli.ini":           "email = from-cli@example.com\n",
			"accounts/" + v2 + "/0123abcd/private_key.json": jwk(t, key),
			"accounts/" + v2 + "/0123abcd/regr.json":        `{"body": {}, "uri": "https://acme-v02.api.letsencrypt.org/acme/acct/1"}`,
		})
		write(t, dir, version("chat", 1))
		a := read(t, dir).Account
		if a == nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(a.Key.Public()) ||
			a.URL != "https://acme-v02.api.letsencrypt.org/acme/acct/1" || a.Email != "from-cli@example.com" || a.Directory != "https://"+v2 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	// One from ACME's first version: its address means nothing now, its key does.
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"renewal/chat.conf":                             strings.Replace(conf, "acme-v02", "acme-v01", 1),
		"accounts/" + v1 + "/0123abcd/private_key.json": jwk(t, keys["RSA"]),
		"accounts/" + v1 + "/0123abcd/regr.json":        `{"body": {"contact": ["tel:1", "mailto:me@example.com"]}, "uri": "https://acme-v01.api.letsencrypt.org/acme/reg/1"}`,
	})
	write(t, dir, version("chat", 1))
	l := read(t, dir)
	if a := l.Account; a == nil || a.URL != "" || a.Email != "me@example.com" || l.Directory != "https://"+v2 || a.Directory != l.Directory {
		t.Errorf("%+v %+v", l, a)
	}
}

func TestKeysThatNoCATakesAreRefused(t *testing.T) {
	good := jwk(t, newKey(t, 256))
	other := jwk(t, newKey(t, 256))
	var mixed, part map[string]string
	if json.Unmarshal([]byte(good), &mixed) != nil || json.Unmarshal([]byte(other), &part) != nil {
		t.Fatal("no JSON")
	}
	mixed["d"] = part["d"]
	swapped, err := json.Marshal(mixed)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no JSON": "x", "no kind": "{}", "a secret": `{"kty":"oct","k":"AAAA"}`, "P-224": jwk(t, newKey(t, 224)),
		"the key of another": string(swapped), "a short one": jwk(t, newKey(t, 1024)),
		"an empty one": `{"kty":"RSA","n":"","e":"AQAB"}`, "no base64": strings.Replace(good, `"x":"`, `"x":"!`, 1),
	} {
		if _, err := certbot.ParseJWK([]byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParseJWK(f *testing.F) {
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}`))
	f.Add([]byte(jwk(f, newKey(f, 256))))
	f.Add([]byte(jwk(f, newKey(f, 2048))))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := certbot.ParseJWK(data)
		if (key == nil) == (err == nil) {
			t.Fatal("neither a key nor an error, or both")
		}
		if err != nil {
			return
		}
		if _, err := x509.MarshalPKCS8PrivateKey(key); err != nil {
			t.Error(err)
		}
	})
}

// lineage is one whose certificate is for these names.
func lineage(t *testing.T, authenticator string, names ...string) certbot.Lineage {
	t.Helper()
	key := newKey(t, 256)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return certbot.Lineage{
		Name: "chat", Directory: "https://ca.example.com/", Authenticator: authenticator, Account: &certbot.Account{},
		Fullchain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
}

func TestMethodsAreMapped(t *testing.T) {
	with := func(l certbot.Lineage, change func(*certbot.Lineage)) certbot.Lineage {
		change(&l)
		return l
	}
	byDNS := func(l *certbot.Lineage) { l.Preferred = []string{"dns-01"} }
	for _, c := range []struct {
		name, way, decision string
		l                   certbot.Lineage
	}{
		{"webroot", "http", "", lineage(t, "webroot", "a.example")},
		{"standalone", "http", "", lineage(t, "standalone", "a.example")},
		{"nginx", "http", "", lineage(t, "nginx", "a.example")},
		{"apache", "http", "", lineage(t, "apache", "a.example")},
		{"manual by HTTP", "http", "", lineage(t, "manual", "a.example")},
		{"manual by DNS without hooks", "", "it was proved by hand, with TXT records: it is imported and not renewed until you say how, such as: albion cert request --name chat -d 'a.example' --challenge dns-delegated --ca https://ca.example.com/ --accept-tos", with(lineage(t, "manual", "a.example"), byDNS)},
		{"manual by DNS with hooks", "dns-exec=/hooks/chat", "", with(lineage(t, "manual", "a.example"), func(l *certbot.Lineage) { byDNS(l); l.AuthHook = "/bin/auth" })},
		{"a wildcard by hooks", "dns-exec=/hooks/chat", "", with(lineage(t, "manual", "*.example.com"), func(l *certbot.Lineage) { l.AuthHook = "/bin/auth" })},
		{"rfc2136", "dns-rfc2136=/etc/rfc.ini", "", with(lineage(t, "dns-rfc2136", "*.example.com"), func(l *certbot.Lineage) { l.Credentials = "/etc/rfc.ini" })},
		{"cloudflare", "dns-cloudflare=/etc/cf.ini", "", with(lineage(t, "dns-cloudflare", "*.example.com"), func(l *certbot.Lineage) { l.Credentials = "/etc/cf.ini" })},
		{"cloudflare without credentials", "", "no file with the credentials", lineage(t, "dns-cloudflare", "*.example.com")},
		{"route53", "dns-route53", "", lineage(t, "dns-route53", "*.example.com")},
		{"a provider unknown here", "", "knows nothing of certbot's dns-ovh", lineage(t, "dns-ovh", "*.example.com", "example.com")},
		{"nothing", "", "does not say how", lineage(t, "", "a.example")},
		{"a suspended one", "", "autorenew = False", with(lineage(t, "webroot", "a.example"), func(l *certbot.Lineage) { l.Suspended = true })},
		{"without account", "", "-d 'a.example' --challenge http --accept-tos", with(lineage(t, "webroot", "a.example"), func(l *certbot.Lineage) {
			l.Account, l.Directory = nil, "https://acme-v02.api.letsencrypt.org/directory"
		})},
		{"a script without account", "", "--challenge dns-exec=/hooks/chat --ca", with(lineage(t, "manual", "*.example.com"), func(l *certbot.Lineage) { l.AuthHook, l.Account = "/bin/auth", nil })},
		{"odd credentials without account", "", `--challenge 'dns-rfc2136=/etc/it'\''s.ini' --ca`, with(lineage(t, "dns-rfc2136", "*.example.com"), func(l *certbot.Lineage) { l.Credentials, l.Account = "/etc/it's.ini", nil })},
		{"a wildcard by webroot without account", "", "a wildcard cannot be proved by webroot", with(lineage(t, "webroot", "*.example.com"), func(l *certbot.Lineage) { l.Account = nil })},
		{"without account, why", "", "without its account", with(lineage(t, "webroot", "a.example"), func(l *certbot.Lineage) { l.Account = nil })},
		{"a wildcard by webroot", "", "a wildcard cannot be proved by webroot", lineage(t, "webroot", "*.example.com")},
	} {
		plan := c.l.Plan("/hooks")
		if plan.Way != c.way || !strings.Contains(plan.Decision, c.decision) || (c.decision == "") != (plan.Decision == "") {
			t.Errorf("%s: %+v", c.name, plan)
		}
	}
}

func TestGlobalHooksAreSeen(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"renewal/chat.conf": conf, "renewal/notes.txt": "",
		"cli.ini":                        "# max-log-backups = 0\nmax-log-backups: 0\npreconfigured-renewal\npre-hook = \"nginx -s stop\" # first\nrenew_hook = echo 'a' ; last\n",
		"renewal-hooks/deploy/20-b":      "#!/bin/sh\n",
		"renewal-hooks/deploy/10-a":      "#!/bin/sh\n",
		"renewal-hooks/deploy/10-a~":     "#!/bin/sh\n",
		"renewal-hooks/deploy/README":    "",
		"renewal-hooks/post/nested/file": "",
	})
	write(t, dir, version("chat", 1))
	for _, name := range []string{"10-a", "20-b", "10-a~"} {
		if err := os.Chmod(filepath.Join(dir, "renewal-hooks", "deploy", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := certbot.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := tree.Hooks
	a, b := filepath.Join(dir, "renewal-hooks", "deploy", "10-a"), filepath.Join(dir, "renewal-hooks", "deploy", "20-b")
	if !slices.Equal(h.Pre, []string{"nginx -s stop"}) || !slices.Equal(h.Deploy, []string{a, b, "echo 'a'"}) || len(h.Post) != 0 {
		t.Errorf("%+v", h)
	}
	write(t, dir, map[string]string{"cli.ini": "no-directory-hooks = true"})
	if tree, err = certbot.Read(dir); err != nil || !tree.Hooks.Empty() {
		t.Errorf("%+v %v", tree.Hooks, err)
	}
}
