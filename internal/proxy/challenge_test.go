package proxy_test

import (
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
)

func TestLiveTokensAreAnsweredBeforeEveryRule(t *testing.T) {
	to := albion.DefaultRedirect()
	to.Protocol, to.Port, to.Status = "HTTPS", "443", 301
	routes, err := route.Compile(albion.Action{Redirect: &to}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBalancer(t, func(v *proxy.View) {
		v.Routes, v.Proofs = routes, map[string]string{"live-token_1": "live-token_1.thumbprint"}
	})
	const head = " HTTP/1.1\r\nHost: chat.example.com\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		text   string
		status int
		body   string
	}{
		{"GET /.well-known/acme-challenge/live-token_1" + head, 200, "live-token_1.thumbprint"},
		{"HEAD /.well-known/acme-challenge/live-token_1" + head, 200, ""},
		{"GET /.well-known/acme-challenge/another" + head, 301, ""},
		{"GET /.well-known/acme-challenge/" + head, 301, ""},
		{"GET /.well-known/acme-challenge/live-token_1/x" + head, 301, ""},
		{"GET /.well-known/acme-challenge/live-token%5F1" + head, 301, ""},
		{"POST /.well-known/acme-challenge/live-token_1" + head, 301, ""},
		{"GET /live-token_1" + head, 301, ""},
	} {
		answer, body := b.ask(c.text)
		if answer.StatusCode != c.status || c.status == 200 && body != c.body {
			t.Errorf("%q: %d %q, want %d %q", c.text, answer.StatusCode, body, c.status, c.body)
		}
	}
}
