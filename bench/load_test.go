package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serveOrigin runs an origin for the test; with config it speaks TLS, as a
// balancer does.
func serveOrigin(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runOrigin(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return address
}

// do runs a job to its end.
func do(t *testing.T, j job) (*result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := newLoad(ctx, &j)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	return l.run(func() error { return nil })
}

func TestJobsAgainstTheOrigin(t *testing.T) {
	address := serveOrigin(t, nil)
	for name, j := range map[string]job{
		"small":  {Kind: "request", Clients: 3, Limit: 20, Answer: smallSize},
		"large":  {Kind: "request", Clients: 2, Limit: 3, Answer: 300_001, Paths: []string{"/bytes/300001"}},
		"upload": {Kind: "request", Clients: 2, Limit: 3, Upload: 200_001, Answer: -1},
		"echo":   {Kind: "echo", Clients: 3, Limit: 20},
		"hold":   {Kind: "hold", Clients: 20},
	} {
		j.Address, j.Names = address, []string{hostName}
		if j.Paths == nil {
			j.Paths = []string{smallPath}
		}
		res, err := do(t, j)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := j.Clients * max(j.Limit, 1); res.Operations != want || res.Failed != 0 || res.P999 < res.P50 || res.P50 == 0 {
			t.Errorf("%s: %+v, not %d", name, res, want)
		}
	}
}

func TestPacedJobKeepsItsRate(t *testing.T) {
	address := serveOrigin(t, nil)
	res, err := do(t, job{
		Kind: "paced", Address: address, Names: []string{hostName}, Paths: []string{smallPath}, Answer: smallSize,
		Clients: 4, Rate: 400, Measure: 250 * time.Millisecond,
	})
	if err != nil || res.Operations != 100 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestHandshakes(t *testing.T) {
	authority, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	c, err := authority.issue(t.TempDir(), hostName, 1)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	j := job{Kind: "handshake", TLS: true, Roots: authority.pem, Names: []string{hostName}, Paths: []string{smallPath}, Answer: smallSize, Clients: 2, Limit: 5}
	for name, c := range map[string]struct {
		config *tls.Config
		resume bool
		fails  string
	}{
		"full":                  {&tls.Config{}, false, ""},
		"resumed":               {&tls.Config{}, true, ""},
		"resumption is refused": {&tls.Config{SessionTicketsDisabled: true}, true, "not resumed"},
		"TLS 1.2 is refused":    {&tls.Config{MaxVersion: tls.VersionTLS12}, false, "protocol version"},
	} {
		c.config.Certificates = []tls.Certificate{pair}
		j.Address, j.Resume = serveOrigin(t, c.config), c.resume
		res, err := do(t, j)
		switch {
		case c.fails == "" && (err != nil || res.Operations != 10):
			t.Errorf("%s: %+v, %v", name, res, err)
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongAnswersAreNoSuccess(t *testing.T) {
	address := serveOrigin(t, nil)
	j := job{Kind: "request", Address: address, Names: []string{hostName}, Paths: []string{"/bytes/5"}, Answer: 6, Clients: 1, Limit: 3}
	if _, err := do(t, j); err == nil {
		t.Error("five bytes pass for six")
	}
}

func TestFailuresAreCountedWhenAsked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // answers every connection once, without a word that the next is not welcome
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, maxHead))
			conn.Write(append(okHead(2), "ok"...))
			conn.Read(make([]byte, maxHead))
			conn.Close()
		}
	}()
	defer func() { ln.Close(); <-ended }()
	res, err := do(t, job{
		Kind: "request", Address: ln.Addr().String(), Names: []string{hostName}, Paths: []string{smallPath}, Answer: 2,
		Clients: 1, Limit: 6, Retry: true,
	})
	if err != nil || res.Operations != 3 || res.Failed != 3 || res.Why == "" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestOriginRefuses(t *testing.T) {
	address := serveOrigin(t, nil)
	for request, want := range map[string]string{
		"nonsense\r\n\r\n": "HTTP/1.1 400",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n": "HTTP/1.1 400",
		"GET /bytes/-1 HTTP/1.1\r\n\r\n":                        "",
		"GET / HTTP/1.1\r\nConnection: close\r\n\r\n":           "HTTP/1.1 200",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request)
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.HasPrefix(string(answer), want) || want == "" && len(answer) > 0 {
			t.Errorf("%q: %q, %v", request, answer, err)
		}
	}
}

func TestLoadSpeaksItsProtocol(t *testing.T) {
	text, err := json.Marshal(job{
		Kind: "request", Address: serveOrigin(t, nil), Names: []string{hostName}, Paths: []string{smallPath}, Answer: smallSize, Clients: 1, Limit: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := runLoad(t.Context(), strings.NewReader(string(text)+"\ngo\n"), &out); err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(out.String(), "\n")
	var res result
	if err := json.Unmarshal([]byte(second), &res); first != wordReady || err != nil || res.Operations != 4 {
		t.Errorf("%q, %v", out.String(), err)
	}
	for _, bad := range []string{"", "{", "{}\n", string(text), string(text) + "\nstop\n"} {
		if err := runLoad(t.Context(), strings.NewReader(bad), io.Discard); err == nil {
			t.Errorf("%.20q is a job", bad)
		}
	}
}
