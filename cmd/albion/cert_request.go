package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

// requestOptions is what `cert request` is told.
type requestOptions struct {
	request admin.CertificateRequest
	caRoot  string
	binding bindingOptions
	accept  bool
	dryRun  bool
}

func newCertRequest(g *globals) *cobra.Command {
	var o requestOptions
	cmd := &cobra.Command{
		Use:        "request -d NAME [-d NAME…]",
		Short:      "Request a certificate from a CA, such as Let's Encrypt",
		SuggestFor: []string{"renew", "issue", "order", "obtain", "certonly"},
		Long: `Request a certificate from a CA that speaks ACME. The server that runs proves the
names, in the way that --challenge names, now and at every renewal. Each step is
shown as it happens. From then on the certificate renews itself, in place, as long
as a listener shows it.

Names are domain names, also international ones, and IP addresses. Wildcards need
one of the DNS challenges.

` + methodHelp,
		Example: `  albion cert request -d chat.example.com --email me@example.com --accept-tos
  albion cert request -d chat.example.com -d www.example.com --challenge tls-alpn
  albion cert request -d chat.example.com -d '*.chat.example.com' --challenge dns-delegated
  albion cert request -d chat.example.com --challenge webroot=/var/www/html --key both
  albion cert request -d chat.example.com --dry-run --accept-tos
  albion cert request -d chat.example.com --accept-tos --json | jq -r .NotAfter
  albion cert request -d chat.internal.example --ca https://ca.internal.example/acme/directory --ca-root root.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.request(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.request.Domains, "domain", "d", nil, "name or IP address to be certified; may be repeated")
	flags.StringVar(&o.request.Name, "name", "", "what the certificate is called (default: its first domain); an existing one keeps its ARN")
	flags.StringVar(&o.request.Challenge, "challenge", "auto", "how the names are proved, see above")
	flags.StringVar(&o.request.Issuer, "ca", acm.LetsEncrypt, strings.Join(acm.Issuers(), ", ")+", or the https address of a CA's directory")
	o.binding.add(cmd)
	flags.StringVar(&o.caRoot, "ca-root", "", "PEM file of the authority that vouches for a private CA's server")
	flags.StringVar(&o.request.Email, "email", "", "where the CA writes to")
	flags.StringVar(&o.request.KeyType, "key", "ecdsa", "key of the certificate: ecdsa (P-256), rsa (2048 bits), or both, which makes a second certificate NAME-rsa")
	flags.StringVar(&o.request.Profile, "profile", "", "one of the CA's profiles")
	flags.BoolVar(&o.accept, "accept-tos", false, "agree to the CA's terms of service")
	flags.BoolVar(&o.dryRun, "dry-run", false, "go through all of it at the CA's staging, or at the CA itself if it has none, and throw the certificate away")
	flags.BoolVar(&g.json, "json", false, "print the certificate for programs, and the steps on standard error; with --key both, one certificate after the other")
	cmd.MarkFlagRequired("domain")
	cmd.MarkFlagFilename("ca-root", "pem", "crt")
	completeMethods(cmd)
	cmd.RegisterFlagCompletionFunc("ca", cobra.FixedCompletions(acm.Issuers(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("key", cobra.FixedCompletions(keyTypes(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// request asks for a certificate and shows what becomes of it.
func (g *globals) request(ctx context.Context, o requestOptions) error {
	if o.dryRun {
		o.request.Issuer = acm.Staging(o.request.Issuer)
		if o.request.Name == "" {
			o.request.Name = o.request.Domains[0]
		}
		o.request.Name = "dry-run." + strings.ReplaceAll(o.request.Name, "*", "_")
	}
	if !slices.Contains(keyTypes(), o.request.KeyType) {
		return fmt.Errorf("--key %q: expected one of %s", o.request.KeyType, strings.Join(keyTypes(), ", "))
	}
	if _, err := acm.Directory(o.request.Issuer); err != nil {
		return err
	}
	err := o.binding.complete(&o.request, g.in)
	if err != nil {
		return err
	}
	if o.request.Challenge, err = absoluteMethod(o.request.Challenge); err != nil {
		return fmt.Errorf("--challenge: %w", err)
	}
	if o.request.Roots, err = readRoot(o.caRoot); err != nil {
		return err
	}
	return on(g.look, func(c *admin.Client) error {
		if status, err := c.Status(ctx); err != nil {
			return err
		} else if !status.Running {
			return fmt.Errorf("nothing runs on %s that could answer the CA: start `albion up` or `albion serve` first, in another terminal", g.dataDir)
		}
		switch agreed, err := g.agree(ctx, o.request.Issuer, o.request.Roots, o.accept); {
		case errors.Is(err, errNoTerminal):
			return fmt.Errorf("%s issues only to who agrees to its terms of service: add --accept-tos", o.request.Issuer)
		case err != nil:
			return err
		case !agreed:
			return errors.New("nothing was requested, since the terms were not agreed to")
		}
		return g.obtainEach(ctx, c, o)
	})
}

// bothKeys asks for two certificates, of which a listener shows the one that a
// client understands.
const bothKeys = "both"

func keyTypes() []string { return []string{string(albion.KeyECDSA), string(albion.KeyRSA), bothKeys} }

// obtainEach obtains what was asked for: one certificate, or one with each kind of
// key.
func (g *globals) obtainEach(ctx context.Context, c *admin.Client, o requestOptions) error {
	if o.request.KeyType != bothKeys {
		_, err := g.obtain(ctx, c, o)
		return err
	}
	o.request.KeyType = string(albion.KeyECDSA)
	name, err := g.obtain(ctx, c, o)
	if err != nil {
		return err
	}
	o.request.KeyType, o.request.Name = string(albion.KeyRSA), name+"-rsa"
	if _, err = g.obtain(ctx, c, o); err == nil && !o.dryRun {
		fmt.Fprintf(g.words(), "Let the listener show both, %s and %s: it gives each client the one that it understands.\n", name, o.request.Name)
	}
	return err
}

// obtain requests a certificate, waits for it, and returns its name.
func (g *globals) obtain(ctx context.Context, c *admin.Client, o requestOptions) (name string, err error) {
	begun := time.Now()
	cert, err := c.Request(ctx, o.request)
	if err != nil {
		return "", err
	}
	for _, line := range cert.Warnings {
		fmt.Fprintln(g.err, "warning: "+line)
	}
	if o.dryRun {
		defer func() {
			_, gone := c.DeleteCertificate(context.WithoutCancel(ctx), cert.Name)
			err = errors.Join(err, gone)
		}()
	}
	final, err := g.await(ctx, c, cert, begun)
	if err != nil {
		return "", err
	}
	if g.json {
		return cert.Name, g.print(final)
	}
	if o.dryRun {
		fmt.Fprintf(g.out, "dry run: %s would issue a certificate for %s\n", acm.IssuerName(final.Issuance.Request.Directory), strings.Join(final.Domains, ", "))
		return cert.Name, nil
	}
	fmt.Fprintf(g.out, "%s is in place for %s, valid until %s\n%s\n", final.Name, strings.Join(final.Domains, ", "), final.NotAfter.Local().Format(time.DateOnly), final.ARN)
	if len(final.UsedBy) == 0 {
		fmt.Fprintln(g.out, "No listener shows it yet: until one does it is not renewed.")
	}
	return cert.Name, nil
}

// words is where what happens is told to people: not between what programs read.
func (g *globals) words() io.Writer {
	if g.json {
		return g.err
	}
	return g.out
}

// lookEvery is how often a person's view of an order is brought up to date.
const lookEvery = 200 * time.Millisecond

// await shows the steps of an order until the certificate is there, or an
// attempt has failed. asked is what the request was answered with: the steps of
// then are old.
func (g *globals) await(ctx context.Context, c *admin.Client, asked *admin.Certificate, begun time.Time) (*admin.Certificate, error) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	name := asked.Name
	out := g.words()
	progress, wanted := progress{out: out}, newWantedView(out)
	if asked.Issuance != nil {
		progress.skip(asked.Issuance.Steps)
	}
	for {
		cert, err := c.Certificate(ctx, name)
		if err != nil {
			return nil, err
		}
		i := cert.Issuance
		if i == nil {
			return nil, fmt.Errorf("the certificate %s is no longer requested from a CA", name)
		}
		if i.Problem != nil && i.Failed.After(begun) {
			progress.show(i.Steps)
			return nil, failedAttempt(i)
		}
		wanted.show(i.Wanted, i.Until)
		progress.show(i.Steps)
		switch {
		case !i.Pending && !i.UnderWay && i.Problem == nil && i.Request.Covers(cert.Domains) && !strings.Contains(cert.Next, "now"):
			return cert, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, errors.New("the order goes on in the server: `albion cert list` shows it")
		}
	}
}

// failedAttempt says what is wrong, what to do next, what the CA said, and when
// it is tried again.
func failedAttempt(i *admin.Issuance) error {
	text := i.Problem.Sentence + "\nnext: " + i.Problem.Advice
	if i.Problem.Words != "" {
		text += "\n" + detail(i.Problem)
	}
	if i.Again != nil {
		text += "\nit is tried again at " + i.Again.Local().Format(time.DateTime) + "; the same command tries at once"
	}
	return errors.New(text)
}

// detail is what the CA said, or whoever else failed.
func detail(s *albion.Setback) string {
	if s.Ours {
		return "in detail: " + s.Words
	}
	return "the CA's words: " + s.Words
}

// progress shows each step of an attempt once.
type progress struct {
	out   io.Writer
	shown int
	last  string
}

// skip takes steps as shown.
func (p *progress) skip(steps []string) {
	if p.shown = len(steps); p.shown > 0 {
		p.last = steps[p.shown-1]
	}
}

func (p *progress) show(steps []string) {
	// A list that is shorter, or another one, belongs to another attempt.
	if p.shown > len(steps) || p.shown > 0 && steps[p.shown-1] != p.last {
		p.shown = 0
	}
	for _, step := range steps[p.shown:] {
		fmt.Fprintln(p.out, "  -", step)
		p.last = step
	}
	p.shown = len(steps)
}
