package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

func newCert(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Request, import, list, show, export and delete certificates",
		Example: `  albion cert list
  albion cert request -d chat.example.com --email me@example.com --accept-tos
  albion cert import chat fullchain.pem privkey.pem
  albion cert export chat --dir ./live/chat`,
	}
	cmd.AddCommand(newCertRequest(g), newCertImport(g), newCertList(g), newCertShow(g), newCertExport(g), newCertDelete(g), newCertHook(g), newCertAdopt(g), newCertPushACM(g), newCertDelivery(g))
	return cmd
}

// on runs an operation on what connect, or look, finds.
func on(connect func() (*admin.Client, func() error, error), operation func(*admin.Client) error) error {
	client, done, err := connect()
	if err != nil {
		return err
	}
	return errors.Join(operation(client), done())
}

func newCertImport(g *globals) *cobra.Command {
	var cert, key, chain string
	cmd := &cobra.Command{
		Use:   "import NAME [FILE|FOLDER…]",
		Short: "Import a certificate from PEM files of any reasonable form",
		Long: `Import a certificate: fullchain, leaf and chain apart, everything in one file, in
any order; PKCS #1, PKCS #8 and SEC 1 keys, RSA and ECDSA; or a certbot live/NAME
folder. What a browser would refuse is refused, with the reason. Importing onto a
name that exists replaces the contents in place: new handshakes get the new
certificate at once, live connections stay.`,
		Example: `  albion cert import chat fullchain.pem privkey.pem
  albion cert import chat --cert cert.pem --chain chain.pem --key privkey.pem
  albion cert import chat /etc/letsencrypt/live/chat.example.com`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			paths := args[1:]
			for _, path := range []string{cert, chain, key} {
				if path != "" {
					paths = append(paths, path)
				}
			}
			if len(paths) == 0 {
				return fmt.Errorf("which files? For example: albion cert import %s fullchain.pem privkey.pem", args[0])
			}
			sources, err := acm.ReadFiles(paths...)
			if err != nil {
				return err
			}
			return on(g.connect, func(c *admin.Client) error {
				result, err := c.Import(cmd.Context(), admin.ImportRequest{Name: args[0], Sources: sources})
				if err != nil {
					return err
				}
				if g.json {
					return g.print(result)
				}
				g.showImport(result)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&cert, "cert", "", "certificate file, PEM")
	cmd.Flags().StringVar(&key, "key", "", "private key file, PEM")
	cmd.Flags().StringVar(&chain, "chain", "", "chain file, PEM")
	cmd.Flags().BoolVar(&g.json, "json", false, "print the result for programs")
	return cmd
}

func (g *globals) showImport(r *admin.ImportResult) {
	for _, line := range r.Found {
		fmt.Fprintln(g.out, "found:", line)
	}
	for _, line := range r.Warnings {
		fmt.Fprintln(g.out, "warning:", line)
	}
	verb := "imported"
	if r.Replaced {
		verb = "replaced in place:"
	}
	fmt.Fprintf(g.out, "%s %s for %s, valid until %s\n%s\n", verb, r.Certificate.Name, strings.Join(r.Certificate.Domains, ", "),
		r.Certificate.NotAfter.Local().Format(time.DateOnly), r.Certificate.ARN)
}

func newCertList(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the certificates, with their state and expiry",
		Example: "  albion cert list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return on(g.look, func(c *admin.Client) error {
				all, err := c.Certificates(cmd.Context())
				if err != nil {
					return err
				}
				if g.json {
					return g.print(all)
				}
				return g.showCertificates(all)
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the list for programs")
	return cmd
}

func newCertShow(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show NAME",
		Short:             "Show one certificate and its chain, never its key",
		Example:           "  albion cert show chat\n  albion cert show chat --json | jq -r .Chain | openssl x509 -noout -text",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.certificateNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.look, func(c *admin.Client) error {
				cert, err := c.Certificate(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if g.json {
					return g.print(cert)
				}
				g.showCertificate(cert)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the certificate for programs")
	return cmd
}

func (g *globals) showCertificate(c *admin.Certificate) {
	state := c.Status
	if c.Reason != "" {
		state += " (" + c.Reason + ")"
	}
	for _, line := range [][2]string{
		{"Name", c.Name}, {"ARN", string(c.ARN)}, {"Names", strings.Join(c.Domains, ", ")}, {"State", state},
		{"Valid", c.NotBefore.Local().Format(time.DateTime) + " to " + c.NotAfter.Local().Format(time.DateTime)},
		{"Issuer", issuerWord(c)}, {"Key", c.KeyAlgorithm}, {"Serial", c.Serial}, {"Used by", orDash(strings.Join(c.UsedBy, ", "))},
		{"Method", c.Method}, {"Next", orDash(c.Next)}, {"Served", orDash(servedWords(c))},
	} {
		fmt.Fprintf(g.out, "%-8s %s\n", line[0], line[1])
	}
	for _, v := range c.Deliveries {
		fmt.Fprintf(g.out, "%-8s %s: %s %s\n", "Goes to", v.To, v.Kind, v.State)
		g.showDeliveryProblem(&v)
	}
	fmt.Fprintf(g.out, "\n%s", c.Chain)
}

func newCertDelete(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a certificate that no listener shows, and its key",
		Long: `Delete a certificate and its key, for good. One that a listener shows, or that a
configuration file declares, is refused: take it out there first.`,
		Example:           "  albion cert delete old.example.com",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.certificateNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.look, func(c *admin.Client) error {
				gone, err := c.DeleteCertificate(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if g.json {
					return g.print(gone)
				}
				fmt.Fprintf(g.out, "deleted %s, which was for %s\n", gone.Name, strings.Join(gone.Domains, ", "))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print what was deleted for programs")
	return cmd
}

// certificateNames completes the names of certificates in a shell.
func (g *globals) certificateNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	// Nobody reads an error while completing.
	_ = on(g.look, func(c *admin.Client) error {
		all, err := c.Certificates(cmd.Context())
		for _, cert := range all {
			names = append(names, cert.Name)
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
