package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
)

// methodHelp says what --challenge takes.
const methodHelp = `--challenge is one of:
  auto                  http or tls-alpn, whichever the CA offers
  http                  the CA asks on port 80, and Albion answers before any rule
  tls-alpn              the CA asks by a TLS handshake on port 443
  webroot=DIR           a file in the folder of another web server on port 80
  standalone            a listener on port 80 for as long as it takes
  dns-delegated[=ZONE]  one CNAME, made once, leads to a zone that Albion serves;
                        no credentials, and every renewal is unattended
  dns-manual            you add the TXT record that is shown; Albion waits for it
  dns-exec=HOOK         a program of yours adds and removes the TXT record
  dns-rfc2136=FILE      dynamic update of BIND, Knot, PowerDNS…; FILE as certbot's
  dns-route53[=ZONEID]  Amazon Route 53, with AWS's usual credentials
  dns-cloudflare=FILE   Cloudflare; FILE as certbot's`

// completeMethods completes --challenge in a shell.
func completeMethods(cmd *cobra.Command) {
	cmd.RegisterFlagCompletionFunc("challenge", func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		if name, _, ok := strings.Cut(typed, "="); ok && albion.Method(name).TakesFile() {
			return nil, cobra.ShellCompDirectiveDefault
		}
		all := []string{"auto"}
		directive := cobra.ShellCompDirectiveNoFileComp
		for _, words := range albion.Methods() {
			plain, _, _ := strings.Cut(words, "[")
			name, _, argument := strings.Cut(plain, "=")
			if argument {
				name += "="
				directive |= cobra.ShellCompDirectiveNoSpace
			}
			all = append(all, name)
		}
		return all, directive
	})
}

// absoluteMethod makes a file that a method names mean the same to the server,
// which runs in another folder. The error is of what is no method.
func absoluteMethod(words string) (string, error) {
	m, argument, err := albion.ParseMethod(words)
	if err != nil || !m.TakesFile() {
		return words, err
	}
	argument, err = filepath.Abs(argument)
	r := albion.Request{Method: m, Argument: argument}
	return r.Way(), err
}

// provable says whether a method, as users write it, can prove a name.
func provable(words, domain string) error {
	m, _, err := albion.ParseMethod(words)
	if err != nil {
		return err
	}
	return m.Proves(domain)
}
