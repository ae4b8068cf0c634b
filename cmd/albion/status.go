package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
			client, done, err := g.connect()
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
	if !s.Running {
		fmt.Fprintf(g.out, "Nothing runs on %s: this is what would be served.\n\n", g.dataDir)
	}
	var rows [][]string
	for _, l := range s.Listeners {
		does := l.Default
		if l.Rules > 0 {
			does += fmt.Sprintf(" (+%d rules)", l.Rules)
		}
		rows = append(rows, []string{l.Name, string(l.Protocol), l.State, orDash(l.Address), strconv.Itoa(l.Connections), orDash(strings.Join(l.Certificates, ", ")), does})
	}
	if err := table(g.out, []string{"LISTENER", "PROTOCOL", "STATE", "ADDRESS", "CLIENTS", "CERTIFICATES", "DOES"}, rows); err != nil {
		return err
	}
	for _, l := range s.Listeners {
		if l.Problem != "" {
			fmt.Fprintf(g.out, "  %s: %s\n", l.Name, l.Problem)
		}
	}
	fmt.Fprintln(g.out)
	if err := g.showCertificates(s.Certificates); err != nil {
		return err
	}
	fmt.Fprintln(g.out)
	return g.showTargets(s.TargetGroups)
}

func (g *globals) showTargets(groups []admin.TargetGroup) error {
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
	return table(g.out, []string{"TARGET GROUP", "TARGET", "STATE", "IN FLIGHT", "REASON"}, rows)
}

func (g *globals) showCertificates(all []admin.Certificate) error {
	var rows [][]string
	for _, c := range all {
		rows = append(rows, []string{
			c.Name, c.Status, c.NotAfter.Local().Format(time.DateOnly), remaining(c.NotAfter), string(c.Issuer),
			c.KeyAlgorithm, orDash(strings.Join(c.UsedBy, ", ")), strings.Join(c.Domains, ", "),
		})
	}
	return table(g.out, []string{"CERTIFICATE", "STATE", "EXPIRES", "IN", "ISSUER", "KEY", "USED BY", "NAMES"}, rows)
}

// remaining is the time until t in days, as people count it.
func remaining(t time.Time) string {
	left := time.Until(t)
	if left < 0 {
		return "expired"
	}
	if left < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(left.Hours()))
	}
	return fmt.Sprintf("%d days", int(left.Hours()/24))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
