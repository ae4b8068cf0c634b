package config_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

const requested = `
certificates:
  chat:
    domains: [chat.example.com, www.example.com]
    issuer: https://ca.example.com/dir
    email: me@example.com
    challenge: auto
    key_type: rsa
    profile: short
    ca_root: root.pem
`

func TestACertificateOfACAIsRequestedOnce(t *testing.T) {
	w := newWorld()
	w.files["/etc/albion/root.pem"] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
	f := parse(t, requested)
	if files := config.Files(f); len(files) != 1 || files[0] != "/etc/albion/root.pem" {
		t.Errorf("files %q", files)
	}
	first, changes, err := w.run(f, nil)
	if err != nil || len(changes) != 1 || !strings.Contains(changes[0].String(), "email: → me@example.com") && !strings.Contains(changes[0].String(), "me@example.com") {
		t.Fatalf("%v, %v", changes, err)
	}
	if again, changes, err := w.run(parse(t, requested), first); err != nil || len(changes) != 0 || again != first {
		t.Errorf("%v, %v", changes, err)
	}
	for c := range first.Certificates.All() {
		if r := c.Request; c.Issuer != albion.ACME || r.Email != "me@example.com" || r.KeyType != albion.KeyRSA || r.Profile != "short" || r.Roots == "" || c.Origin != albion.OriginFile {
			t.Errorf("%+v", c)
		}
	}
	changed, changes, err := w.run(parse(t, strings.Replace(requested, "profile: short", "profile: long", 1)), first)
	if err != nil || len(changes) != 1 || !strings.Contains(changes[0].String(), "profile: short → long") {
		t.Errorf("%v, %v", changes, err)
	}
	if gone, changes, err := w.run(parse(t, "{}"), changed); err != nil || len(changes) != 1 || gone.Certificates.Len()+gone.Keys.Len() != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

func TestWhatOnlyACACouldBeToldIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"domains: [a.example.com], email: me@example.com":                                        "email is for a CA, and the issuer is local",
		"domains: [a.example.com], issuer: local, challenge: http":                               "challenge is for a CA, and the issuer is local",
		"domains: [a.example.com], issuer: letsencrypt, challenge: dns-magic":                    "the challenge \"dns-magic\" is not known: expected auto, http, tls-alpn, webroot=DIR",
		"domains: [a.example.com], issuer: letsencrypt, challenge: webroot":                      "needs the folder that the web server shows: write webroot=DIR",
		"domains: [a.example.com], issuer: http://ca.example.com/dir":                            "is not an https address",
		"domains: [a.example.com], issuer: nobody":                                               "\"nobody\" is not known: expected local, letsencrypt, letsencrypt-staging, zerossl, google or google-staging",
		"domains: [a.example.com], issuer: zerossl, eab: {kid: a, hmac: c2VjcmV0}":               "name a variable of the environment",
		"domains: [a.example.com], issuer: zerossl, eab: {hmac: \"${A}\"}":                       "eab needs kid",
		"domains: [a.example.com], issuer: zerossl, eab: {kid: a, hmac: \"${A}\", hmac_file: a}": "the same secret twice",
		"domains: [a.example.com], issuer: letsencrypt, fallback: local":                         "the local CA is no fallback",
		"domains: [a.example.com], issuer: letsencrypt, fallback: [{eab: {kid: a}}]":             "a fallback needs issuer",
		"domains: [a.example.com], eab: {kid: a}":                                                "eab is for a CA, and the issuer is local",
		"certificate: a.pem, fallback: zerossl":                                                  "fallback belongs to domains",
		"certificate: a.pem, email: me@example.com":                                              "email belongs to domains",
		"domains: [a.example.com], issuer: letsencrypt, key_type: both":                          "\"both\" is not known: expected ecdsa or rsa",
		"domains: [a.example.com], issuer: letsencrypt, challenge: http, key: a.pem":             "key belongs to certificate",
	} {
		_, err := config.Parse("albion.yaml", []byte("certificates: {c: {"+text+"}}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	_, _, err := newWorld().run(parse(t, requested), nil)
	if err == nil || !strings.Contains(err.Error(), "root.pem") {
		t.Errorf("a root that is not there: %v", err)
	}
}

func TestUpCanAskACA(t *testing.T) {
	text, err := config.Up(config.UpOptions{Domains: []string{"chat.example.com"}, To: []string{"127.0.0.1:8080"}, CA: "letsencrypt", Email: "me@example.com", Challenge: "http"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"issuer: letsencrypt", "email: \"me@example.com\"", "challenge: http"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	for _, o := range []config.UpOptions{
		{Domains: []string{"a.example.com"}, To: []string{"127.0.0.1:8080"}, CA: "letsencrypt", Certificate: "a.pem"},
		{Domains: []string{"a.example.com"}, To: []string{"127.0.0.1:8080"}, Challenge: "http"},
		{Domains: []string{"a.example.com"}, To: []string{"127.0.0.1:8080"}, CA: "letsencript"},
	} {
		if text, err := config.Up(o); err == nil {
			t.Errorf("%+v: %s", o, text)
		}
	}
}

// A variable that is not set is named where it stands, unless the key is known
// already.
func TestAKeyWhoseVariableIsNotSet(t *testing.T) {
	const text = `
certificates:
  chat:
    domains: [chat.example.com]
    issuer: zerossl
    eab: {kid: a, hmac: "${UNSET}"}
    fallback: [{issuer: google, eab: {kid: b, hmac: "${UNSET}"}}]
`
	for missing, want := range map[string]string{
		"a": "albion.yaml:6:25: the variable UNSET is not set",
		"b": "albion.yaml:7:53: the variable UNSET is not set",
		"c": `albion.yaml:5:13: certificate "chat": the key is missing`,
	} {
		env := newWorld().env()
		env.Request = func(*albion.Draft, config.Requested) error {
			return &albion.Error{Code: albion.CodeInvalidParameter, Message: "the key is missing", ID: missing, Field: "ExternalAccountBinding"}
		}
		_, err := parse(t, text).Apply(albion.NewDraft(&albion.State{}), env)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", missing, err, want)
		}
	}
	env := newWorld().env()
	env.Request = func(*albion.Draft, config.Requested) error { return nil }
	if _, err := parse(t, text).Apply(albion.NewDraft(&albion.State{}), env); err != nil {
		t.Errorf("known already: %v", err)
	}
}
