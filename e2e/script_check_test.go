package e2e_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"
)

// authority is a public certificate authority of a script's own: a root, and an
// intermediate that signs.
type authority struct {
	root, intermediate       *x509.Certificate
	rootKey, intermediateKey crypto.Signer
}

// cmdPKI writes a folder with a certificate in the forms that people have:
//
//	cert.pem chain.pem fullchain.pem privkey.pem   certbot's
//	combined.pem                                   key first, then the chain upside down
//	traditional.pem                                the key as PKCS #1 or SEC 1
//
// and root.pem beside the folder.
func cmdPKI(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "pki FOLDER DOMAIN [rsa] [expired]")
	w := worldOf(ts)
	if w.authority == nil {
		a, err := newAuthority()
		ts.Check(err)
		w.authority = a
	}
	key, traditional, err := newKey(slices.Contains(args, "rsa"))
	ts.Check(err)
	until := time.Now().Add(60 * 24 * time.Hour)
	if slices.Contains(args, "expired") {
		until = time.Now().Add(-24 * time.Hour)
	}
	leaf, err := sign(&x509.Certificate{
		DNSNames: []string{args[1]}, Subject: pkix.Name{CommonName: args[1]}, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, w.authority.intermediate, key.Public(), w.authority.intermediateKey)
	ts.Check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	privkey := pemOf("PRIVATE KEY", pkcs8)
	cert, chain := pemOf("CERTIFICATE", leaf.Raw), pemOf("CERTIFICATE", w.authority.intermediate.Raw)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for name, data := range map[string][]byte{
		"cert.pem": cert, "chain.pem": chain, "fullchain.pem": slices.Concat(cert, chain), "privkey.pem": privkey,
		"combined.pem": slices.Concat(privkey, chain, cert), "traditional.pem": traditional,
		"../root.pem": pemOf("CERTIFICATE", w.authority.root.Raw),
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	// As openssl writes serial numbers.
	ts.Setenv("SERIAL", strings.ToUpper(evenHex(leaf.SerialNumber)))
}

func evenHex(n *big.Int) string {
	digits := n.Text(16)
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	return digits
}

func newAuthority() (*authority, error) {
	a := &authority{}
	var err error
	years := time.Now().AddDate(5, 0, 0)
	if a.rootKey, _, err = newKey(false); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Example Root"}, NotAfter: years,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if a.root, err = sign(template, template, a.rootKey.Public(), a.rootKey); err != nil {
		return nil, err
	}
	if a.intermediateKey, _, err = newKey(false); err != nil {
		return nil, err
	}
	a.intermediate, err = sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Example Intermediate"}, NotAfter: years,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.root, a.intermediateKey.Public(), a.rootKey)
	return a, err
}

func newKey(useRSA bool) (key crypto.Signer, traditional []byte, err error) {
	if useRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, nil, err
		}
		return key, pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), nil
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(ec)
	return ec, pemOf("EC PRIVATE KEY", der), err
}

func sign(template, issuer *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber, template.NotBefore = serial, time.Now().AddDate(0, -1, 0)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func pemOf(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// cmdJSON follows a dotted path through the last standard output: names of
// fields, indexes of lists.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "json PATH REGEXP")
	var v any
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	decoder.UseNumber()
	ts.Check(decoder.Decode(&v))
	for step := range strings.SplitSeq(args[0], ".") {
		switch at := v.(type) {
		case map[string]any:
			field, ok := at[step]
			if !ok {
				ts.Fatalf("%s: there is no %s in %v", args[0], step, at)
			}
			v = field
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: there are only %d", args[0], len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("%s: nothing can be inside of %v", args[0], at)
		}
	}
	ts.Check(matches(args[0], fmt.Append(nil, v), args[1]))
}

func cmdMetrics(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "metrics NAME…")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(ts.ReadFile("stdout")))
	ts.Check(err)
	for _, name := range args {
		if family := families[name]; family == nil || len(family.GetMetric()) == 0 || family.GetHelp() == "" {
			ts.Fatalf("there is no metric %s with a help text", name)
		}
	}
}

// field is one field of ALB's access log: quoted, or without spaces.
const field = `(?:"(?:[^"\\]|\\.)*"|[^" ]\S*)`

func cmdAccessLog(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "access-log FILE N")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	all := lines(ts.ReadFile(args[0]))
	if len(all) != n {
		ts.Fatalf("%d lines, not %d:\n%s", len(all), n, strings.Join(all, "\n"))
	}
	line := regexp.MustCompile(`^` + field + `(?: ` + field + `){33}$`)
	for _, l := range all {
		if !line.MatchString(l) {
			ts.Fatalf("not 34 fields: %s", l)
		}
	}
}

func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "mode FILE 0600")
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

func cmdDiffer(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "differ FILE FILE")
	if bytes.Equal([]byte(ts.ReadFile(args[0])), []byte(ts.ReadFile(args[1]))) {
		ts.Fatalf("%s and %s are the same", args[0], args[1])
	}
}

// cmdFill puts the environment's values into files, for ${NAME}.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "fill FILE…")
	for _, name := range args {
		text := regexp.MustCompile(`\$\{\w+\}`).ReplaceAllStringFunc(ts.ReadFile(name), func(v string) string {
			return ts.Getenv(v[2 : len(v)-1])
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// savePause is between the lines of a file that is saved slowly: short for the
// server, which looks twice a second, and long enough that it looks in between.
const savePause = 100 * time.Millisecond

// cmdSave writes FILE anew, in place, with what is in FROM, line by line, as over
// a slow network.
func cmdSave(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "save FILE FROM")
	text := ts.ReadFile(args[1])
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	pause := time.NewTicker(savePause)
	defer pause.Stop()
	for line := range strings.Lines(text) {
		_, err := f.WriteString(line)
		ts.Check(err)
		<-pause.C
	}
}
