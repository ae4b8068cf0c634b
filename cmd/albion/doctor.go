package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/doctor"
	"github.com/albion-lb/albion/internal/resolve"
)

// doctorOptions is what `doctor` is told.
type doctorOptions struct {
	all       bool
	failOn    string
	from      string
	httpPort  uint16
	caRoot    string
	origin    string
	cas       []string
	resolvers []string
	timeout   time.Duration
}

func newDoctor(g *globals) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor NAME|URL",
		Short: "Say what stands between a name and a working https:// and wss://",
		Long: `Look at a name as a browser and a certificate authority would: name servers,
ports, certificate, redirects, the page and what it opens, WebSockets and every
transport of SockJS. Each finding comes with the one next step, and each way to
prove the name to a CA with whether it can work.

Nothing is changed, and no server has to run; what one that runs on the data
folder knows is used. The findings are advice: the exit status is 0 unless
--fail-on says otherwise.`,
		Example: `  albion doctor chat.example.com
  albion doctor https://chat.example.com/chat
  albion doctor https://me.example.org/page.html --all
  albion doctor chat.example.com --from 192.0.2.7       # before the DNS leads there
  albion doctor chat.example.com --json --fail-on problem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return g.examine(cmd.Context(), args[0], o) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.all, "all", false, "show what is in order too")
	flags.StringVar(&o.failOn, "fail-on", "", "exit with 1 when a finding is as bad as this: problem, warning or note")
	flags.StringVar(&o.from, "from", "", "IP address to look at, instead of where the name leads")
	flags.Uint16Var(&o.httpPort, "http-port", 80, "port of plain HTTP")
	flags.StringVar(&o.caRoot, "ca-root", "", "PEM file of an authority that clients were told to trust")
	flags.StringVar(&o.origin, "origin", "", "origin of the page that opens the sockets, when it is another, such as https://me.example.org")
	flags.StringArrayVar(&o.cas, "ca", nil, "letsencrypt, another name that cert request knows, or the https address of a CA's directory; may be repeated (default: those in use here, or letsencrypt)")
	flags.StringArrayVar(&o.resolvers, "resolver", nil, "IP address of a name server to ask, with a port if it is not 53; may be repeated (default: this machine's)")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "the longest that looking may take")
	flags.BoolVar(&g.json, "json", false, "print the report for programs")
	cmd.MarkFlagFilename("ca-root", "pem", "crt")
	cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"problem", "warning", "note"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("ca", cobra.FixedCompletions(acm.Issuers(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// examine looks at a name and shows what was found.
func (g *globals) examine(ctx context.Context, what string, o doctorOptions) error {
	subject, err := doctor.ParseSubject(what, o.httpPort)
	if err != nil {
		return err
	}
	failOn := doctor.Grade(o.failOn)
	if o.failOn != "" && (failOn == doctor.OK || !slices.Contains(doctor.Grades(), failOn)) {
		return fmt.Errorf("--fail-on %q: expected problem, warning or note", o.failOn)
	}
	config, err := g.doctorConfig(ctx, o)
	if err != nil {
		return err
	}
	if o.timeout <= 0 {
		return errors.New("--timeout: looking takes some time, such as 1m")
	}
	looking, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	ticker := g.ticker()
	config.Say = ticker.say
	report := doctor.Examine(looking, subject, config)
	ticker.end()
	if ctx.Err() != nil {
		return errors.New("ended before everything was looked at")
	}
	if g.json {
		err = g.print(report)
	} else {
		err = g.showReport(report, o.all)
	}
	if err == nil && o.failOn != "" && report.Worst().AtLeast(failOn) {
		return fmt.Errorf("the worst finding is a %s (--fail-on %s)", report.Worst(), o.failOn)
	}
	return err
}

// doctorConfig gathers what the doctor is told and what the data folder knows.
func (g *globals) doctorConfig(ctx context.Context, o doctorOptions) (doctor.Config, error) {
	var c doctor.Config
	var err error
	if c.Names, err = resolve.New(resolve.Config{Servers: o.resolvers}); err != nil {
		return c, fmt.Errorf("--resolver: %w", err)
	}
	if c.Unchecked, err = resolve.New(resolve.Config{Servers: o.resolvers, Unchecked: true}); err != nil {
		return c, fmt.Errorf("--resolver: %w", err)
	}
	if c.Known, err = g.known(ctx); err != nil {
		return c, err
	}
	if o.from != "" {
		if c.From, err = netip.ParseAddr(o.from); err != nil {
			return c, fmt.Errorf("--from %q: expected an IP address", o.from)
		}
		c.From = c.From.Unmap()
	}
	if o.origin != "" {
		u, err := url.Parse(o.origin)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
			return c, fmt.Errorf("--origin %q: expected the beginning of a page's address, such as https://me.example.org", o.origin)
		}
		c.Origin = u.Scheme + "://" + u.Host
	}
	for _, name := range o.cas {
		directory, err := acm.Directory(name)
		if err != nil {
			return c, fmt.Errorf("--ca: %w", err)
		}
		ca := doctor.CA{Directory: directory}
		if i := slices.IndexFunc(c.Known.CAs, func(k doctor.CA) bool { return k.Directory == directory }); i >= 0 {
			ca = c.Known.CAs[i]
		}
		c.CAs = append(c.CAs, ca)
	}
	c.Private, err = trusted(c.Known.Authority, o.caRoot)
	return c, err
}

// known is what the data folder knows. One that cannot be read by this user, or
// none at all, is no reason not to look.
func (g *globals) known(ctx context.Context) (doctor.Known, error) {
	var known doctor.Known
	err := on(g.look, func(c *admin.Client) error {
		k, err := c.Known(ctx)
		if err == nil {
			known = *k
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(g.err, "note: what runs here is not taken into account: %v\n", err)
	}
	if len(known.Addresses) == 0 {
		known.Addresses = ownAddresses()
	}
	return known, ctx.Err()
}

// trusted is the system's authorities and those that clients were told to trust.
func trusted(authority, file string) (*x509.CertPool, error) {
	given, err := readRoot(file)
	if err != nil {
		return nil, err
	}
	if authority == "" && given == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM([]byte(authority))
	if given != "" && !pool.AppendCertsFromPEM([]byte(given)) {
		return nil, fmt.Errorf("%s holds no certificate: give the authority's, in PEM", file)
	}
	return pool, nil
}

// terminal says whether a person reads what is written there.
func terminal(w any) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// ticker shows a person what is being done, on one line that is wiped afterwards.
type ticker struct {
	to *os.File // nil: nobody looks
}

func (g *globals) ticker() ticker {
	if file, ok := g.err.(*os.File); ok && terminal(file) {
		return ticker{to: file}
	}
	return ticker{}
}

func (t ticker) say(doing string) {
	if t.to != nil {
		fmt.Fprintf(t.to, "\r\x1b[K%s …", doing)
	}
}

func (t ticker) end() {
	if t.to != nil {
		fmt.Fprint(t.to, "\r\x1b[K")
	}
}
