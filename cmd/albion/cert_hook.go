package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
)

func newCertHook(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hook",
		Short: "Tell programs and addresses what becomes of certificates",
		Example: `  albion cert hook add mail --event renewed -- /usr/local/bin/reload-mail --now
  albion cert hook add alarm --event at-risk --event expired --url https://ops.example.com/hook --secret @secret
  albion cert hook list`,
	}
	cmd.AddCommand(newHookAdd(g), newHookList(g), newHookRemove(g))
	return cmd
}

// hookOptions is what `cert hook add` is told.
type hookOptions struct {
	request admin.HookRequest
	events  []string
	secret  string
}

func newHookAdd(g *globals) *cobra.Command {
	var o hookOptions
	cmd := &cobra.Command{
		Use:   "add NAME (--url URL | --shell LINE | -- PROGRAM [ARGUMENT…])",
		Short: "Add a hook, or replace the one with this name",
		Long: `Add a hook: a program that runs, or an address that is sent a JSON document, when a
certificate is issued, renewed, could not be renewed, is at risk or has expired.

A program is told by its environment: RENEWED_LINEAGE is a folder with cert.pem,
chain.pem, fullchain.pem and privkey.pem for as long as it runs, RENEWED_DOMAINS
the names; ALBION_EVENT, ALBION_CERTIFICATE, ALBION_SERIAL and others say more. It
runs as the user of the server, without a shell unless --shell asks for one. A name
without a slash is looked for along $PATH, once, when the hook is added.

An address gets a POST. With a secret it is signed: the header Albion-Signature is
t=SECONDS,v1=HEX, the HMAC-SHA256 of SECONDS, a dot, and the body. What is not
answered with 2xx is sent again, under the same ID, for two days.`,
		Example: `  albion cert hook add mail --event renewed --cert mail -- /usr/local/bin/reload-mail --now
  albion cert hook add copy --event issued --event renewed --shell 'cp "$RENEWED_LINEAGE"/*.pem /etc/postfix/tls/ && systemctl reload postfix'
  albion cert hook add alarm --url https://ops.example.com/hook --secret @/etc/albion/hook-secret`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(g, args); err != nil {
				return err
			}
			return on(g.connect, func(c *admin.Client) error {
				hook, err := c.AddHook(cmd.Context(), o.request)
				if err != nil {
					return err
				}
				if g.json {
					return g.print(hook)
				}
				fmt.Fprintf(g.out, "%s is told of %s: %s\n", hook.Name, eventWords(hook.Events), hookTarget(hook))
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.events, "event", nil, "what it is told of: "+strings.Join(eventNames(), ", ")+"; may be repeated (default: all)")
	flags.StringArrayVar(&o.request.Certificates, "cert", nil, "certificate whose events it is told of; may be repeated (default: all)")
	flags.StringVar(&o.request.URL, "url", "", "address that is sent a document")
	flags.StringVar(&o.request.Shell, "shell", "", "line for the system's shell")
	flags.StringVar(&o.secret, "secret", "", "what the document is signed with: @FILE, - for the input, or the secret itself, which others may then see")
	flags.DurationVar(&o.request.Timeout, "timeout", 0, "how long it may take (default 1m, of an address 10s)")
	flags.BoolVar(&g.json, "json", false, "print the hook for programs")
	cmd.RegisterFlagCompletionFunc("event", cobra.FixedCompletions(eventNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("cert", func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return g.certificateNames(cmd, nil, text)
	})
	for _, name := range []string{"url", "shell", "secret", "timeout"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// complete makes a request of what was told.
func (o *hookOptions) complete(g *globals, args []string) error {
	o.request.Name = args[0]
	for _, event := range o.events {
		o.request.Events = append(o.request.Events, albion.EventKind(event))
	}
	if len(args) > 1 {
		program, err := findProgram(args[1])
		if err != nil {
			return err
		}
		o.request.Exec = append([]string{program}, args[2:]...)
	}
	if o.secret != "" && o.request.URL == "" {
		return errors.New("--secret signs what is sent to an address: add --url, or leave it out")
	}
	var err error
	secrets := secretReader{in: g.in}
	if o.request.Secret, err = secrets.read(o.secret); err != nil {
		return fmt.Errorf("--secret: %w", err)
	}
	return nil
}

// findProgram finds what a hook is to run: a bare name along $PATH, as a shell
// does, and anything else from the current folder. The server runs it later, in a
// folder of its own, so it is kept by its whole name.
func findProgram(name string) (string, error) {
	bare := filepath.Base(name) == name
	path := name
	if !bare {
		var err error
		if path, err = filepath.Abs(name); err != nil {
			return "", err
		}
	}
	found, err := exec.LookPath(path)
	switch {
	case err == nil:
		return filepath.Abs(found)
	case errors.Is(err, exec.ErrDot):
		return "", fmt.Errorf("%s is found only in the current folder: write .%c%s if that is meant", name, filepath.Separator, name)
	case bare:
		return "", fmt.Errorf("no folder of $PATH has a program %s: give its whole path, such as /usr/local/bin/%s", name, name)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no program %s: check its path", path)
	}
	return "", fmt.Errorf("%s cannot be run: it has to be a file that may be executed (chmod +x)", path)
}

func newHookList(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the hooks, and what waits for them",
		Example: "  albion cert hook list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return on(g.look, func(c *admin.Client) error {
				all, err := c.Hooks(cmd.Context())
				if err != nil {
					return err
				}
				if g.json {
					return g.print(all)
				}
				return g.showHooks(all)
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the list for programs")
	return cmd
}

func (g *globals) showHooks(all []admin.Hook) error {
	if len(all) == 0 {
		fmt.Fprintln(g.out, "There are no hooks. `albion cert hook add --help` shows how to add one.")
		return nil
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tEVENTS\tCERTIFICATES\tWAITING\tTELLS")
	for _, h := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", h.Name, eventWords(h.Events), orAll(h.Certificates), h.Waiting, hookTarget(&h))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, h := range all {
		if h.Problem != "" {
			fmt.Fprintf(g.out, "%s: %s\n", h.Name, h.Problem)
		}
	}
	return nil
}

func newHookRemove(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a hook, and what waits for it",
		Example: "  albion cert hook remove alarm",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			// Nobody reads an error while completing.
			_ = on(g.look, func(c *admin.Client) error {
				all, err := c.Hooks(cmd.Context())
				for _, h := range all {
					names = append(names, h.Name)
				}
				return err
			})
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.connect, func(c *admin.Client) error {
				gone, err := c.RemoveHook(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if g.json {
					return g.print(gone)
				}
				fmt.Fprintf(g.out, "removed %s, which told %s\n", gone.Name, hookTarget(gone))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print what was removed for programs")
	return cmd
}

func eventNames() []string {
	var all []string
	for _, kind := range albion.EventKinds() {
		all = append(all, string(kind))
	}
	return all
}

func eventWords(kinds []albion.EventKind) string {
	var all []string
	for _, kind := range kinds {
		all = append(all, string(kind))
	}
	return orAll(all)
}

func orAll(words []string) string {
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, ",")
}

// hookTarget says in a line who is told.
func hookTarget(h *admin.Hook) string {
	text := h.URL
	switch {
	case h.Shell != "":
		text = "sh: " + h.Shell
	case len(h.Exec) > 0:
		text = strings.Join(h.Exec, " ")
	case h.Signed:
		text += " (signed)"
	}
	if h.Timeout > 0 {
		text += " within " + h.Timeout.Round(time.Millisecond).String()
	}
	return text
}

// servedWords says what our own listeners showed when they were asked last.
func servedWords(c *admin.Certificate) string {
	if c.Issuance == nil || c.Issuance.Served == nil || c.Issuance.Served.Serial != c.Serial {
		return ""
	}
	saw := c.Issuance.Served
	text := "by every listener, seen " + saw.At.Local().Format(time.DateTime)
	if saw.Problem != "" {
		text = "not as it should be: " + saw.Problem
	}
	if saw.Note != "" {
		text += "; " + saw.Note
	}
	return text
}
