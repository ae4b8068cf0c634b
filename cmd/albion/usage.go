package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// execute runs the command that the arguments name, and says on the error stream
// why it failed, with the next step.
func execute(ctx context.Context, s streams) error { return executeCommand(ctx, newRoot(s), s.err) }

func executeCommand(ctx context.Context, root *cobra.Command, out io.Writer) error {
	root.InitDefaultCompletionCmd()
	refuseUnknown(root)
	began := noteBeginning(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return nil
	}
	var file *refusal
	switch {
	case errors.As(err, &file):
		// FILE:LINE:COLUMN at the beginning of the line is what editors look for.
		fmt.Fprintln(out, file.problems)
		fmt.Fprintf(out, "albion: %s is refused: %s\n", file.name, file.consequence)
	case *began:
		fmt.Fprintln(out, "albion:", err)
	default:
		fmt.Fprintln(out, "albion:", usageError(cmd, err))
	}
	return err
}

// refuseUnknown makes every command that only holds others refuse a word that is
// none of them. Left alone it shows its help, which a script takes for success.
func refuseUnknown(root *cobra.Command) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.HasSubCommands() && !c.Runnable() && c.HasParent() {
			c.Args = unknownCommand
			c.DisableFlagsInUseLine = true
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
		for _, below := range c.Commands() {
			visit(below)
		}
	}
	visit(root)
	// A flag after a mistyped command is looked for among those of the group.
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c.HasSubCommands() {
			if unknown := unknownCommand(c, c.Flags().Args()); unknown != nil {
				return unknown
			}
		}
		return err
	})
}

// unknownCommand refuses the first word after a group, and names those that look
// like it.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2 // as at the root
	text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		text += "\n\nDid you mean this?\n\t" + strings.Join(like, "\n\t") + "\n"
	}
	return errors.New(text)
}

// noteBeginning wraps every command, and tells when one has begun: what fails
// before that is how it was called.
func noteBeginning(cmd *cobra.Command) *bool {
	began := new(bool)
	var wrap func(*cobra.Command)
	wrap = func(c *cobra.Command) {
		if run := c.RunE; run != nil {
			c.RunE = func(c *cobra.Command, args []string) error {
				*began = true
				return run(c, args)
			}
		}
		for _, below := range c.Commands() {
			wrap(below)
		}
	}
	wrap(cmd)
	return began
}

// usageError adds how the command is called.
func usageError(cmd *cobra.Command, err error) string {
	text := strings.TrimRight(err.Error(), "\n")
	if example := firstExample(cmd); example != "" {
		text += "\nfor example: " + example
	}
	return text + "\n`" + cmd.CommandPath() + " --help` shows more"
}

func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(cmd.Example, "\n")
	line, _, _ = strings.Cut(line, " #") // what it is for
	return strings.TrimSpace(line)
}

// refusal is a configuration file with problems.
type refusal struct {
	name        string // as it was given
	problems    string // each on a line that begins with FILE:LINE:COLUMN
	consequence string
}

func (r *refusal) Error() string { return r.problems }
