package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/admin"
)

func TestKeysOfCAsAreKeptOffTheCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mac")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := file + ".large"
	if err := os.WriteFile(large, make([]byte, maxSecretFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options bindingOptions
		env     bool
		want    string // KID:MAC of each CA
		problem string
	}{
		"nothing":          {want: ":"},
		"plain":            {options: bindingOptions{keyID: "k", mac: "m"}, want: "k:m"},
		"a file":           {options: bindingOptions{keyID: "k", mac: "@" + file}, want: "k:from-file"},
		"the input":        {options: bindingOptions{keyID: "k", mac: "-"}, want: "k:from-input"},
		"the environment":  {env: true, want: "kid-env:mac-env"},
		"a pair":           {options: bindingOptions{pairs: []string{"k:-"}}, want: "k:from-input"},
		"two CAs":          {options: bindingOptions{fallbacks: []string{"zerossl", "google"}, pairs: []string{"google=g:@" + file, "letsencrypt=k:m=="}}, want: "k:m== : g:from-file"},
		"no pair":          {options: bindingOptions{pairs: []string{"my-secret"}}, problem: "expected KID:HMAC"},
		"given twice":      {options: bindingOptions{keyID: "k", pairs: []string{"b:my-secret"}}, problem: "given twice"},
		"the input twice":  {options: bindingOptions{fallbacks: []string{"zerossl"}, pairs: []string{"k:-", "zerossl=z:-"}}, problem: "one secret only"},
		"an unknown CA":    {options: bindingOptions{fallbacks: []string{"nobody"}}, problem: "--ca-fallback"},
		"no such file":     {options: bindingOptions{keyID: "k", mac: "@" + file + ".not"}, problem: "--eab-hmac: " + file + ".not does not exist: the secret is read from it"},
		"no secret at all": {options: bindingOptions{keyID: "k", mac: "@" + large}, problem: "that is no secret"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.env {
				t.Setenv(keyIDVariable, "kid-env")
				t.Setenv(macVariable, "mac-env")
			}
			r := admin.CertificateRequest{Issuer: "letsencrypt"}
			err := c.options.complete(&r, strings.NewReader("from-input\n"))
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) || strings.Contains(err.Error(), "my-secret") {
					t.Errorf("%v, want %q", err, c.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := r.KeyID + ":" + r.MAC
			for _, f := range r.Fallbacks {
				got += " " + f.KeyID + ":" + f.MAC
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
