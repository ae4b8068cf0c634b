package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// issuing is a certificate authority, a server behind, and the ports of an Albion
// that is about to be started between them.
type issuing struct {
	t           *testing.T
	program     string
	ca          *acmetest.CA
	root        string // file: who vouches for the CA's own server
	data        string
	http, https int
	backend     string
}

func newIssuing(t *testing.T, o acmetest.Options) *issuing {
	t.Helper()
	i := &issuing{t: t, program: buildScripted(t), http: freePort(t), https: freePort(t), data: filepath.Join(t.TempDir(), "data")}
	o.HTTPPort, o.TLSPort = i.http, i.https
	i.ca = acmetest.New(t, o)
	i.root = filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(i.root, []byte(i.ca.ServerRoot), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "behind") }))
	t.Cleanup(server.Close)
	i.backend = strings.TrimPrefix(server.URL, "http://")
	return i
}

// command runs the program and returns what it said.
func (i *issuing) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(i.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, i.program, append(args, "--data", i.data)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// requestForPrograms requests a certificate with --json: its output is that and
// nothing else, and the steps are told elsewhere.
func (i *issuing) requestForPrograms(name string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, i.program, "cert", "request", "-d", name, "--ca", i.ca.Directory, "--ca-root", i.root, "--accept-tos", "--json", "--data", i.data)
	var steps strings.Builder
	cmd.Stderr = &steps
	out, err := cmd.Output()
	var cert struct{ Name, Chain string }
	if wrong := json.Unmarshal(out, &cert); err != nil || wrong != nil || cert.Name != name || !strings.Contains(cert.Chain, "BEGIN CERTIFICATE") || !strings.Contains(steps.String(), "every name is proved") {
		i.t.Errorf("%v, %v: %s\n%s", err, wrong, out, steps.String())
	}
}

// up starts `albion up` and returns a wait for something that it says, and what
// ends it.
func (i *issuing) up(args ...string) (said func(pattern string), end func()) {
	i.t.Helper()
	args = append([]string{
		"up", "--domain", "chat.example.com", "--to", i.backend, "--http-port", fmt.Sprint(i.http), "--https-port", fmt.Sprint(i.https),
		"--data", i.data, "--admin", "off", "--grace", "1s", "--address", "127.0.0.1",
	}, args...)
	cmd := exec.CommandContext(i.t.Context(), i.program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	lines := make(chan string, 200)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	end = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		for range lines {
			continue
		}
		if err := cmd.Wait(); err != nil {
			i.t.Errorf("albion up: %v", err)
		}
	})
	i.t.Cleanup(end)
	return func(pattern string) {
		i.t.Helper()
		wanted, over := regexp.MustCompile(pattern), time.After(patience)
		var all []string
		for {
			select {
			case line, ok := <-lines:
				if all = append(all, line); !ok {
					i.t.Fatalf("it ended before it said %q:\n%s", pattern, strings.Join(all, "\n"))
				}
				if wanted.MatchString(line) {
					return
				}
			case <-over:
				i.t.Fatalf("it did not say %q:\n%s", pattern, strings.Join(all, "\n"))
			}
		}
	}, end
}

// browse asks for the page as a browser does that trusts the CA, and returns the
// leaf that it was shown.
func (i *issuing) browse() *x509.Certificate {
	i.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(i.ca.Root()))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", i.https))
		},
	}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://chat.example.com/")
	if err != nil {
		i.t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "behind" {
		i.t.Errorf("%q, %v", body, err)
	}
	return answer.TLS.PeerCertificates[0]
}

func TestUpGetsItsCertificateFromACA(t *testing.T) {
	for _, challenge := range []string{"http", "tls-alpn"} {
		t.Run(challenge, func(t *testing.T) {
			i := newIssuing(t, acmetest.Options{NonceReject: 20})
			args := []string{"--email", "me@example.com", "--issuer", i.ca.Directory, "--ca-root", i.root, "--accept-tos", "--challenge", challenge}
			said, end := i.up(args...)
			said("Issuer .* until its certificate is there, the local CA's is shown")
			said("registered an account at 127.0.0.1")
			said("ready to prove chat.example.com by " + challenge + "-01")
			said("The certificate for chat.example.com is in place, valid until .*renews itself")
			first := i.browse()

			// A second name, requested while it runs, one that cannot be, and a trial.
			out, err := i.command("cert", "request", "-d", "www.example.com", "-d", "127.0.0.1", "--ca", i.ca.Directory, "--ca-root", i.root, "--accept-tos", "--key", "rsa")
			if err != nil || !strings.Contains(out, "every name is proved") || !strings.Contains(out, "www.example.com is in place for www.example.com, 127.0.0.1") {
				t.Errorf("%v\n%s", err, out)
			}
			i.ca.DNS.Lose("lost.example.com")
			out, err = i.command("cert", "request", "-d", "lost.example.com", "--ca", i.ca.Directory, "--ca-root", i.root, "--accept-tos")
			if err == nil || !strings.Contains(out, "next: ") || !strings.Contains(out, "the CA's words: ") || !strings.Contains(out, "it is tried again at") {
				t.Errorf("%v\n%s", err, out)
			}
			out, err = i.command("cert", "request", "-d", "try.example.com", "--dry-run", "--ca", i.ca.Directory, "--ca-root", i.root, "--accept-tos")
			if err != nil || !strings.Contains(out, "dry run: ") {
				t.Errorf("%v\n%s", err, out)
			}
			i.requestForPrograms("json.example.com")
			out, err = i.command("cert", "list")
			if err != nil || strings.Contains(out, "dry-run") || !regexp.MustCompile(`chat.example.com +ok`).MatchString(out) ||
				!regexp.MustCompile(`lost.example.com +retrying`).MatchString(out) || !regexp.MustCompile(`www.example.com +unused .*RSA_2048`).MatchString(out) ||
				!regexp.MustCompile(`chat.example.com: renewed at .*, by `+challenge+` at 127.0.0.1`).MatchString(out) {
				t.Errorf("%v\n%s", err, out)
			}

			// A restart asks for nothing.
			end()
			orders := i.ca.Asked(acmetest.NewOrder)
			said, end = i.up(args...)
			said("The certificate for chat.example.com is in place")
			if again := i.browse(); again.SerialNumber.Cmp(first.SerialNumber) != 0 || i.ca.Asked(acmetest.NewOrder) != orders {
				t.Errorf("serial %s then %s, %d orders then %d", first.SerialNumber, again.SerialNumber, orders, i.ca.Asked(acmetest.NewOrder))
			}
			end()
		})
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	i := newIssuing(t, acmetest.Options{})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"cert", "request", "-d", "chat.example.com", "--ca", i.ca.Directory, "--ca-root", i.root, "--accept-tos"}, "nothing runs on"},
		{[]string{"cert", "request", "-d", "chat.example.com", "--ca", "http://ca.example.com/"}, "expected letsencrypt"},
		{[]string{"cert", "request"}, `"domain" not set`},
		{[]string{"up", "--domain", "chat.example.com", "--to", i.backend, "--issuer", "letsencrypt"}, "add --accept-tos"},
		{[]string{"up", "--domain", "chat.example.com", "--to", i.backend, "--issuer", "local", "--email", "me@example.com"}, "--email is for a CA"},
		{[]string{"up", "--domain", "*.example.com", "--to", i.backend, "--issuer", i.ca.Directory, "--ca-root", i.root, "--accept-tos", "--admin", "off"}, "the wildcard *.example.com cannot be proved without a DNS challenge: choose one of dns-manual, dns-delegated"},
		{[]string{"up", "--domain", "chat.example.com", "--to", i.backend, "--issuer", i.ca.Directory, "--accept-tos", "--challenge", "webroot", "--admin", "off"}, `--challenge: the challenge webroot needs the folder that the web server shows: write webroot=DIR`},
	} {
		if out, err := i.command(c.args...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%v: %v\n%s\nwant %q", c.args, err, out, c.want)
		}
	}
	if n := i.ca.Asked(acmetest.NewOrder); n != 0 {
		t.Errorf("%d orders", n)
	}
}

// A certificate that lives for seconds is renewed while somebody is connected:
// the ARN stays, new handshakes get the new one, the connection is not cut.
func TestARenewalIsInPlaceAndCutsNothing(t *testing.T) {
	i := newIssuing(t, acmetest.Options{Profiles: map[string]acmetest.Profile{"brief": {ValidityPeriod: 24}}})
	said, end := i.up("--issuer", i.ca.Directory, "--ca-root", i.root, "--accept-tos")
	said("is in place")
	arn := i.arn()
	first := i.browse()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(i.ca.Root()))
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", i.https), &tls.Config{RootCAs: roots, ServerName: "chat.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	ask := func() {
		t.Helper()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "behind" {
			t.Errorf("%q, %v", body, err)
		}
		answer.Body.Close()
	}
	ask()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(patience); i.serial() == first.SerialNumber.String(); {
		if time.Now().After(over) {
			t.Fatal("it is not renewed")
		}
		ask() // on the same connection, all the while
		<-tick.C
	}
	if again := i.arn(); again != arn {
		t.Errorf("%s, then %s", arn, again)
	}
	ask()
	end()
}

// serial is that of the leaf which a new handshake gets, trusted or not.
func (i *issuing) serial() string {
	i.t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", i.https), &tls.Config{ServerName: "chat.example.com", InsecureSkipVerify: true}) // it may run out while this machine is busy
	if err != nil {
		i.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// arn is that of the certificate that `up` declared.
func (i *issuing) arn() string {
	i.t.Helper()
	out, err := i.command("cert", "show", "chat.example.com")
	found := regexp.MustCompile(`arn:aws:acm:\S+`).FindString(out)
	if err != nil || found == "" {
		i.t.Fatalf("%v\n%s", err, out)
	}
	return found
}
