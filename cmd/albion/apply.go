package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
			if _, err := config.Parse(name, data); err != nil {
				return refused(file, name, err, "nothing was changed")
			}
			connect := g.connect
			if dryRun {
				connect = g.look
			}
			client, done, err := connect()
			if err != nil {
				return err
			}
			result, err := client.Apply(cmd.Context(), admin.ApplyRequest{Name: name, Data: data, DryRun: dryRun})
			if err := errors.Join(refused(file, name, err, "nothing was changed"), done()); err != nil {
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
		data, err = io.ReadAll(io.LimitReader(g.in, config.MaxFile+1))
		return filepath.Join(dir, "stdin"), data, err
	}
	if name, err = filepath.Abs(file); err != nil {
		return "", nil, err
	}
	data, err = readFile(file)
	return name, data, err
}

// readFile reads a configuration file; more than one can have is left unread, and
// refused later.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name the configuration file in it", file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: write it by hand (docs/configuration.md), or let `albion up … --print-config > %s` begin it", file, filepath.Base(file))
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, config.MaxFile+1))
}

// refused makes a refusal of an error that names places in a file, and calls the
// file what the user called it.
func refused(file, path string, err error, consequence string) error {
	if err == nil {
		return nil
	}
	shown := file
	if file == "-" {
		shown = "stdin"
	}
	text := strings.ReplaceAll(err.Error(), path+":", shown+":")
	if !strings.HasPrefix(text, shown+":") {
		return err
	}
	return &refusal{name: shown, problems: text, consequence: consequence}
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
