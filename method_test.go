package albion_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion"
)

func TestMethodsAreReadAsTheyAreWritten(t *testing.T) {
	for words, want := range map[string]albion.Request{
		"":                      {},
		"auto":                  {},
		"http":                  {Method: albion.MethodHTTP},
		"http-01":               {Method: albion.MethodHTTP},
		"tls-alpn-01":           {Method: albion.MethodALPN},
		"webroot=/var/www/a=b":  {Method: albion.MethodWebroot, Argument: "/var/www/a=b"},
		"dns-delegated":         {Method: albion.MethodDelegated},
		"dns-delegated=a.test":  {Method: albion.MethodDelegated, Argument: "a.test"},
		"dns-route53=Z1":        {Method: albion.MethodRoute53, Argument: "Z1"},
		"dns-exec=/opt/my hook": {Method: albion.MethodExec, Argument: "/opt/my hook"},
	} {
		m, argument, err := albion.ParseMethod(words)
		if err != nil || m != want.Method || argument != want.Argument {
			t.Errorf("%s: %q %q %v", words, m, argument, err)
		}
	}
	for words, want := range map[string]string{
		"dns":                 "says too little: which one of dns-manual",
		"dns-01":              "says too little",
		"smoke":               "expected auto, http, tls-alpn, webroot=DIR, standalone",
		"auto=1":              "takes nothing behind a =",
		"http=1":              "write only http",
		"webroot":             "the folder that the web server shows: write webroot=DIR",
		"dns-exec=":           "the program to run: write dns-exec=HOOK",
		"dns-cloudflare":      "the file with the credentials: write dns-cloudflare=FILE",
		"dns-route53=":        "write dns-route53[=ZONEID], or leave the = out",
		"webroot=a\nb":        "is no DIR",
		"dns-delegated=\xffz": "is no ZONE",
	} {
		if _, _, err := albion.ParseMethod(words); err == nil || !strings.Contains(err.Error(), want) || albion.CodeOf(err) != albion.CodeValidation {
			t.Errorf("%q: %v, want %q", words, err, want)
		}
	}
}

func TestEveryMethodAnswersOneChallenge(t *testing.T) {
	dns := 0
	for _, words := range albion.Methods() {
		name, _, _ := strings.Cut(strings.ReplaceAll(words, "[", ""), "=")
		m := albion.Method(name)
		switch m.Challenge() {
		case albion.ChallengeDNS:
			dns++
			if m.Proves("*.example.com") != nil || m.Proves("192.0.2.1") == nil || m.Proves("2001:db8::1") == nil {
				t.Errorf("%s proves the wrong names", m)
			}
		case albion.ChallengeHTTP, albion.ChallengeALPN:
			if m.Proves("*.example.com") == nil || m.Proves("192.0.2.1") != nil {
				t.Errorf("%s proves the wrong names", m)
			}
		default:
			t.Errorf("%s answers %q", m, m.Challenge())
		}
	}
	if dns != 6 || albion.MethodAuto.Challenge() != "" || albion.MethodAuto.Proves("*.example.com") == nil {
		t.Errorf("%d DNS methods", dns)
	}
}

// What is read is written the same again, whatever it was.
func FuzzParseMethod(f *testing.F) {
	for _, words := range append(albion.Methods(), "", "auto", "http-01", "webroot=/a", "=", "webroot==", "dns=\x00") {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		m, argument, err := albion.ParseMethod(words)
		if err != nil {
			if albion.CodeOf(err) == "" {
				t.Errorf("%v has no code", err)
			}
			return
		}
		r := albion.Request{Method: m, Argument: argument}
		if again, other, err := albion.ParseMethod(r.Way()); err != nil || again != m || other != argument {
			t.Errorf("%q became %q: %q %q %v", words, r.Way(), again, other, err)
		}
	})
}
