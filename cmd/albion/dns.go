package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/dns"
)

func newDNS(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dns",
		Short: "Hosted zones: the names that Albion answers for, and their records",
		Long: `Hosted zones and their record sets, as in Route 53. They are answered where the
configuration file says so, under "dns: {listen: …}"; see docs/dns.md.`,
		Example: `  albion dns zone create example.com
  albion dns record put example.com www A 192.0.2.10
  albion dns record put example.com @ A --alias web --evaluate-target-health
  albion dns zone show example.com`,
	}
	zone := &cobra.Command{
		Use: "zone", Short: "Make, list, show, import, export and delete hosted zones",
		Example: "  albion dns zone import example.com.zone",
	}
	zone.AddCommand(newZoneCreate(g), newZoneList(g), newZoneShow(g), newZoneDelete(g), newZoneImport(g), newZoneExport(g))
	record := &cobra.Command{
		Use: "record", Short: "Put, change and delete record sets",
		Example: "  albion dns record put example.com www A 192.0.2.10 192.0.2.11 --ttl 60",
	}
	record.AddCommand(newRecordPut(g), newRecordDelete(g), newRecordChange(g))
	cmd.AddCommand(zone, record)
	return cmd
}

func newZoneCreate(g *globals) *cobra.Command {
	var comment string
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a hosted zone, with its SOA and NS",
		Example: "  albion dns zone create example.com --comment shop",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.connect, func(c *admin.Client) error {
				z, err := c.CreateZone(cmd.Context(), admin.CreateZoneRequest{Name: args[0], Comment: comment})
				if err != nil {
					return err
				}
				if g.json {
					return g.print(z)
				}
				fmt.Fprintf(g.out, "made %s, %s\ndelegate it at your registrar to %s\n", z.Name, z.ID, strings.Join(z.NameServers, ", "))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&comment, "comment", "", "what the zone is for")
	cmd.Flags().BoolVar(&g.json, "json", false, "print the zone for programs")
	return cmd
}

func newZoneList(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the hosted zones",
		Example: "  albion dns zone list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return on(g.look, func(c *admin.Client) error {
				all, err := c.Zones(cmd.Context())
				if err != nil {
					return err
				}
				if g.json {
					return g.print(all)
				}
				return g.showZones(all)
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the list for programs")
	return cmd
}

func (g *globals) showZones(all []admin.Zone) error {
	if len(all) == 0 {
		fmt.Fprintln(g.out, "No hosted zones.")
		return nil
	}
	var rows [][]string
	for _, z := range all {
		rows = append(rows, []string{z.Name, z.ID, strconv.Itoa(z.RecordSets), orDash(strings.Join(z.NameServers, ", ")), orDash(z.Comment)})
	}
	return table(g.out, []string{"ZONE", "ID", "RECORD SETS", "NAME SERVERS", "COMMENT"}, rows)
}

func newZoneShow(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show NAME",
		Short:             "Show the record sets of a hosted zone",
		Example:           "  albion dns zone show example.com",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.zoneNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.look, func(c *admin.Client) error {
				z, err := c.Zone(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if g.json {
					return g.print(z)
				}
				return g.showRecords(z)
			})
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the zone for programs")
	return cmd
}

func (g *globals) showRecords(z *admin.Zone) error {
	var rows [][]string
	for _, r := range z.Records {
		values := r.Values
		if r.LoadBalancer != "" {
			values = []string{"alias of " + r.LoadBalancer}
			if r.EvaluateTargetHealth {
				values[0] += ", while it has healthy targets"
			}
		}
		for i, v := range values {
			if i == 0 {
				rows = append(rows, []string{r.Name, string(r.Type), strconv.Itoa(r.TTL), orDash(turn(r)), v})
			} else {
				rows = append(rows, []string{"", "", "", "", v})
			}
		}
	}
	return table(g.out, []string{"NAME", "TYPE", "TTL", "IN TURN", "VALUE"}, rows)
}

// turn says which of several sets this one is.
func turn(r admin.Record) string {
	switch {
	case r.Failover != "":
		return r.SetIdentifier + ": " + strings.ToLower(string(r.Failover))
	case r.SetIdentifier != "":
		return r.SetIdentifier + ": weight " + strconv.Itoa(r.Weight)
	}
	return ""
}

func newZoneDelete(g *globals) *cobra.Command {
	var with bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a hosted zone",
		Example:           "  albion dns zone delete old.example.com --with-records",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.zoneNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.connect, func(c *admin.Client) error {
				z, err := c.DeleteZone(cmd.Context(), admin.DeleteZoneRequest{Name: args[0], WithRecords: with})
				if err != nil {
					return err
				}
				if g.json {
					return g.print(z)
				}
				fmt.Fprintf(g.out, "deleted %s and its %d record sets\n", z.Name, z.RecordSets)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&with, "with-records", false, "also when it holds more than its SOA and NS")
	cmd.Flags().BoolVar(&g.json, "json", false, "print the zone that was deleted for programs")
	return cmd
}

func newZoneImport(g *globals) *cobra.Command {
	var origin string
	var keep bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over a zone file in BIND's format",
		Long: `Take over a zone file in BIND's format, whole or not at all, into the zone that
has its name or a new one; what that holds besides stays. What a zone here cannot
hold is skipped and listed with the reason. The SOA and the name servers of the
file say where the zone was served before, and are skipped as well unless
--keep-ns is given. $INCLUDE is refused.`,
		Example: `  albion dns zone import example.com.zone
  dig @ns1.old.example example.com AXFR | albion dns zone import - --origin example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readZone(g, args[0])
			if err != nil {
				return err
			}
			return on(g.connect, func(c *admin.Client) error {
				result, err := c.ImportZone(cmd.Context(), admin.ImportZoneRequest{File: args[0], Data: data, Origin: origin, KeepNS: keep})
				if err != nil {
					return err
				}
				if g.json {
					return g.print(result)
				}
				g.showZoneImport(result)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&origin, "origin", "", "name of the zone, when the file does not say it")
	cmd.Flags().BoolVar(&keep, "keep-ns", false, "take the SOA and the name servers of the file too")
	cmd.Flags().BoolVar(&g.json, "json", false, "print the result for programs")
	return cmd
}

func readZone(g *globals, name string) ([]byte, error) {
	in := g.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, dns.MaxFile+1))
}

func (g *globals) showZoneImport(r *admin.ImportZoneResult) {
	for _, s := range r.Skipped {
		fmt.Fprintf(g.out, "skipped %s: %s\n", s.Record, s.Why)
	}
	where := "into"
	if r.Created {
		where = "into the new zone"
	}
	fmt.Fprintf(g.out, "imported %d record sets %s %s\n", r.Records, where, r.Zone.Name)
	if r.Created {
		fmt.Fprintf(g.out, "delegate it at your registrar to %s\n", strings.Join(r.Zone.NameServers, ", "))
	}
}

func newZoneExport(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "export NAME",
		Short: "Write a hosted zone as a zone file in BIND's format",
		Long: `Write a hosted zone as a zone file in BIND's format. Aliases, weighted and
failover record sets have no form there; they are listed in comments.`,
		Example:           "  albion dns zone export example.com > example.com.zone",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.zoneNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return on(g.look, func(c *admin.Client) error {
				result, err := c.ExportZone(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				for _, s := range result.Skipped {
					fmt.Fprintf(g.err, "skipped %s: %s\n", s.Record, s.Why)
				}
				_, err = io.WriteString(g.out, result.Text)
				return err
			})
		},
	}
}

// zoneNames completes the names of zones in a shell.
func (g *globals) zoneNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	// Nobody reads an error while completing.
	_ = on(g.look, func(c *admin.Client) error {
		all, err := c.Zones(cmd.Context())
		for _, z := range all {
			names = append(names, strings.TrimSuffix(z.Name, "."))
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// recordTypes completes a record type.
func recordTypes() []string {
	var all []string
	for _, t := range albion.RecordTypes() {
		all = append(all, string(t))
	}
	return all
}
