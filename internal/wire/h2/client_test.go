package h2_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// clients are two independent implementations: net/http's and golang.org/x/net's.
func clients(t *testing.T, s *server) map[string]*http.Client {
	std := &http.Transport{TLSClientConfig: s.tls(), ForceAttemptHTTP2: true}
	ext := &http.Transport{TLSClientConfig: s.tls()}
	if _, err := http2.ConfigureTransports(ext); err != nil { //nolint:staticcheck // the other implementation is the point
		t.Fatal(err)
	}
	t.Cleanup(std.CloseIdleConnections)
	t.Cleanup(ext.CloseIdleConnections)
	return map[string]*http.Client{"net/http": {Transport: std}, "x/net": {Transport: ext}}
}

func do(t *testing.T, c *http.Client, method, url string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Fatalf("answered over %s", res.Proto)
	}
	return res, string(got)
}

func TestClientsAreServed(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	for name, c := range clients(t, s) {
		t.Run(name, func(t *testing.T) {
			url := "https://" + s.addr
			res, body := do(t, c, "GET", url+"/", nil)
			if res.StatusCode != 200 || body != "hello" || res.Header.Get("Content-Type") != "text/plain" || res.Header.Get("Connection") != "" {
				t.Errorf("GET: %d %q %v", res.StatusCode, body, res.Header)
			}
			if res, body = do(t, c, "HEAD", url+"/", nil); res.ContentLength != 5 || body != "" {
				t.Errorf("HEAD: %d %q", res.ContentLength, body)
			}
			if _, body = do(t, c, "GET", url+"/bulk", nil); body != "hello" {
				t.Errorf("again: %q", body)
			}
			upload := strings.Repeat("0123456789", 300_000)
			if _, body = do(t, c, "POST", url+"/count", strings.NewReader(upload)); body != "3000000" {
				t.Errorf("a sized upload: %s", body)
			}
			if _, body = do(t, c, "POST", url+"/echo", io.MultiReader(strings.NewReader(upload))); body != upload {
				t.Errorf("an echo of unknown size: %d bytes came back", len(body))
			}
			if _, body = do(t, c, "GET", url+"/big?5000000", nil); len(body) != 5_000_000 {
				t.Errorf("a large answer: %d bytes", len(body))
			}
			if res, body = do(t, c, "POST", url+"/early", bytes.NewReader(make([]byte, 2<<20))); res.StatusCode != 403 || body != "no" {
				t.Errorf("an answer before the request's end: %d %q", res.StatusCode, body)
			}
		})
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	for name, c := range clients(t, s) {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+s.addr+"/echo", io.MultiReader(strings.NewReader("x")))
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"Grpc-Status": {"7"}, "X-Forwarded-For": {"192.0.2.1"}}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "x" {
				t.Fatalf("%q, %v", body, err)
			}
			if res.Trailer.Get("Grpc-Status") != "7" || res.Trailer.Get("X-Forwarded-For") != "" {
				t.Errorf("trailers %v", res.Trailer)
			}
		})
	}
}

func TestInterimAnswersGoAhead(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	c := clients(t, s)["net/http"]
	early := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			early = fmt.Sprint(code, h.Get("Link"))
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, "GET", "https://"+s.addr+"/interim", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); early != "103</a.css>" || string(body) != "final" {
		t.Errorf("interim %q, final %q", early, body)
	}
}

// Echoes that go on side by side come back whole, whatever their order.
func TestStreamsShareAConnection(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	c := clients(t, s)["net/http"]
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			want := strings.Repeat(string(rune('a'+i%26)), 1000*(i+1))
			req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+s.addr+"/echo", strings.NewReader(want))
			if err != nil {
				t.Error(err)
				return
			}
			res, err := c.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != want {
				t.Errorf("echo %d: %d bytes of %d, %v", i, len(got), len(want), err)
			}
		})
	}
	all.Wait()
}
