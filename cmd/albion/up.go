package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/config"
)

func newUp(g *globals) *cobra.Command {
	var o serverOptions
	var up config.UpOptions
	var addresses []string
	var issuer issuerOptions
	var printConfig bool
	cmd := &cobra.Command{
		Use:   "up --domain NAME --to HOST:PORT",
		Short: "Put HTTPS in front of your own server, now",
		Long: `Put HTTPS in front of your own server: HTTPS with WebSockets on one port, a
redirect from HTTP on the other. The certificate comes from your files, from
Let's Encrypt or another CA (--email or --accept-tos, --issuer), which is asked
by itself now and at every renewal, or else from Albion's local CA, whose
certificate clients then have to trust.`,
		Example: `  albion up --domain chat.example.com --to 127.0.0.1:8080
  albion up --domain chat.example.com --to :8080 --email me@example.com --accept-tos
  albion up --domain chat.example.com --to :8080 --to :8081 --cert fullchain.pem --key privkey.pem
  albion up --domain chat.test --to :8080 --http-port 8000 --https-port 8443
  albion up --domain chat.example.com --to :8080 --print-config > albion.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.dataDir = g.dataDir
			if err := completeUp(&up, addresses); err != nil {
				return err
			}
			issuer.unasked = printConfig
			if err := g.chooseIssuer(cmd.Context(), &up, issuer); err != nil {
				return err
			}
			text, err := config.Up(up)
			if err != nil {
				return err
			}
			if err := g.checkFiles(up); err != nil {
				return err
			}
			if printConfig {
				_, err := g.out.Write(text)
				return err
			}
			var follow func(context.Context, *server)
			if up.CA != "" {
				follow = func(ctx context.Context, s *server) { g.narrate(ctx, s, up.Domains) }
			}
			return g.up(cmd.Context(), o, text, func(s *server) { g.greet(s, up) }, follow)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&up.Domains, "domain", "d", nil, "name to answer for; may be repeated")
	flags.StringArrayVarP(&up.To, "to", "t", nil, "your server, HOST:PORT or PORT; repeated: the load is shared")
	flags.StringVar(&up.Certificate, "cert", "", "certificate file, PEM: leaf and chain, or everything in one")
	flags.StringVar(&up.Key, "key", "", "private key file, PEM, when --cert does not hold it")
	flags.StringVar(&up.Chain, "chain", "", "chain file, PEM, when --cert does not hold it")
	flags.StringVar(&up.Certbot, "certbot", "", "a certbot folder, such as /etc/letsencrypt/live/chat.example.com")
	flags.StringVar(&issuer.issuer, "issuer", "", "who issues when no file is given: local, letsencrypt, letsencrypt-staging, or the https address of a CA's directory (default local; letsencrypt with --email or --accept-tos)")
	flags.StringVar(&up.Email, "email", "", "where the CA writes to")
	flags.BoolVar(&issuer.accept, "accept-tos", false, "agree to the CA's terms of service")
	flags.StringVar(&up.Challenge, "challenge", "", "how the names are proved to the CA: http, tls-alpn, webroot=DIR, dns-delegated, … (see albion cert request --help; default: http or tls-alpn)")
	flags.StringVar(&up.CARoot, "ca-root", "", "PEM file of the authority that vouches for a private CA's server")
	flags.Uint16Var(&up.HTTPPort, "http-port", 80, "port that redirects to HTTPS")
	flags.Uint16Var(&up.HTTPSPort, "https-port", 443, "port for HTTPS")
	flags.StringArrayVar(&addresses, "address", nil, "address to listen on; may be repeated (default: all)")
	flags.BoolVar(&printConfig, "print-config", false, "print the configuration file that this stands for, and do nothing")
	cmd.MarkFlagRequired("domain")
	cmd.MarkFlagRequired("to")
	for _, name := range []string{"cert", "key", "chain"} {
		cmd.MarkFlagFilename(name, "pem", "crt", "key")
	}
	cmd.MarkFlagDirname("certbot")
	completeMethods(cmd)
	cmd.RegisterFlagCompletionFunc("issuer", cobra.FixedCompletions([]string{"local", acm.LetsEncrypt, acm.LetsEncryptStaging}, cobra.ShellCompDirectiveNoFileComp))
	addServerFlags(cmd, &o, "text")
	return cmd
}

// checkFiles reads the certificate's files before anything is opened, and says
// where they do not fit the names.
func (g *globals) checkFiles(up config.UpOptions) error {
	var paths []string
	for _, path := range []string{up.Certificate, up.Key, up.Chain, up.Certbot} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	sources, err := acm.ReadFiles(paths...)
	if err != nil {
		return err
	}
	bundle, err := acm.Read(time.Now(), sources...)
	if err != nil {
		return err
	}
	for _, warning := range bundle.Warnings {
		fmt.Fprintln(g.err, "warning:", warning)
	}
	for _, domain := range up.Domains {
		// A wildcard is asked for by the names that it stands for.
		if bundle.Leaf.VerifyHostname(strings.Replace(domain, "*.", "any.", 1)) != nil {
			fmt.Fprintf(g.err, "warning: the certificate is for %s, so browsers refuse it for %s\n", strings.Join(bundle.Domains, ", "), domain)
		}
	}
	return nil
}

// completeUp turns what people type into what a file says.
func completeUp(up *config.UpOptions, addresses []string) error {
	if up.HTTPPort == 0 || up.HTTPSPort == 0 {
		return errors.New("a port is 1 to 65535: leave --http-port and --https-port out for 80 and 443")
	}
	for i, to := range up.To {
		if strings.Trim(to, "0123456789") == "" {
			to = ":" + to
		}
		if strings.HasPrefix(to, ":") {
			to = "127.0.0.1" + to
		}
		if _, port, err := net.SplitHostPort(to); err != nil || port == "" {
			return fmt.Errorf("--to %q: expected HOST:PORT, such as 127.0.0.1:8080", up.To[i])
		}
		up.To[i] = to
	}
	for _, a := range addresses {
		parsed, err := netip.ParseAddr(a)
		if err != nil {
			return fmt.Errorf("--address %q: expected an IP address of this machine", a)
		}
		up.Addresses = append(up.Addresses, parsed)
	}
	for _, path := range []*string{&up.Certificate, &up.Key, &up.Chain, &up.Certbot, &up.CARoot} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}

// up serves a configuration that no file holds. A port that cannot be opened
// ends it: there is somebody at the keyboard who can do something about it.
//
// greet says where to look, follow goes on saying what happens, until its context
// ends; it may be nil. The log is silent until then: the error says the same as its lines would. The
// files that the configuration refers to are watched, as those of `serve` are.
func (g *globals) up(ctx context.Context, o serverOptions, text []byte, greet func(*server), follow func(context.Context, *server)) error {
	const name = "albion up"
	// Who closes the terminal wants an end, unless nohup said otherwise.
	if !signal.Ignored(syscall.SIGHUP) {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	s, err := openServer(ctx, o, g.streams)
	if err != nil {
		return err
	}
	level := s.level.Level()
	s.level.Set(silent)
	if _, err := s.service.Apply(ctx, admin.ApplyRequest{Name: name, Data: text}); err != nil {
		return errors.Join(err, s.closeUnused())
	}
	s.ending = func(clients int) { g.sayEnding(clients, o.grace) }
	return s.run(ctx, func(ctx context.Context) error {
		if err := s.problems(); err != nil {
			return fmt.Errorf("%w\n--http-port and --https-port choose other ports", err)
		}
		s.level.Set(level)
		greet(s)
		if follow != nil {
			var following sync.WaitGroup
			following.Go(func() { follow(ctx, s) })
			defer following.Wait()
		}
		s.watch(ctx, &watcher{name: name, text: text, every: watchEvery, log: s.log}, nil)
		return nil
	})
}

// sayEnding tells whoever pressed Ctrl-C what is waited for.
func (g *globals) sayEnding(clients int, grace time.Duration) {
	if clients > 0 {
		fmt.Fprintf(g.err, "\nEnding: %d connected, with %s to finish what is in flight. Ctrl-C again ends at once.\n", clients, grace)
	}
}

// greet says where to look.
func (g *globals) greet(s *server, up config.UpOptions) {
	fmt.Fprintf(g.out, "Albion serves %s in front of %s\n\n", address("https", up.Domains[0], up.HTTPSPort), strings.Join(up.To, ", "))
	fmt.Fprintf(g.out, "  Open      %s\n", address("https", up.Domains[0], up.HTTPSPort))
	fmt.Fprintf(g.out, "  Redirect  %s leads there\n", address("http", up.Domains[0], up.HTTPPort))
	switch {
	case up.CA != "":
		fmt.Fprintf(g.out, "  Issuer    %s; until its certificate is there, the local CA's is shown\n", up.CA)
	case up.Certificate == "" && up.Certbot == "":
		if path, err := writeAuthority(s); err == nil {
			fmt.Fprintf(g.out, "  Trust     %s is the local CA's certificate: clients have to trust it\n", path)
			fmt.Fprintf(g.out, "  Try       curl --cacert %s --resolve %s:%d:127.0.0.1 %s\n", path, up.Domains[0], up.HTTPSPort, address("https", up.Domains[0], up.HTTPSPort))
		}
	}
	fmt.Fprintf(g.out, "\n%s shows how it fares; Ctrl-C ends it.\n", g.statusCommand(s.dataDir))
}

// statusCommand is what to type to look at the server on a data folder.
func (g *globals) statusCommand(dataDir string) string {
	if dataDir == defaultDataDir() {
		return "`" + g.name + " status`"
	}
	return "`" + g.name + " status --data " + dataDir + "`"
}

// address is a URL without the port that goes without saying.
func address(scheme, host string, port uint16) string {
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		return fmt.Sprintf("%s://%s/", scheme, host)
	}
	return fmt.Sprintf("%s://%s:%d/", scheme, host, port)
}

// writeAuthority puts the local CA's certificate, which is no secret, where
// clients can be pointed to.
func writeAuthority(s *server) (path string, err error) {
	chain, ok := acm.Authority(s.store.State())
	if !ok {
		return "", errors.New("there is no local CA")
	}
	path = filepath.Join(s.dataDir, "ca.pem")
	return path, replaceFile(path, []byte(chain), 0o644)
}
