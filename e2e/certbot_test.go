package e2e_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/core"

	"github.com/albion-lb/albion/internal/acme/acmetest"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
)

// leaving is a tree that a real certbot has made at a CA.
type leaving struct {
	*issuing
	dir, web string
	names    *resolvetest.Network
	warnings []string // of the last adoption
}

// certbot runs the real one with a configuration folder of its own.
func (l *leaving) certbot(args ...string) {
	l.t.Helper()
	work := l.t.TempDir()
	args = append(args, "--config-dir", l.dir, "--work-dir", work, "--logs-dir", filepath.Join(work, "logs"), "--non-interactive",
		"--http-01-port", fmt.Sprint(l.http), "--http-01-address", "127.0.0.1", "--no-random-sleep-on-renew")
	if args[0] == "certonly" {
		args = append(args, "--server", l.ca.Directory, "--agree-tos", "--email", "me@example.com", "--no-eff-email")
	}
	cmd := exec.CommandContext(l.t.Context(), "certbot", args...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+l.root, "HOME="+work)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("certbot %v: %v\n%s", args, err, out)
	}
}

// serveWeb is the web server that certbot's webroot belongs to.
func (l *leaving) serveWeb() (end func()) {
	l.t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.http))
	if err != nil {
		l.t.Fatal(err)
	}
	server, done := &http.Server{Handler: http.FileServer(http.Dir(l.web))}, make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	return func() {
		_ = server.Close()
		<-done
	}
}

// hooks are scripts that add and remove TXT records, as people write them.
func (l *leaving) hooks() (auth, cleanup string) {
	l.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	server, done := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		name, value := "_acme-challenge."+r.FormValue("domain"), r.FormValue("validation")
		if r.URL.Path == "/add" {
			l.names.Update("example.com", fmt.Sprintf("add %s 1 TXT %s", name, value))
		} else {
			l.names.Update("example.com", fmt.Sprintf("delete %s TXT %s", name, value))
		}
	})}, make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	l.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	write := func(name, path string) string {
		file := filepath.Join(l.t.TempDir(), name)
		text := fmt.Sprintf("#!/bin/sh\nset -eu\ncurl -sSf -G 'http://%s/%s' --data-urlencode \"domain=$CERTBOT_DOMAIN\" --data-urlencode \"validation=$CERTBOT_VALIDATION\"\n", listener.Addr(), path)
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			l.t.Fatal(err)
		}
		return file
	}
	return write("auth.sh", "add"), write("cleanup.sh", "remove")
}

// newLeaving lets certbot get three certificates: by webroot with a deploy hook,
// standalone with an RSA key and renewed once, and by hooks for a wildcard.
func newLeaving(t *testing.T) *leaving {
	t.Helper()
	names := resolvetest.New(t, resolvetest.Zone{Name: "example.com", Text: "* A 127.0.0.1\n"})
	l := &leaving{issuing: newIssuing(t, acmetest.Options{Resolver: names.Recursive}), names: names, dir: filepath.Join(t.TempDir(), "letsencrypt"), web: t.TempDir()}
	end := l.serveWeb()
	l.certbot("certonly", "--webroot", "-w", l.web, "-d", "chat.example.com", "-d", "www.example.com", "--key-type", "ecdsa", "--deploy-hook", "touch "+filepath.Join(l.web, "deployed"))
	end()
	l.certbot("certonly", "--standalone", "-d", "rsa.example.com", "--key-type", "rsa")
	l.certbot("renew", "--cert-name", "rsa.example.com", "--force-renewal")
	auth, cleanup := l.hooks()
	l.certbot("certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", auth, "--manual-cleanup-hook", cleanup,
		"-d", "*.wild.example.com", "-d", "wild.example.com", "--key-type", "ecdsa")
	return l
}

// fingerprint is of every file of the tree: what it holds, who may do what with
// it, and when it was changed.
func (l *leaving) fingerprint() string {
	l.t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(l.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Mode(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			fmt.Fprintf(sum, "%q", data)
			return err
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// leaf is the newest certificate of a lineage.
func (l *leaving) leaf(name string) *x509.Certificate {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "live", name, "cert.pem"))
	if err != nil {
		l.t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		l.t.Fatal(err)
	}
	return cert
}

// order is the CA's view of the order that a certificate came from.
func (l *leaving) order(serial *big.Int) *core.Order {
	l.t.Helper()
	order, err := l.ca.Store.GetOrderByIssuedSerial(hex.EncodeToString(serial.Bytes()))
	if err != nil {
		l.t.Fatal(err)
	}
	return order
}

// adopted is what `cert adopt certbot --json` says of one lineage.
type adopted struct {
	Name, Action, ARN, MethodNow, MethodHere, Decision string
	Replaced, Exempt                                   bool
	Domains, Hooks                                     []string
}

func (l *leaving) adopt(args ...string) map[string]adopted {
	l.t.Helper()
	out, err := l.command(append([]string{"cert", "adopt", "certbot", "--dir", l.dir, "--ca-root", l.root, "--json"}, args...)...)
	if err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Lineages []adopted
		Warnings []string
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	l.warnings = report.Warnings
	all := map[string]adopted{}
	for _, a := range report.Lineages {
		all[a.Name] = a
	}
	return all
}

// What certbot looked after is taken over while Albion runs, and the first
// renewal is by certbot's account and replaces certbot's certificate.
func TestCertbotIsLeft(t *testing.T) {
	l := newLeaving(t)
	before, accounts := l.fingerprint(), l.ca.Asked(acmetest.NewAccount)
	names := []string{"chat.example.com", "rsa.example.com", "wild.example.com"}
	old := map[string]*x509.Certificate{}
	past := time.Now().Add(-time.Hour).UTC()
	for _, name := range names {
		old[name] = l.leaf(name)
		window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`, past.Add(-time.Hour).Format(time.RFC3339), past.Format(time.RFC3339))
		if err := l.ca.Store.SetARIResponse(old[name].SerialNumber, window); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(t.TempDir(), "albion.yaml")
	l.configure(config, "")
	l.serve(config, "--resolver", l.names.Recursive, "--authoritative-port", fmt.Sprint(l.names.Port))

	// A name that is here already keeps its ARN.
	if out, err := l.command("cert", "import", "rsa.example.com", filepath.Join(l.dir, "archive", "rsa.example.com", "fullchain1.pem"), filepath.Join(l.dir, "archive", "rsa.example.com", "privkey1.pem")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	arn := l.show("rsa.example.com").ARN
	for name, a := range l.adopt("--dry-run") {
		if a.Action != "adopt" || !a.Exempt {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if out, err := l.command("cert", "list"); err != nil || strings.Contains(out, "chat.example.com") {
		t.Errorf("a dry run has changed something: %v\n%s", err, out)
	}
	deployed := filepath.Join(l.web, "deployed")
	if err := os.Remove(deployed); err != nil {
		t.Fatalf("certbot has not run its hook: %v", err)
	}
	all := l.adopt("--hooks")
	if got := strings.Join(l.warnings, "\n"); got != "no listener shows "+strings.Join(names, ", ")+": until one does, nothing of that is renewed" {
		t.Errorf("warnings: %q", got)
	}
	chat, rsa, wild := all["chat.example.com"], all["rsa.example.com"], all["wild.example.com"]
	if chat.Action != "adopt" || chat.MethodNow != "webroot" || chat.MethodHere != "http" || len(chat.Hooks) != 1 || !chat.Exempt || chat.Replaced {
		t.Errorf("%+v", chat)
	}
	if rsa.ARN != arn || !rsa.Replaced || rsa.MethodNow != "standalone" || rsa.MethodHere != "http" {
		t.Errorf("%+v", rsa)
	}
	if wild.MethodNow != "manual" || !strings.HasPrefix(wild.MethodHere, "dns-exec="+l.data) || len(wild.Domains) != 2 {
		t.Errorf("%+v", wild)
	}
	if l.show("rsa.example.com").Serial != colons(old["rsa.example.com"].SerialNumber) {
		t.Error("the contents are not certbot's newest")
	}

	// Once listeners show them, they are renewed: the CA has said that it is time.
	l.configure(config, strings.Join(names, ", "))
	for _, name := range names {
		l.renewed(name, old[name], all[name].ARN)
	}
	await(t, "the deploy hook has not run", func() bool {
		_, err := os.Stat(deployed)
		return err == nil
	})
	if l.ca.Asked(acmetest.NewAccount) != accounts {
		t.Error("another account was registered")
	}
	for name, a := range l.adopt() {
		if a.Action != "keep" {
			t.Errorf("%s is not kept: %+v", name, a)
		}
	}
	if l.fingerprint() != before {
		t.Error("certbot's folder has changed")
	}
}

// renewed waits until a certificate is another one, and holds it against the one
// that certbot had.
func (l *leaving) renewed(name string, old *x509.Certificate, arn string) {
	l.t.Helper()
	var now shown
	await(l.t, name+" is not renewed", func() bool {
		now = l.show(name)
		return now.Serial != colons(old.SerialNumber)
	})
	if now.ARN != arn || len(now.Domains) != len(old.DNSNames) {
		l.t.Errorf("%s: %+v", name, now)
	}
	serial, _ := new(big.Int).SetString(strings.ReplaceAll(now.Serial, ":", ""), 16)
	first, second := l.order(old.SerialNumber), l.order(serial)
	second.RLock()
	replaces := second.Replaces
	second.RUnlock()
	first.RLock()
	defer first.RUnlock()
	if first.AccountID != second.AccountID || !first.IsReplaced || replaces == "" {
		l.t.Errorf("%s: account %s, then %s; replaced %v by %q", name, first.AccountID, second.AccountID, first.IsReplaced, replaces)
	}
}

// await looks until something has come true.
func await(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(2 * patience); !done(); {
		if time.Now().After(over) {
			t.Fatal(otherwise)
		}
		<-tick.C
	}
}

// shown is what `cert show --json` says.
type shown struct {
	ARN, Serial string
	Domains     []string
}

func (i *issuing) show(name string) shown {
	i.t.Helper()
	out, err := i.command("cert", "show", name, "--json")
	var s shown
	if err != nil || json.Unmarshal([]byte(out), &s) != nil {
		i.t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// colons writes a serial number as ACM does.
func colons(serial *big.Int) string {
	var pairs []string
	for _, b := range serial.Bytes() {
		pairs = append(pairs, fmt.Sprintf("%02x", b))
	}
	return strings.Join(pairs, ":")
}

// configure writes a file with an HTTP listener, and an HTTPS listener that shows
// these certificates.
func (i *issuing) configure(file, certificates string) {
	i.t.Helper()
	text := fmt.Sprintf("load_balancers:\n  web:\n    addresses: [127.0.0.1]\n    listeners:\n      - port: %d\n        fixed_response: {status: 200}\n", i.http)
	if certificates != "" {
		text += fmt.Sprintf("      - port: %d\n        certificates: [%s]\n        fixed_response: {status: 200}\n", i.https, certificates)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		i.t.Fatal(err)
	}
}

// serve runs `albion serve` until the test ends.
func (i *issuing) serve(config string, args ...string) {
	i.t.Helper()
	cmd := exec.Command(i.program, append([]string{"serve", "-c", config, "--data", i.data, "--admin", "off", "--grace", "1s"}, args...)...)
	out, err := cmd.StderrPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	var log strings.Builder
	go func() {
		defer close(ended)
		begun := sync.OnceFunc(func() { close(ready) })
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			fmt.Fprintln(&log, scanner.Text())
			if strings.Contains(scanner.Text(), `"msg":"ready"`) {
				begun()
			}
		}
	}()
	i.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		if err := cmd.Wait(); err != nil || i.t.Failed() {
			i.t.Errorf("albion serve: %v\n%s", err, log.String())
		}
	})
	select {
	case <-ready:
	case <-ended:
	case <-time.After(patience):
	}
}
