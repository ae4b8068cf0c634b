package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
)

func newStatus(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show listeners, certificates, target groups and each target's health",
		Example: `  albion status
  albion status --json | jq '.TargetGroups[].Targets[] | select(.State != "healthy")'
  watch albion status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := g.look()
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if g.json {
				return g.print(status)
			}
			return g.showStatus(status)
		},
	}
	cmd.Flags().BoolVar(&g.json, "json", false, "print the status for programs")
	return cmd
}

func (g *globals) showStatus(s *admin.Status) error {
	switch configured := len(s.Listeners)+len(s.Certificates)+len(s.TargetGroups)+len(s.Zones) > 0; {
	case !configured && !s.Running:
		fmt.Fprintf(g.out, "Nothing runs on %s, and nothing is configured there: `albion up` or `albion serve -c FILE` begins.\n", g.dataDir)
		return nil
	case !s.Running:
		fmt.Fprintf(g.out, "Nothing runs on %s: this is what would be served.\n\n", g.dataDir)
	}
	if r := s.Refused; r != nil {
		fmt.Fprintf(g.out, "The edit of %s at %s is refused, and what it said before runs on:\n%s\n\n", r.File, r.At.Local().Format(time.DateTime), r.Problem)
	}
	if err := g.showListeners(s.Listeners); err != nil {
		return err
	}
	fmt.Fprintln(g.out)
	if err := g.showCertificates(s.Certificates); err != nil {
		return err
	}
	fmt.Fprintln(g.out)
	if err := g.showTargets(s.TargetGroups); err != nil {
		return err
	}
	return g.showNames(s)
}

// showNames says nothing where no names are answered.
func (g *globals) showNames(s *admin.Status) error {
	if len(s.NameServers) > 0 {
		var rows [][]string
		for _, n := range s.NameServers {
			rows = append(rows, []string{n.Address, n.State, orDash(n.Problem)})
		}
		fmt.Fprintln(g.out)
		if err := table(g.out, []string{"NAME SERVER", "STATE", "PROBLEM"}, rows); err != nil {
			return err
		}
	}
	if len(s.Zones) == 0 {
		return nil
	}
	fmt.Fprintln(g.out)
	if err := g.showZones(s.Zones); err != nil {
		return err
	}
	if len(s.NameServers) == 0 {
		fmt.Fprintln(g.out, "  Nobody is answered: say where under dns: listen: in the configuration file.")
	}
	return nil
}

func (g *globals) showListeners(all []admin.Listener) error {
	if len(all) == 0 {
		fmt.Fprintln(g.out, "No listeners.")
		return nil
	}
	var rows [][]string
	for _, l := range all {
		does := l.Default
		switch {
		case l.Rules == 1:
			does += " (and 1 rule)"
		case l.Rules > 1:
			does += fmt.Sprintf(" (and %d rules)", l.Rules)
		}
		rows = append(rows, []string{l.Name, string(l.Protocol), l.State, orDash(everywhere(l.Address)), strconv.Itoa(l.Connections), orDash(strings.Join(l.Certificates, ", ")), does})
	}
	if err := table(g.out, []string{"LISTENER", "PROTOCOL", "STATE", "ADDRESS", "CLIENTS", "CERTIFICATES", "DOES"}, rows); err != nil {
		return err
	}
	for _, l := range all {
		if l.Problem != "" {
			fmt.Fprintf(g.out, "  %s: %s\n", l.Name, l.Problem)
		}
	}
	return nil
}

// everywhere writes the address that stands for all of them as people do.
func everywhere(address string) string {
	for _, all := range []string{"[::]:", "0.0.0.0:"} {
		if port, ok := strings.CutPrefix(address, all); ok {
			return "*:" + port
		}
	}
	return address
}

func (g *globals) showTargets(groups []admin.TargetGroup) error {
	if len(groups) == 0 {
		fmt.Fprintln(g.out, "No target groups.")
		return nil
	}
	var rows [][]string
	for _, group := range groups {
		for _, t := range group.Targets {
			why := orDash(t.Description)
			if t.Description == "" && t.Reason != "" {
				why = string(t.Reason)
			}
			if t.Until != nil {
				why = fmt.Sprintf("%d left, until %s", t.Outstanding, t.Until.Local().Format(time.TimeOnly))
			}
			rows = append(rows, []string{group.Name, t.Target, string(t.State), strconv.Itoa(t.Outstanding), why})
		}
		if len(group.Targets) == 0 {
			rows = append(rows, []string{group.Name, "-", "-", "-", "no target is registered"})
		}
	}
	if err := table(g.out, []string{"TARGET GROUP", "TARGET", "STATE", "IN FLIGHT", "REASON"}, rows); err != nil {
		return err
	}
	g.showChecks(groups)
	return nil
}

// showChecks says how to ask what the health checks ask of targets that fail
// them, a few at most: the others will fare alike.
func (g *globals) showChecks(groups []admin.TargetGroup) {
	const most = 5
	n := 0
	for _, group := range groups {
		for _, t := range group.Targets {
			if t.State != albion.Unhealthy || t.Check == "" || n == most {
				continue
			}
			n++
			fmt.Fprintf(g.out, "  %s: `curl -i %s` asks what the health check asks\n", t.Target, t.Check)
		}
	}
}

func (g *globals) showCertificates(all []admin.Certificate) error {
	if len(all) == 0 {
		fmt.Fprintln(g.out, "No certificates.")
		return nil
	}
	var rows [][]string
	for _, c := range all {
		rows = append(rows, []string{
			c.Name, c.Status, c.NotAfter.Local().Format(time.DateOnly), remaining(c.NotAfter), issuerWord(&c),
			c.KeyAlgorithm, orDash(strings.Join(c.UsedBy, ", ")), strings.Join(c.Domains, ", "),
		})
	}
	if err := table(g.out, []string{"CERTIFICATE", "STATE", "EXPIRES", "IN", "ISSUER", "KEY", "USED BY", "NAMES"}, rows); err != nil {
		return err
	}
	for _, c := range all {
		// The table says ok and unused well enough.
		if c.Reason != "" && c.Status != acm.StatusOK && c.Status != acm.StatusUnused {
			fmt.Fprintf(g.out, "  %s: %s\n", c.Name, c.Reason)
		}
		if c.Issuance != nil && c.Next != "" {
			fmt.Fprintf(g.out, "  %s: %s, by %s\n", c.Name, c.Next, c.Method)
		}
		for _, v := range c.Deliveries {
			g.showDeliveryProblem(&v)
		}
	}
	return nil
}

// issuerWord says who issues a certificate: a CA by its name, or else by its host.
func issuerWord(c *admin.Certificate) string {
	if c.Issuer != albion.ACME || c.Issuance == nil {
		return string(c.Issuer)
	}
	directory := c.Issuance.Request.Directory
	if name := acm.IssuerName(directory); name != directory {
		return name
	}
	return c.Issuance.Request.Host()
}

// remaining is the time until t in days, as people count it.
func remaining(t time.Time) string {
	left := time.Until(t)
	if left < 0 {
		return "expired"
	}
	switch hours := int(left.Hours()); {
	case hours == 1:
		return "1 hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	}
	return fmt.Sprintf("%d days", int(left.Hours()/24))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
