package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/awsclient"
)

// pushOptions is what `cert push-acm` is told.
type pushOptions struct {
	name, arn, region string
	dryRun, once      bool
}

func newCertPushACM(g *globals) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push-acm NAME --arn ARN",
		Short: "Import a certificate into AWS Certificate Manager, now and at every renewal",
		Long: `Import a certificate into AWS Certificate Manager (ACM), now and at every renewal,
under the ARN that it has there: load balancers that show it go on with the new
contents. The leaf, the chain without it, and the key are sent apart, as ACM wants
them. The certificate in ACM has to be an imported one already, with a key of the
same kind.

The server that runs does it, with the AWS credentials that it finds in its own
environment, ~/.aws, or the role of its machine; it needs acm:ImportCertificate.
--once imports from here, this time only; --dry-run shows what would be sent and
what is in ACM now, and needs acm:DescribeCertificate.`,
		Example: `  albion cert push-acm chat --arn arn:aws:acm:eu-central-1:123456789012:certificate/ID --dry-run
  albion cert push-acm chat --arn arn:aws:acm:eu-central-1:123456789012:certificate/ID
  albion cert push-acm chat --arn ARN --once`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: g.certificateNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return g.pushACM(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.arn, "arn", "", "ARN of the certificate in ACM")
	flags.StringVar(&o.region, "region", "", "the region, which the ARN says as well")
	flags.BoolVar(&o.dryRun, "dry-run", false, "show what would be sent and what is in ACM, and send nothing")
	flags.BoolVar(&o.once, "once", false, "import this time only")
	flags.BoolVar(&g.json, "json", false, "print the result for programs")
	cmd.MarkFlagRequired("arn")
	return cmd
}

// pushReport is what `cert push-acm` says.
type pushReport struct {
	Name      string
	ARN       string
	Region    string
	Domains   []string
	Serial    string
	NotAfter  time.Time
	Key       string                    // its kind, never itself
	Chain     int                       // certificates besides the leaf
	InACM     *awsclient.ACMCertificate `json:",omitempty"` // what is there now
	Obstacles []string                  `json:",omitempty"` // why ACM would refuse
	State     string                    // dry run, imported, or how the delivery stands
}

func (g *globals) pushACM(ctx context.Context, o pushOptions) error {
	region, err := albion.ACMRegion(o.arn)
	if err != nil {
		return err
	}
	if o.region != "" && o.region != region {
		return fmt.Errorf("the certificate %s is in %s, and --region says %s: leave --region out", o.arn, region, o.region)
	}
	return on(g.look, func(c *admin.Client) error {
		cert, err := c.Certificate(ctx, o.name)
		if err != nil {
			return err
		}
		if (o.dryRun || o.once) && cert.Issuance != nil && cert.Issuance.Pending {
			return fmt.Errorf("the certificate %s is not issued yet: wait until `albion cert list` says ok", cert.Name)
		}
		report := &pushReport{Name: cert.Name, ARN: o.arn, Region: region, Domains: cert.Domains, Serial: cert.Serial, NotAfter: cert.NotAfter, Key: cert.KeyAlgorithm}
		switch {
		case o.dryRun:
			err = compareACM(ctx, c, report)
		case o.once:
			err = pushOnce(ctx, c, report)
		default:
			err = g.pushAlways(ctx, c, report)
		}
		if err != nil {
			return err
		}
		if g.json {
			return g.print(report)
		}
		g.showPush(report)
		return nil
	})
}

// compareACM looks at what is in ACM, and holds what would be sent against it.
func compareACM(ctx context.Context, c *admin.Client, r *pushReport) error {
	files, err := c.Export(ctx, r.Name)
	if err != nil {
		return err
	}
	session, err := atACM(ctx, r.ARN)
	if err != nil {
		return err
	}
	there, err := session.DescribeACM(ctx, r.ARN)
	if err != nil {
		return awsSetback(err)
	}
	r.State, r.Chain, r.InACM = "dry run", chainLength(files), &there
	r.Obstacles = obstacles(r, &there)
	return nil
}

// obstacles says why ACM would refuse (its page "Reimport a certificate"), or what
// would surprise.
func obstacles(r *pushReport, there *awsclient.ACMCertificate) []string {
	var all []string
	if !there.Imported {
		all = append(all, "the certificate in ACM was issued by Amazon, and only imported ones can be replaced: import once without an ARN (aws acm import-certificate), and let the listeners show that one")
	}
	if there.KeyAlgorithm != "" && r.Key != "" && there.KeyAlgorithm != r.Key {
		all = append(all, fmt.Sprintf("the key in ACM is %s and this one is %s, and ACM keeps the type and size of a key: request the certificate with the same kind of key (--key)", there.KeyAlgorithm, r.Key))
	}
	for _, name := range there.Names {
		if !slices.Contains(r.Domains, strings.ToLower(name)) {
			all = append(all, "the name "+name+", which is in ACM's certificate, is not in this one")
		}
	}
	return all
}

func chainLength(files *acm.Files) int {
	n := 0
	for block, rest := pem.Decode(files.Chain); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n
}

// pushOnce imports from here.
func pushOnce(ctx context.Context, c *admin.Client, r *pushReport) error {
	files, err := c.Export(ctx, r.Name)
	if err != nil {
		return err
	}
	r.State, r.Chain = "imported", chainLength(files)
	return importIntoACM(ctx, r.ARN, *files)
}

// pushAlways lets the server import, now and at every renewal, and waits for the
// first time.
func (g *globals) pushAlways(ctx context.Context, c *admin.Client, r *pushReport) error {
	request := admin.DeliveryRequest{Certificate: r.Name, Kind: albion.InACM, To: r.ARN}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	v, err := c.Deliver(ctx, request)
	if err != nil {
		return err
	}
	r.State = v.State
	if !status.Running {
		return nil
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		cert, err := c.Certificate(ctx, r.Name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(cert.Deliveries, func(v admin.Delivery) bool { return v.Kind == request.Kind && v.To == request.To })
		switch {
		case i < 0:
			return errors.New("the delivery was ended meanwhile")
		case cert.Deliveries[i].State == admin.DeliveryOK, cert.Issuance != nil && cert.Issuance.Pending:
			r.State = cert.Deliveries[i].State
			return nil
		case cert.Deliveries[i].Failed != nil && cert.Deliveries[i].Failed.After(begun):
			return fmt.Errorf("%w\nit is tried again by itself; `albion cert delivery remove %s --arn %s` ends that", cert.Deliveries[i].Problem, r.Name, r.ARN)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.New("the server goes on: `albion cert delivery list` shows how")
		}
	}
}

func (g *globals) showPush(r *pushReport) {
	switch r.State {
	case "dry run":
		fmt.Fprintf(g.out, "would be sent to %s in %s:\n", r.ARN, r.Region)
		fmt.Fprintf(g.out, "  leaf   %s, serial %s, until %s\n", strings.Join(r.Domains, ", "), r.Serial, r.NotAfter.Local().Format(time.DateOnly))
		fmt.Fprintf(g.out, "  chain  %d besides the leaf\n  key    %s (not shown)\n", r.Chain, r.Key)
		kind := "issued by Amazon"
		if r.InACM.Imported {
			kind = "imported"
		}
		fmt.Fprintf(g.out, "in ACM now:\n  %s, %s, %s, %s, serial %s, until %s\n  used by %s\n", strings.Join(r.InACM.Names, ", "), kind, r.InACM.Status, r.InACM.KeyAlgorithm, r.InACM.Serial,
			r.InACM.NotAfter.Local().Format(time.DateOnly), orDash(strings.Join(r.InACM.InUseBy, ", ")))
		for _, o := range r.Obstacles {
			fmt.Fprintln(g.out, "warning:", o)
		}
		fmt.Fprintln(g.out, "This was a dry run: nothing was sent.")
	case "imported":
		fmt.Fprintf(g.out, "imported %s into %s, once\n", r.Name, r.ARN)
	case admin.DeliveryOK:
		fmt.Fprintf(g.out, "imported %s into %s, and at every renewal from now on\n", r.Name, r.ARN)
	default:
		fmt.Fprintf(g.out, "%s will be imported into %s once Albion runs and the certificate is there, and at every renewal\n", r.Name, r.ARN)
	}
}
