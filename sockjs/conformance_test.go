package sockjs_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/sockjs/sockjstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProtocol(t *testing.T) {
	t.Parallel()
	service := sockjstest.Endpoints()
	web := httptest.NewServer(service)
	defer web.Close()
	sockjstest.Run(t, web.URL)
	if err := service.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Over TLS, with the addresses of the Hixie handshake in wss.
func TestProtocolOverTLS(t *testing.T) {
	t.Parallel()
	service := sockjstest.Endpoints()
	web := httptest.NewTLSServer(service)
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	sockjstest.Suite{Base: web.URL, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}.Run(t)
	if err := service.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Through a balancer, which passes on what a client does at its own pace.
func TestProtocolThroughABalancer(t *testing.T) {
	t.Parallel()
	service := sockjstest.Endpoints()
	web := httptest.NewServer(service)
	defer web.Close()
	target, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
	})
	defer balancer.Close()
	sockjstest.Run(t, balancer.URL)
	if err := service.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
