package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/config"
)

func newApply(g *globals) *cobra.Command {
	var file string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make a configuration file true, and show what that changes",
		Long: `Make a configuration file true, whole or not at all, and show what that changes.
A server that runs on the same --data takes it over at once; otherwise it is kept
for the next start. A server that was started with "serve -c" keeps following
its own file.`,
		Example: `  albion apply -f albion.yaml --dry-run
  albion apply -f albion.yaml
  albion up --domain a.test --to :8080 --print-config | albion apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, data, err := readConfig(g, file)
			if err != nil {
				return err
			}
			client, done, err := g.connect()
			if err != nil {
				return err
			}
			result, err := client.Apply(cmd.Context(), admin.ApplyRequest{Name: name, Data: data, DryRun: dryRun})
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if g.json {
				return g.print(result)
			}
			return g.showChanges(result)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "configuration file, or - for standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&g.json, "json", false, "print the result for programs")
	cmd.MarkFlagRequired("file")
	cmd.MarkFlagFilename("file", "yaml", "yml")
	return cmd
}

// readConfig reads the file, whose name becomes absolute because the server may
// run in another folder.
func readConfig(g *globals, file string) (name string, data []byte, err error) {
	if file == "-" {
		dir, err := os.Getwd()
		if err != nil {
			return "", nil, err
		}
		data, err = io.ReadAll(io.LimitReader(g.in, 1<<20+1))
		return filepath.Join(dir, "stdin"), data, err
	}
	if name, err = filepath.Abs(file); err != nil {
		return "", nil, err
	}
	data, err = os.ReadFile(name)
	return name, data, err
}

func (g *globals) showChanges(r *admin.ApplyResult) error {
	for _, c := range r.Changes {
		fmt.Fprintln(g.out, c.Text)
	}
	switch n := len(r.Changes); {
	case n == 0:
		fmt.Fprintln(g.out, "nothing to change")
	case r.DryRun:
		fmt.Fprintf(g.out, "%d to change; this was a dry run\n", n)
	default:
		fmt.Fprintf(g.out, "%d changed\n", n)
	}
	return nil
}

func newSchema(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON schema of the configuration file, for editors",
		Example: "  albion schema > albion.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := g.out.Write(config.Schema())
			return err
		},
	}
}
