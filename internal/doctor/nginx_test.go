package doctor_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/doctor"
)

// nginx runs with a configuration of its server blocks' until the test ends.
func nginx(t *testing.T, servers, ready string) {
	t.Helper()
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	%[2]s
}
`, dir, servers)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", file, "-p", dir)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("start nginx: %v (scripts/tools installs it)", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: time.Second}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answer, err := client.Get(ready); err == nil {
			answer.Body.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, &said)
		case <-tick.C:
		}
	}
}

// freePort is a port that nobody has now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// nginx as it comes passes no WebSocket on; told to, it does.
func TestNginxBetween(t *testing.T) {
	handler := chat(t, "")
	for name, c := range map[string]struct {
		options string
		want    []string
	}{
		"as it comes": {"", []string{"sockjs-websocket"}},
		"told to": {`proxy_buffering off; proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $onward;`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "/chat", http.NotFoundHandler(), handler)
			s.cfg.Patience = 2 * time.Second
			front := freePort(t)
			nginx(t, fmt.Sprintf(`map $http_upgrade $onward { default upgrade; "" ""; }
	server { listen 127.0.0.1:%s ssl; %s location / { proxy_pass %s; %s } }`, front, keyPair(t, s.secure.TLS.Certificates[0]), s.plain.URL, c.options), "https://127.0.0.1:"+front+"/chat")
			subject, err := doctor.ParseSubject("https://chat.example.com:"+front+"/chat", s.subject.HTTP)
			if err != nil {
				t.Fatal(err)
			}
			s.subject = subject
			r, bad, _ := s.examine(t)
			want(t, r, bad, append(c.want, "hsts-missing", "not-redirected")...)
		})
	}
}

// keyPair writes the certificate and the key of a test server for nginx, and
// returns the lines that name them.
func keyPair(t *testing.T, c tls.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("ssl_certificate %[1]s/cert; ssl_certificate_key %[1]s/key;", dir)
}

// nginx's own redirects, and its 401 where a CA asks.
func TestNginxInTheWay(t *testing.T) {
	plain := freePort(t)
	s := newSite(t, "/", http.NotFoundHandler(), http.NotFoundHandler())
	s.subject.HTTP = number(t, plain)
	nginx(t, fmt.Sprintf(`server { listen 127.0.0.1:%s;
		location / { return 301 http://chat.example.com:%[1]s/; }
		location /.well-known/ { return 401; }
	}`, plain), "http://127.0.0.1:"+plain+"/.well-known/")
	r, bad, _ := s.examine(t)
	want(t, r, bad, "redirect-loop", "challenge-denied", "hsts-missing", "not-found")
	for _, f := range r.Findings {
		if f.Code == "challenge-denied" && !strings.Contains(f.Says, "nginx") {
			t.Errorf("who answers is not said: %s", f.Says)
		}
	}
}
