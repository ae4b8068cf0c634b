package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/certbot"
)

func newCertAdopt(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "adopt",
		Short:   "Take certificates over from another ACME client",
		Example: "  albion cert adopt certbot --dry-run",
	}
	cmd.AddCommand(newAdoptCertbot(g))
	return cmd
}

// adoptOptions is what `cert adopt certbot` is told.
type adoptOptions struct {
	dir    string
	caRoot string
	names  []string
	dryRun bool
	hooks  bool
}

func newAdoptCertbot(g *globals) *cobra.Command {
	var o adoptOptions
	cmd := &cobra.Command{
		Use:   "certbot [NAME…]",
		Short: "Take over what certbot looks after: certificates, accounts, methods",
		Long: `Take over what certbot looks after, all of it or the lineages that are named.
Each certificate is kept under the name of its lineage, with its key; one of that
name that is here already keeps its ARN. The account comes along, so that the
first renewal says which certificate it replaces and counts against no limit of
the CA. Names that certbot proved on port 80 are proved by Albion's own listener
there; DNS methods that Albion knows go on with the same credentials.

Certbot's folder is only read. What still runs certbot here is named, with the
command that ends it: two that renew the same names reach the CA's limits.`,
		Example: `  albion cert adopt certbot --dry-run
  albion cert adopt certbot
  albion cert adopt certbot chat.example.com --dir /backup/letsencrypt --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return g.adopt(cmd.Context(), o)
		},
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return lineageNames(o.dir, args), cobra.ShellCompDirectiveNoFileComp
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "dir", "/etc/letsencrypt", "certbot's configuration folder")
	flags.StringVar(&o.caRoot, "ca-root", "", "PEM file of the authority that vouches for a private CA's server")
	flags.BoolVar(&o.dryRun, "dry-run", false, "show what would become of each lineage, and change nothing")
	flags.BoolVar(&o.hooks, "hooks", false, "run the deploy hooks after Albion's renewals, too")
	flags.BoolVar(&g.json, "json", false, "print the result for programs")
	cmd.MarkFlagDirname("dir")
	cmd.MarkFlagFilename("ca-root", "pem", "crt")
	return cmd
}

// adoption is what came of a lineage, for people and programs.
type adoption struct {
	admin.Adopted
	CA         string
	MethodNow  string
	MethodHere string `json:",omitempty"`
	Hooks      []string
	Decision   string   `json:",omitempty"`
	Notes      []string `json:",omitempty"`
}

// adoptReport is all that `cert adopt certbot` says.
type adoptReport struct {
	Dir      string
	DryRun   bool
	Lineages []adoption
	Hooks    []string           `json:",omitempty"` // names of those that run the deploy hooks from now on
	Left     []hookLeft         `json:",omitempty"` // those that do not, though --hooks asked for them
	Running  []certbot.Schedule // what still runs certbot here
	Warnings []string           `json:",omitempty"`
}

// look says what the renewals still need.
func (r *adoptReport) look(ctx context.Context, c *admin.Client) error {
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	shown := map[string]bool{}
	plain := false
	for _, l := range status.Listeners {
		plain = plain || l.Protocol == albion.HTTP
		for _, name := range l.Certificates {
			shown[name] = true
		}
	}
	var hidden []string
	byHTTP := false
	for _, a := range r.Lineages {
		if a.Action != admin.ActionAdopt && a.Action != admin.ActionKeep {
			continue
		}
		byHTTP = byHTTP || a.MethodHere == string(albion.MethodHTTP)
		if !shown[a.Name] {
			hidden = append(hidden, a.Name)
		}
	}
	if byHTTP && !plain {
		r.Warnings = append(r.Warnings, "no HTTP listener is configured, and names that are proved by http need one on port 80")
	}
	if len(hidden) > 0 {
		r.Warnings = append(r.Warnings, "no listener shows "+strings.Join(hidden, ", ")+": until one does, nothing of that is renewed")
	}
	return nil
}

// adopt reads certbot's folder and takes it over.
func (g *globals) adopt(ctx context.Context, o adoptOptions) error {
	roots, err := readRoot(o.caRoot)
	if err != nil {
		return err
	}
	tree, err := certbot.Read(o.dir)
	if err != nil {
		return err
	}
	chosen, err := choose(tree, o.names)
	if err != nil {
		return err
	}
	scripts, err := filepath.Abs(filepath.Join(g.dataDir, scriptsFolder))
	if err != nil {
		return err
	}
	request := admin.AdoptRequest{Roots: roots, DryRun: o.dryRun}
	report := adoptReport{Dir: tree.Dir, DryRun: o.dryRun, Lineages: []adoption{}, Running: certbot.Schedules(ctx, certbot.Host{Root: "/", Run: output})}
	var programs []*certbot.Script
	for _, l := range chosen {
		plan := l.Plan(scripts)
		if plan.Script != nil {
			programs = append(programs, plan.Script)
		}
		report.Lineages = append(report.Lineages, describeLineage(tree, &l, plan))
		if l.Problem == "" {
			if err := addLineage(&request, &l, plan.Way); err != nil {
				return err
			}
		}
	}
	if o.hooks {
		request.Hooks = adoptHooks(tree, chosen)
	}
	if !request.Fits() {
		return fmt.Errorf("%d lineages are more than can be taken over at once: name some of them, and then the others", len(chosen))
	}
	err = on(g.connectUnless(o.dryRun), func(c *admin.Client) error {
		if !o.dryRun {
			if err := prepareScripts(ctx, c, g.dataDir, request, programs); err != nil {
				return err
			}
		}
		result, err := c.Adopt(ctx, request)
		if err != nil {
			return err
		}
		report.merge(result)
		report.Left = leftHooks(request.Hooks, report.Lineages)
		return report.look(ctx, c)
	})
	if err != nil {
		return err
	}
	if g.json {
		return g.print(report)
	}
	return g.showAdoption(&report, o.hooks)
}

// connectUnless is look where nothing is changed.
func (g *globals) connectUnless(dryRun bool) func() (*admin.Client, func() error, error) {
	if dryRun {
		return g.look
	}
	return g.connect
}

// choose returns the lineages with these names, or all of them.
func choose(tree *certbot.Tree, names []string) ([]certbot.Lineage, error) {
	if len(tree.Lineages) == 0 {
		return nil, fmt.Errorf("certbot looks after nothing in %s", tree.Dir)
	}
	if len(names) == 0 {
		return tree.Lineages, nil
	}
	var chosen []certbot.Lineage
	for _, name := range names {
		i := slices.IndexFunc(tree.Lineages, func(l certbot.Lineage) bool { return l.Name == name })
		if i < 0 {
			var all []string
			for _, l := range tree.Lineages {
				all = append(all, l.Name)
			}
			return nil, fmt.Errorf("certbot has no lineage %q in %s: it has %s", name, tree.Dir, printable(strings.Join(all, ", ")))
		}
		chosen = append(chosen, tree.Lineages[i])
	}
	return chosen, nil
}

// describeLineage is what is known before anything is taken over.
func describeLineage(tree *certbot.Tree, l *certbot.Lineage, plan certbot.Plan) adoption {
	names, leaf := l.Leaf()
	a := adoption{
		Adopted: admin.Adopted{Name: l.Name, Action: admin.ActionLeaveOut, Domains: names},
		CA:      acm.IssuerName(l.Directory), MethodNow: l.Authenticator, MethodHere: plan.Way,
		Hooks: []string{}, Decision: plan.Decision, Notes: append(slices.Clone(l.Notes), plan.Notes...),
	}
	if leaf != nil {
		a.NotAfter = &leaf.NotAfter
	}
	for _, hooks := range []certbot.Hooks{tree.Hooks, l.Hooks} {
		a.Hooks = slices.Concat(a.Hooks, hooks.Pre, hooks.Deploy, hooks.Post)
	}
	return a
}

// addLineage puts a lineage, and its account once, into what the server is asked.
func addLineage(r *admin.AdoptRequest, l *certbot.Lineage, way string) error {
	c := admin.AdoptCertificate{
		Name: l.Name, Directory: l.Directory, Challenge: way, Profile: l.Profile,
		Sources: []acm.Source{
			{Name: fmt.Sprintf("fullchain%d.pem", l.Version), PEM: l.Fullchain},
			{Name: fmt.Sprintf("privkey%d.pem", l.Version), PEM: l.Privkey},
		},
	}
	if l.Account != nil {
		c.Account = l.Account.Directory + " " + l.Account.ID
		if !slices.ContainsFunc(r.Accounts, func(a admin.AdoptAccount) bool { return a.ID == c.Account }) {
			key, err := x509.MarshalPKCS8PrivateKey(l.Account.Key)
			if err != nil {
				return fmt.Errorf("the key of the account %s cannot be kept", l.Account.ID)
			}
			r.Accounts = append(r.Accounts, admin.AdoptAccount{
				ID: c.Account, Directory: l.Account.Directory, Email: l.Account.Email, URL: l.Account.URL, Key: key,
			})
		}
	}
	r.Certificates = append(r.Certificates, c)
	return nil
}

// adoptHooks makes hooks of the commands that certbot ran after a renewal: those of
// a lineage for its certificate, those of cli.ini and renewal-hooks/deploy for all.
func adoptHooks(tree *certbot.Tree, lineages []certbot.Lineage) []admin.AdoptHook {
	var all []admin.AdoptHook
	var names []string
	for _, l := range lineages {
		names = append(names, l.Name)
		for _, line := range l.Hooks.Deploy {
			all = append(all, admin.AdoptHook{Name: "certbot-" + l.Name, Certificates: []string{l.Name}, Shell: line})
		}
	}
	for i, line := range tree.Hooks.Deploy {
		h := admin.AdoptHook{Name: fmt.Sprintf("certbot-deploy-%d", i+1), Certificates: names, Shell: line}
		if filepath.IsAbs(line) && strings.HasPrefix(line, filepath.Join(tree.Dir, "renewal-hooks")) {
			h.Exec, h.Shell = []string{line}, "" // a script of the folder, and no line
		}
		all = append(all, h)
	}
	return all
}

// merge adds what the server said.
func (r *adoptReport) merge(result *admin.AdoptResult) {
	r.Hooks = result.Hooks
	for _, adopted := range result.Certificates {
		i := slices.IndexFunc(r.Lineages, func(a adoption) bool { return a.Name == adopted.Name })
		if i < 0 {
			continue
		}
		if adopted.NotAfter == nil { // it was left out; what could be read of it still helps
			adopted.Domains, adopted.NotAfter = r.Lineages[i].Domains, r.Lineages[i].NotAfter
		}
		r.Lineages[i].Adopted = adopted
		switch {
		case adopted.Action == admin.ActionLeaveOut:
			r.Lineages[i].Decision = adopted.Problem
		case adopted.Problem != "":
			r.Lineages[i].Decision, r.Lineages[i].MethodHere = adopted.Problem, ""
		}
	}
}

func (g *globals) showAdoption(r *adoptReport, asked bool) error {
	var rows [][]string
	for _, a := range r.Lineages {
		expires, here := "-", a.MethodHere
		if a.NotAfter != nil {
			expires = a.NotAfter.Local().Format(time.DateOnly)
		}
		if here == "" {
			here = "needs decision"
		}
		if a.Action == admin.ActionLeaveOut {
			here = "-"
		}
		method, _, _ := strings.Cut(here, "=")
		hooks := "-"
		if n := len(a.Hooks); n > 0 {
			hooks = fmt.Sprint(n)
		}
		rows = append(rows, []string{a.Name, expires, a.CA, orDash(a.MethodNow), method, hooks, a.Action, strings.Join(a.Domains, ", ")})
	}
	if err := table(g.out, []string{"LINEAGE", "EXPIRES", "CA", "METHOD NOW", "METHOD HERE", "HOOKS", "ACTION", "NAMES"}, rows); err != nil {
		return err
	}
	for _, a := range r.Lineages {
		g.showAdopted(&a)
	}
	g.showHooksTaken(r, asked)
	for _, w := range r.Warnings {
		fmt.Fprintln(g.out, "warning:", printable(w))
	}
	g.showSchedules(r)
	if r.DryRun {
		fmt.Fprintln(g.out, "This was a dry run: nothing has changed.")
	}
	return nil
}

// showHooksTaken says what becomes of the commands that certbot ran around a
// renewal; asked is whether --hooks was given.
func (g *globals) showHooksTaken(r *adoptReport, asked bool) {
	switch hooks := slices.ContainsFunc(r.Lineages, func(a adoption) bool { return len(a.Hooks) > 0 }); {
	case len(r.Hooks) > 0:
		fmt.Fprintf(g.out, "After a renewal these run from now on: %s (albion cert hook list). Commands before and after each attempt do not.\n", printable(strings.Join(r.Hooks, ", ")))
	case hooks && !asked:
		fmt.Fprintln(g.out, "Albion runs none of certbot's commands: --hooks takes those that ran after a renewal.")
	case hooks && len(r.Left) == 0:
		fmt.Fprintln(g.out, "No command was taken: certbot ran them before and after each attempt, and --hooks takes those that ran after a renewal.")
	}
	for _, h := range r.Left {
		fmt.Fprintf(g.out, "The hook %s does not run for %s: %s.\n  once that is renewed here, have it run by: %s\n", h.Name, strings.Join(h.Certificates, ", "), h.Why, h.Command)
	}
}

// showAdopted says what the row of a lineage leaves open.
func (g *globals) showAdopted(a *adoption) {
	say := func(text string) { fmt.Fprintln(g.out, "  "+printable(a.Name+": "+text)) }
	if a.Decision != "" {
		say(a.Decision)
	}
	if name, argument, ok := strings.Cut(a.MethodHere, "="); ok && albion.Method(name) == albion.MethodExec {
		say("its hooks become " + argument)
	}
	for _, note := range slices.Concat(a.Notes, a.Warnings) {
		say(note)
	}
	for _, hook := range a.Hooks {
		say("certbot ran around a renewal: " + hook)
		if strings.Contains(hook, "/letsencrypt/live") {
			say("that hook names certbot's folder, where nothing new arrives: let it use $RENEWED_LINEAGE, or see `albion cert export --live`")
		}
	}
	if a.Action == admin.ActionAdopt && !a.Exempt {
		say("Albion's own account at this CA goes on, so the first renewal counts against the CA's limits")
	}
}

func (g *globals) showSchedules(r *adoptReport) {
	for _, s := range r.Running {
		fmt.Fprintf(g.out, "warning: %s still runs certbot, which would renew the same names: %s\n", s.What, s.Stop)
	}
}

// output runs a program for a look at this machine.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}
