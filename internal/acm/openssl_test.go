package acm_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/acm"
)

// workshop is a directory in which openssl makes things, now.
type workshop struct {
	t   *testing.T
	dir string
}

func (w workshop) path(name string) string { return filepath.Join(w.dir, name) }

// openssl runs a command whose arguments begin with @ for files of the workshop.
func (w workshop) openssl(command string) {
	w.t.Helper()
	args := strings.Fields(command)
	for i, a := range args {
		if name, ok := strings.CutPrefix(a, "@"); ok {
			args[i] = w.path(name)
		}
	}
	run(w.t, "openssl", args...)
}

func (w workshop) sources(names ...string) []acm.Source {
	w.t.Helper()
	var paths []string
	for _, n := range names {
		paths = append(paths, w.path(n))
	}
	return must(acm.ReadFiles(paths...))(w.t)
}

// chain makes root, intermediate and a leaf for key.pem, which must be there.
func (w workshop) chain() {
	w.t.Helper()
	write(w.t, w.path("ca.ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
	write(w.t, w.path("leaf.ext"), "basicConstraints=CA:FALSE\nsubjectAltName=DNS:chat.example.com,DNS:*.example.com,IP:192.0.2.1\nextendedKeyUsage=serverAuth\n")
	w.openssl("req -x509 -newkey rsa:2048 -nodes -keyout @root.key -out @root.pem -days 3650 -subj /CN=Root")
	w.openssl("req -new -newkey rsa:2048 -nodes -keyout @mid.key -out @mid.csr -subj /CN=Mid")
	w.openssl("x509 -req -in @mid.csr -CA @root.pem -CAkey @root.key -CAcreateserial -days 1825 -extfile @ca.ext -out @mid.pem")
	w.openssl("req -new -key @key.pem -out @leaf.csr -subj /CN=chat.example.com")
	w.openssl("x509 -req -in @leaf.csr -CA @mid.pem -CAkey @mid.key -CAcreateserial -days 90 -extfile @leaf.ext -out @leaf.pem")
}

// TestReadTakesWhatOpenSSLMakes has every key in every form in which openssl
// writes it, and text beside the certificates.
func TestReadTakesWhatOpenSSLMakes(t *testing.T) {
	for kind, c := range map[string]struct {
		make  []string
		forms map[string]string
	}{
		"RSA": {
			[]string{"genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out @key.pem"},
			map[string]string{
				"pkcs1": "rsa -in @key.pem -traditional -out @form.pem",
				"pkcs8": "pkcs8 -topk8 -nocrypt -in @key.pem -out @form.pem",
				"text":  "rsa -in @key.pem -text -out @form.pem",
			},
		},
		"ECDSA": {
			[]string{"ecparam -name secp384r1 -genkey -out @key.pem"}, // with its EC PARAMETERS block
			map[string]string{
				"sec1":       "ec -in @key.pem -out @form.pem",
				"parameters": "ecparam -name secp384r1 -in @key.pem -out @unused.pem",
				"pkcs8":      "pkcs8 -topk8 -nocrypt -in @key.pem -out @form.pem",
			},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			w := workshop{t, t.TempDir()}
			for _, command := range c.make {
				w.openssl(command)
			}
			w.chain()
			w.openssl("x509 -in @leaf.pem -text -out @text.pem")
			w.openssl("x509 -in @leaf.pem -trustout -addtrust serverAuth -out @trusted.pem")
			for form, command := range c.forms {
				key := "form.pem"
				if form == "parameters" {
					key = "key.pem"
				} else {
					w.openssl(command)
				}
				for _, leaf := range []string{"leaf.pem", "text.pem", "trusted.pem"} {
					b, err := acm.Read(time.Now(), w.sources("mid.pem", key, leaf, "root.pem")...)
					if err != nil {
						t.Errorf("%s, %s: %v", form, leaf, err)
						continue
					}
					if len(b.Chain) != 2 || !slices.Equal(b.Domains, []string{"chat.example.com", "*.example.com", "192.0.2.1"}) || len(b.Warnings) != 0 {
						t.Errorf("%s, %s: %d certificates, %q, %q", form, leaf, len(b.Chain), b.Domains, b.Warnings)
					}
				}
			}
		})
	}
}

func TestReadRefusesWhatOpenSSLLocksUp(t *testing.T) {
	w := workshop{t, t.TempDir()}
	w.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out @key.pem")
	w.chain()
	w.openssl("rsa -in @key.pem -traditional -aes128 -passout pass:secret -out @old.pem")
	w.openssl("pkcs8 -topk8 -in @key.pem -passout pass:secret -out @new.pem")
	w.openssl("genpkey -algorithm ED25519 -out @ed.pem")
	w.openssl("genpkey -algorithm X25519 -out @x.pem")
	w.openssl("crl2pkcs7 -nocrl -certfile @leaf.pem -out @leaf.p7b")
	w.openssl("pkcs12 -export -inkey @key.pem -in @leaf.pem -passout pass: -out @leaf.pfx")
	for name, want := range map[string]string{
		"old.pem":  ": the private key is encrypted: decrypt it first (openssl pkey -in FILE -out privkey.pem)",
		"new.pem":  ": the private key is encrypted: decrypt it first (openssl pkey -in FILE -out privkey.pem)",
		"ed.pem":   ": browsers do not accept Ed25519 keys: use RSA 2048 or ECDSA P-256",
		"x.pem":    ": this kind of key cannot sign: use RSA 2048 or ECDSA P-256",
		"leaf.p7b": " holds PKCS #7: convert it (openssl pkcs7 -print_certs -in FILE)",
		"leaf.pfx": " is binary, not PEM: convert it (openssl x509 -inform der -in FILE for a certificate, openssl pkcs12 -nodes -in FILE for a .pfx or .p12)",
	} {
		_, err := acm.Read(time.Now(), w.sources("leaf.pem", name)...)
		refused(t, err, w.path(name)+want)
	}
	// What the messages advise works.
	w.openssl("pkey -in @new.pem -passin pass:secret -out @privkey.pem")
	must(acm.Read(time.Now(), w.sources("leaf.pem", "mid.pem", "privkey.pem")...))(t)
	w.openssl("pkcs7 -print_certs -in @leaf.p7b -out @from7.pem")
	must(acm.Read(time.Now(), w.sources("from7.pem", "privkey.pem")...))(t)
	w.openssl("pkcs12 -nodes -in @leaf.pfx -passin pass: -out @from12.pem")
	must(acm.Read(time.Now(), w.sources("from12.pem")...))(t)
}

// TestReadTakesWhatOpenSSLSignsItself has the command of many a manual, whose
// certificate is a CA's.
func TestReadTakesWhatOpenSSLSignsItself(t *testing.T) {
	w := workshop{t, t.TempDir()}
	w.openssl("req -x509 -newkey rsa:2048 -nodes -days 90 -keyout @key.pem -out @cert.pem -subj /CN=wiki.lan -addext subjectAltName=DNS:wiki.lan")
	b := must(acm.Read(time.Now(), w.sources("cert.pem", "key.pem")...))(t)
	if len(b.Chain) != 1 || len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "CA:FALSE") || !slices.Equal(b.Domains, []string{"wiki.lan"}) {
		t.Errorf("%d certificates, %q, %q", len(b.Chain), b.Domains, b.Warnings)
	}
}

// TestOpenSSLTakesWhatIsExported verifies the four files as a web server would
// use them.
func TestOpenSSLTakesWhatIsExported(t *testing.T) {
	w := workshop{t, t.TempDir()}
	w.openssl("ecparam -name prime256v1 -genkey -noout -out @key.pem")
	w.chain()
	b := must(acm.Read(time.Now(), w.sources("leaf.pem", "mid.pem", "key.pem")...))(t)
	d := draft()
	must(acm.Put(d, acm.Import{Bundle: b, Now: time.Now()}))(t)
	files := must(acm.Export(&d.State, "chat.example.com"))(t)
	for name, text := range map[string][]byte{"cert": files.Cert, "chain": files.Chain, "fullchain": files.Fullchain, "privkey": files.Privkey} {
		if err := os.WriteFile(w.path("out-"+name+".pem"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.openssl("verify -CAfile @root.pem -untrusted @out-chain.pem @out-cert.pem")
	w.openssl("verify -CAfile @root.pem -untrusted @out-fullchain.pem @out-fullchain.pem")
	public := run(t, "openssl", "pkey", "-in", w.path("out-privkey.pem"), "-pubout")
	if public != run(t, "openssl", "x509", "-in", w.path("out-cert.pem"), "-noout", "-pubkey") {
		t.Error("key and certificate differ")
	}
	if _, err := b.Leaf.Verify(x509.VerifyOptions{Roots: x509.NewCertPool()}); err == nil {
		t.Error("verified without a root")
	}
}
