package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

const hooks = `
certificates: {chat: {domains: [chat.test]}}
hooks:
  mail: {events: renewed, exec: [/usr/local/bin/reload, --now]}
  alarm: {url: "https://ops.example.com/hook", timeout: 5s, certificates: [chat], secret: "${HOOK_SECRET}"}
`

func TestHooksOfAFile(t *testing.T) {
	w := newWorld()
	first, changes, err := w.run(parse(t, hooks), nil)
	if err != nil || len(changes) != 3 {
		t.Fatalf("%v, %v", changes, err)
	}
	alarm, ok := first.Hooks.Get("alarm")
	key, signed := first.Keys.Get("hook/alarm")
	if !ok || alarm.Timeout != 5*time.Second || alarm.Origin != albion.OriginFile || !signed || string(key.Secret) != "the value of HOOK_SECRET" {
		t.Errorf("%+v", alarm)
	}
	if again, changes, err := w.run(parse(t, hooks), first); err != nil || len(changes) != 0 || again != first {
		t.Errorf("%v, %v", changes, err)
	}
	for text, want := range map[string]string{
		strings.Replace(hooks, "HOOK_SECRET", "OTHER", 1):           "secret: another one",
		strings.Replace(hooks, `, secret: "${HOOK_SECRET}"`, "", 1): "secret: gone",
		strings.Replace(hooks, "5s", "6s", 1):                       "timeout: 5s → 6s",
		strings.Replace(hooks, "events: renewed", "events: []", 1):  "events",
		strings.Replace(hooks, "  mail:", "  post:", 1):             "add hook post",
		strings.Replace(hooks, `"${HOOK_SECRET}"`, `"${UNSET}"`, 1): "", // it is known already
	} {
		_, changes, err := w.run(parse(t, text), first)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var all []string
		for _, c := range changes {
			all = append(all, c.String())
		}
		if got := strings.Join(all, "\n"); !strings.Contains(got, want) || want == "" && got != "" || strings.Contains(got, "the value of") {
			t.Errorf("%s\nwant %q", got, want)
		}
	}
	if gone, changes, err := w.run(parse(t, "{}"), first); err != nil || len(changes) != 3 || gone.Hooks.Len()+gone.Keys.Len() != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

func TestHooksThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"{shell: 'true', secret: abc-secret}":                            "a secret does not stand in this file",
		"{url: 'https://a.example.com', events: [revoked]}":              `"revoked" is not known`,
		"{shell: 'true', exec: /bin/true}":                               "exactly one of",
		"{exec: reload}":                                                 "absolute name",
		"{url: 'https://a.example.com', secret: '${UNSET}'}":             "the variable UNSET is not set",
		"{url: 'https://a.example.com', secret_file: nothing}":           "nothing",
		"{url: 'https://a.example.com', secret_file: a, secret: '${A}'}": "twice",
	} {
		f, err := config.Parse("/etc/albion/albion.yaml", []byte("hooks: {h: "+text+"}"))
		if err == nil {
			_, _, err = newWorld().run(f, nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "abc-secret") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestAHookIsForCertificatesThatExist(t *testing.T) {
	_, _, err := newWorld().run(parse(t, strings.Replace(hooks, "certificates: [chat]", "certificates: [chatt]", 1)), nil)
	if err == nil || !strings.Contains(err.Error(), `albion.yaml:5:76: no certificate is called "chatt": did you mean chat?`) {
		t.Errorf("%v", err)
	}
}

func TestFallbacksOfAFile(t *testing.T) {
	const text = `
certificates:
  chat:
    domains: [chat.example.com]
    issuer: letsencrypt
    eab: {kid: a, hmac_file: mac}
    fallback:
      - google
      - {issuer: "https://ca.example.com/dir", profile: short, ca_root: root.pem, eab: {kid: b, hmac: "${MAC}"}}
`
	w := newWorld()
	w.files["/etc/albion/mac"], w.files["/etc/albion/root.pem"] = " bWFj\n", "root"
	f := parse(t, text)
	if files := config.Files(f); len(files) != 2 {
		t.Errorf("%q", files)
	}
	var got config.Requested
	env := w.env()
	env.Request = func(d *albion.Draft, want config.Requested) error {
		got = want
		return w.request(d, want)
	}
	if _, err := f.Apply(albion.NewDraft(&albion.State{}), env); err != nil {
		t.Fatal(err)
	}
	if got.Issuer != "letsencrypt" || got.KeyID != "a" || string(got.MAC) != "bWFj" || len(got.Fallbacks) != 2 || got.Fallbacks[0].Issuer != "google" {
		t.Errorf("%+v", got)
	}
	if b := got.Fallbacks[1]; b.Profile != "short" || b.Roots != "root" || b.KeyID != "b" || string(b.MAC) != "the value of MAC" {
		t.Errorf("%+v", b)
	}
}
