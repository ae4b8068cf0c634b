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

func TestABeaconIsAnsweredBesideLiveTokens(t *testing.T) {
	to := albion.DefaultRedirect()
	to.Protocol, to.Port, to.Status = "HTTPS", "443", 301
	routes, err := route.Compile(albion.Action{Redirect: &to}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBalancer(t, func(v *proxy.View) {
		v.Routes, v.Proofs = routes, map[string]string{"live": "live.thumbprint"}
		v.Beacon = func(token string) (string, bool) { return "beacon " + token, token == "mine" || token == "live" }
	})
	for token, want := range map[string]string{"mine": "beacon mine", "live": "live.thumbprint", "another": ""} {
		answer, body := b.ask("GET /.well-known/acme-challenge/" + token + " HTTP/1.1\r\nHost: chat.example.com\r\nConnection: close\r\n\r\n")
		if status := map[bool]int{true: 200, false: 301}[want != ""]; answer.StatusCode != status || status == 200 && body != want {
			t.Errorf("%s: %d %q, want %d %q", token, answer.StatusCode, body, status, want)
		}
	}
}
