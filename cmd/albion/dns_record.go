package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
)

// maxRecords is the most that may be said of records in one go, in bytes.
const maxRecords = 1 << 20

func newRecordPut(g *globals) *cobra.Command {
	var r admin.Record
	var failover string
	var create bool
	cmd := &cobra.Command{
		Use:   "put ZONE NAME TYPE [VALUE…]",
		Short: "Make a record set what it is to be, whatever it was",
		Long: `Make a record set what it is to be, whatever it was. NAME is relative to the zone
unless it ends with a dot; @ is the zone itself. Each VALUE is written as in a zone
file; text (TXT) may stand without the quotes of a zone file, and is divided into
pieces of 255 bytes.`,
		Example: `  albion dns record put example.com www A 192.0.2.10 192.0.2.11
  albion dns record put example.com @ MX '10 mail.example.com.'
  albion dns record put example.com @ TXT site-verification=4711
  albion dns record put example.com @ A --alias web --evaluate-target-health
  albion dns record put example.com api A 192.0.2.1 --set blue --weight 90
  albion dns record put example.com app A 192.0.2.9 --set spare --failover SECONDARY`,
		Args:              cobra.MinimumNArgs(3),
		ValidArgsFunction: g.recordArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name, r.Type, r.Values, r.Failover = args[1], albion.RecordType(args[2]), args[3:], albion.Failover(failover)
			switch {
			case r.LoadBalancer == "" && len(r.Values) == 0:
				return fmt.Errorf("which value? For example: albion dns record put %s %s A 192.0.2.10", args[0], args[1])
			case r.LoadBalancer != "" && len(r.Values) > 0:
				return fmt.Errorf("an alias has no values: leave out %s, or --alias", strings.Join(r.Values, " "))
			case r.LoadBalancer == "" && r.EvaluateTargetHealth:
				return fmt.Errorf("--evaluate-target-health belongs to --alias")
			case r.LoadBalancer != "" && cmd.Flags().Changed("ttl"):
				return fmt.Errorf("an alias has a ttl of %s: leave out --ttl", albion.AliasTTL)
			}
			action := admin.ActionUpsert
			if create {
				action = admin.ActionCreate
			}
			return g.change(cmd, args[0], admin.RecordChange{Action: action, Record: r})
		},
	}
	f := cmd.Flags()
	f.IntVar(&r.TTL, "ttl", 300, "seconds that the answer may be kept")
	f.StringVar(&r.LoadBalancer, "alias", "", "answer with the addresses of this load balancer, by name or ARN")
	f.BoolVar(&r.EvaluateTargetHealth, "evaluate-target-health", false, "with --alias: only while the load balancer has healthy targets")
	f.StringVar(&r.SetIdentifier, "set", "", "name of one of several record sets that are answered in turn")
	f.IntVar(&r.Weight, "weight", 0, "with --set: its share, 0 to 255")
	f.StringVar(&failover, "failover", "", "with --set: PRIMARY or SECONDARY")
	f.BoolVar(&create, "new", false, "fail when the record set is there already")
	f.BoolVar(&g.json, "json", false, "print the zone, as it is then, for programs")
	return cmd
}

// recordArgs completes a zone and a type.
func (g *globals) recordArgs(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return g.zoneNames(cmd, args, prefix)
	case 2:
		return recordTypes(), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func (g *globals) change(cmd *cobra.Command, zone string, changes ...admin.RecordChange) error {
	return on(g.connect, func(c *admin.Client) error {
		z, err := c.ChangeRecords(cmd.Context(), admin.ChangeRecordsRequest{Zone: zone, Changes: changes})
		if err != nil {
			return err
		}
		if g.json {
			return g.print(z)
		}
		fmt.Fprintf(g.out, "%d changed in %s\n", len(changes), z.Name)
		return nil
	})
}

func newRecordDelete(g *globals) *cobra.Command {
	var set string
	cmd := &cobra.Command{
		Use:               "delete ZONE NAME TYPE",
		Short:             "Delete a record set",
		Example:           "  albion dns record delete example.com www A",
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: g.recordArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := admin.Record{Name: args[1], Type: albion.RecordType(args[2]), SetIdentifier: set}
			return g.change(cmd, args[0], admin.RecordChange{Action: admin.ActionDelete, Record: r})
		},
	}
	cmd.Flags().StringVar(&set, "set", "", "which of several record sets that are answered in turn")
	cmd.Flags().BoolVar(&g.json, "json", false, "print the zone, as it is then, for programs")
	return cmd
}

func newRecordChange(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "change ZONE FILE",
		Short: "Make a batch of changes, all or none, from a change batch of Route 53",
		Long: `Make a batch of changes, all or none, from a file in the JSON that "aws route53
change-resource-record-sets --change-batch" takes; - is standard input. The DNSName
of an AliasTarget is the name or ARN of a load balancer.`,
		Example: "  albion dns record change example.com batch.json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := readBatch(g, args[1])
			if err != nil {
				return err
			}
			return g.change(cmd, args[0], changes...)
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the zone, as it is then, for programs")
	return cmd
}

// batch is Route 53's ChangeBatch, as its JSON has it.
type batch struct {
	Comment string
	Changes []struct {
		Action            string
		ResourceRecordSet struct {
			Name            string
			Type            albion.RecordType
			SetIdentifier   string
			Weight          int
			Failover        albion.Failover
			TTL             int
			ResourceRecords []struct{ Value string }
			AliasTarget     *struct {
				HostedZoneId, DNSName string
				EvaluateTargetHealth  bool
			}
		}
	}
}

func readBatch(g *globals, name string) ([]admin.RecordChange, error) {
	in := g.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var b batch
	d := json.NewDecoder(io.LimitReader(in, maxRecords))
	d.DisallowUnknownFields() // what is not known would be left out in silence
	if err := d.Decode(&b); err != nil {
		return nil, fmt.Errorf("%s is not a change batch: %w", name, err)
	}
	var all []admin.RecordChange
	for _, c := range b.Changes {
		set := c.ResourceRecordSet
		r := admin.Record{
			Name: set.Name, Type: set.Type, SetIdentifier: set.SetIdentifier, Weight: set.Weight, Failover: set.Failover, TTL: set.TTL,
		}
		if r.Name != "" && !strings.HasSuffix(r.Name, ".") {
			r.Name += "." // names of Route 53 are whole with and without it
		}
		for _, v := range set.ResourceRecords {
			r.Values = append(r.Values, v.Value)
		}
		if a := set.AliasTarget; a != nil {
			r.LoadBalancer, r.EvaluateTargetHealth = a.DNSName, a.EvaluateTargetHealth
		}
		all = append(all, admin.RecordChange{Action: c.Action, Record: r})
	}
	return all, nil
}
