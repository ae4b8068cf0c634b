package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/certbot"
)

// exportOptions is what `cert export` is told.
type exportOptions struct {
	dir, live string
	follow    bool
}

func newCertExport(g *globals) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export [NAME…] --dir FOLDER | --live FOLDER [--follow]",
		Short: "Write certificates and their keys as cert, chain, fullchain and privkey .pem",
		Long: `Write certificates and their keys, as PEM files that other servers read.

--dir writes the four files of one certificate into a folder. --live writes as
certbot does, all certificates or those that are named: FOLDER/live/NAME holds
links to the newest version in FOLDER/archive/NAME, which is there before a link
moves; a new version is written only when the contents have changed. --follow
goes on: the server that runs writes every renewal there, too.`,
		Example: `  albion cert export chat --dir ./live/chat.example.com
  albion cert export --live /srv/certs
  albion cert export mail --live /srv/certs --follow`,
		ValidArgsFunction: g.certificateNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (o.dir == "") == (o.live == ""):
				return errors.New("where to? Either --dir FOLDER for one certificate, or --live FOLDER for a folder as certbot's")
			case o.dir != "" && (len(args) != 1 || o.follow):
				return errors.New("--dir takes one certificate, once: use --live FOLDER for several, or to follow renewals")
			case o.dir != "":
				return g.exportOne(cmd.Context(), args[0], o.dir)
			}
			return g.exportLive(cmd.Context(), args, o)
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", "", "folder to write the four files of one certificate to; made when it is not there")
	cmd.Flags().StringVar(&o.live, "live", "", "folder in certbot's form: live/ and archive/ come below it")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "write every renewal there, too, for as long as Albion runs")
	cmd.Flags().BoolVar(&g.json, "json", false, "with --live: print what was written for programs")
	cmd.MarkFlagDirname("dir")
	cmd.MarkFlagDirname("live")
	return cmd
}

func (g *globals) exportOne(ctx context.Context, name, dir string) error {
	return on(g.look, func(c *admin.Client) error {
		files, err := c.Export(ctx, name)
		if err != nil {
			return err
		}
		return g.export(dir, files)
	})
}

// written is one certificate in a folder of certbot's form.
type written struct {
	Name string
	certbot.Written
}

func (g *globals) exportLive(ctx context.Context, names []string, o exportOptions) error {
	dir, err := filepath.Abs(o.live)
	if err != nil {
		return err
	}
	return on(g.look, func(c *admin.Client) error {
		if len(names) == 0 {
			if names, err = allNames(ctx, c); err != nil {
				return err
			}
		}
		all := []written{}
		for _, name := range names {
			// By its name and not its ARN: it becomes a folder's.
			cert, err := c.Certificate(ctx, name)
			if err != nil {
				return err
			}
			w, err := g.writeLive(ctx, c, cert, dir)
			if err != nil {
				return err
			}
			all = append(all, w)
			if !o.follow {
				continue
			}
			if _, err := c.Deliver(ctx, admin.DeliveryRequest{Certificate: string(cert.ARN), Kind: albion.Live, To: dir}); err != nil {
				return err
			}
		}
		if g.json {
			return g.print(all)
		}
		return g.showWritten(ctx, c, all, o)
	})
}

func allNames(ctx context.Context, c *admin.Client) ([]string, error) {
	certs, err := c.Certificates(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, cert := range certs {
		if cert.Issuance == nil || !cert.Issuance.Pending {
			names = append(names, cert.Name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("there is no certificate to write: `albion cert list` shows what there is")
	}
	return names, nil
}

func (g *globals) writeLive(ctx context.Context, c *admin.Client, cert *admin.Certificate, dir string) (written, error) {
	if cert.Issuance != nil && cert.Issuance.Pending {
		return written{}, fmt.Errorf("the certificate %s is not issued yet: wait until `albion cert list` says ok", cert.Name)
	}
	files, err := c.Export(ctx, string(cert.ARN))
	if err != nil {
		return written{}, err
	}
	w, err := certbot.WriteLive(dir, cert.Name, certbot.PEM(*files))
	return written{cert.Name, w}, err
}

func (g *globals) showWritten(ctx context.Context, c *admin.Client, all []written, o exportOptions) error {
	for _, w := range all {
		what := "is up to date"
		if w.Changed {
			what = "is written"
		}
		fmt.Fprintf(g.out, "%s %s: version %d\n", w.Dir, what, w.Version)
	}
	if !o.follow {
		return nil
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if status.Running {
		fmt.Fprintln(g.out, "Every renewal is written there, too: `albion cert delivery list` shows how that goes.")
	} else {
		fmt.Fprintln(g.out, "Every renewal is written there, too, once Albion runs.")
	}
	return nil
}

// export writes certbot's four files, each whole or not at all; only the owner
// may read the key.
func (g *globals) export(dir string, files *acm.Files) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"privkey.pem", files.Privkey, 0o600}, {"cert.pem", files.Cert, 0o644},
		{"chain.pem", files.Chain, 0o644}, {"fullchain.pem", files.Fullchain, 0o644},
	} {
		path := filepath.Join(dir, f.name)
		if err := replaceFile(path, f.data, f.mode); err != nil {
			return err
		}
		fmt.Fprintln(g.out, path)
	}
	return nil
}

// replaceFile writes a file beside the old one and puts it in its place.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".albion-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // when it is in place there is nothing left to remove
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// newCertDelivery lists and ends what brings certificates elsewhere.
func newCertDelivery(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delivery",
		Short: "List and end what brings certificates to other places at every renewal",
		Long: `List and end what brings certificates to other places at every renewal: folders
(albion cert export --live FOLDER --follow) and certificates in AWS (albion cert
push-acm).`,
		Example: `  albion cert delivery list
  albion cert delivery remove chat --live /srv/certs`,
	}
	list := &cobra.Command{
		Use: "list", Short: "List the places that get certificates, and how that goes",
		Example: "  albion cert delivery list --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return on(g.look, func(c *admin.Client) error {
				all, err := c.Deliveries(cmd.Context())
				if err != nil {
					return err
				}
				if g.json {
					return g.print(all)
				}
				return g.showDeliveries(all)
			})
		},
	}
	list.Flags().BoolVar(&g.json, "json", false, "print the list for programs")
	cmd.AddCommand(list, newDeliveryRemove(g))
	return cmd
}

func newDeliveryRemove(g *globals) *cobra.Command {
	var live, arn string
	cmd := &cobra.Command{
		Use:   "remove NAME --live FOLDER | --arn ARN",
		Short: "End that a place gets a certificate; what is there stays",
		Example: `  albion cert delivery remove chat --live /srv/certs
  albion cert delivery remove chat --arn arn:aws:acm:eu-central-1:123456789012:certificate/ID`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: g.certificateNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (live == "") == (arn == "") {
				return errors.New("from where? Either --live FOLDER or --arn ARN: `albion cert delivery list` shows them")
			}
			request := admin.DeliveryRequest{Certificate: args[0], Kind: albion.InACM, To: arn}
			if live != "" {
				dir, err := filepath.Abs(live)
				if err != nil {
					return err
				}
				request.Kind, request.To = albion.Live, dir
			}
			return on(g.look, func(c *admin.Client) error {
				v, err := c.EndDelivery(cmd.Context(), request)
				if err != nil {
					return err
				}
				if g.json {
					return g.print(v)
				}
				fmt.Fprintf(g.out, "%s is no longer delivered to %s; what is there stays\n", v.Certificate, v.To)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&live, "live", "", "the folder")
	cmd.Flags().StringVar(&arn, "arn", "", "the ARN of the certificate in AWS")
	cmd.Flags().BoolVar(&g.json, "json", false, "print what has ended for programs")
	cmd.MarkFlagDirname("live")
	return cmd
}

func (g *globals) showDeliveries(all []admin.Delivery) error {
	if len(all) == 0 {
		fmt.Fprintln(g.out, "No certificate is delivered anywhere.")
		return nil
	}
	var rows [][]string
	for _, v := range all {
		at := "-"
		if v.Delivered != nil {
			at = v.Delivered.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{v.Certificate, v.State, string(v.Kind), v.To, at})
	}
	if err := table(g.out, []string{"CERTIFICATE", "STATE", "KIND", "TO", "DELIVERED"}, rows); err != nil {
		return err
	}
	for _, v := range all {
		g.showDeliveryProblem(&v)
	}
	return nil
}

// showDeliveryProblem says why a place is behind.
func (g *globals) showDeliveryProblem(v *admin.Delivery) {
	if v.State != admin.DeliveryRetrying || v.Problem == nil {
		return
	}
	fmt.Fprintf(g.out, "  %s to %s: %s", v.Certificate, v.To, v.Problem)
	if v.Next != nil {
		fmt.Fprintf(g.out, "; tried again at %s", v.Next.Local().Format(time.DateTime))
	}
	fmt.Fprintln(g.out)
}
