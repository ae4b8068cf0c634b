package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root() *cobra.Command {
	return newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard, name: "albion"})
}

// commands are all of them, below and including cmd.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		all = append(all, commands(c)...)
	}
	return all
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range commands(root()) {
		if c.Example == "" || !strings.HasPrefix(firstExample(c), "albion") {
			t.Errorf("%s: the first example is %q", c.CommandPath(), firstExample(c))
		}
		if c.Short == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
	}
}

// What is shown to people is parsed as the program would: the command is there,
// and so is every flag, and none that is required is missing.
func TestExamplesAreGoodCommands(t *testing.T) {
	for _, c := range commands(root()) {
		for line := range strings.SplitSeq(c.Example, "\n") {
			check(t, c.CommandPath(), line)
		}
	}
}

func TestDocumentsShowGoodCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\\\n", ""), "\n") {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			if fenced && strings.HasPrefix(line, "albion ") {
				shown++
				check(t, filepath.Base(file), line)
			}
		}
	}
	if shown == 0 {
		t.Error("no document shows a command: this test finds nothing any more")
	}
}

// check parses a line of a shell without running anything.
func check(t *testing.T, where, line string) {
	t.Helper()
	// A remark follows a #; what comes from a pipe or goes to a file is not ours.
	line, _, _ = strings.Cut(line, " #")
	for part := range strings.SplitSeq(line, " | ") {
		part, _, _ = strings.Cut(part, " > ")
		words := strings.Fields(part)
		if len(words) == 0 || words[0] != "albion" {
			continue
		}
		cmd, rest, err := root().Find(words[1:])
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateRequiredFlags()
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %s: %v", where, part, err)
		}
	}
}

func TestFailuresSayWhatToType(t *testing.T) {
	for args, want := range map[string]string{
		"servr":                               "Did you mean this?",
		"cert renew":                          "unknown command \"renew\" for \"albion cert\"\n\nDid you mean this?\n\trequest\n",
		"cert hook ad":                        "Did you mean this?\n\tadd\n",
		"cert adopt certbto":                  "Did you mean this?\n\tcertbot\n",
		"cert adpot certbot --dry-run":        "unknown command \"adpot\" for \"albion cert\"\n\nDid you mean this?\n\tadopt\n",
		"dns zne":                             "`albion dns --help` shows more",
		"dns zone lst":                        "Did you mean this?\n\tlist\n",
		"dns record xyzzy":                    "unknown command \"xyzzy\" for \"albion dns record\"\nfor example: albion dns record put",
		"completion bsh":                      "Did you mean this?\n\tbash\n",
		"cert hook add x -- ./nothing":        "nothing: check its path",
		"cert hook add x -- no-such-program":  "no folder of $PATH has a program no-such-program",
		"cert hook add x -- ./root_test.go":   "(chmod +x)",
		"serve":                               "for example: albion serve -c albion.yaml",
		"up --domian x":                       "`albion up --help` shows more",
		"cert request -d a.example --key dsa": `--key "dsa": expected one of ecdsa, rsa, both`,
		"cert import":                         "for example: albion cert import chat fullchain.pem privkey.pem",
		"cert show a b":                       "for example: albion cert show chat",
		"up -d a.test --to b":                 `--to "b": expected HOST:PORT, such as 127.0.0.1:8080`,
		"serve -c nothing.yaml":               "nothing.yaml does not exist",
		"apply -f .":                          ". is a folder: name the configuration file in it",
	} {
		var errs strings.Builder
		cmd := newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: &errs, name: "albion"})
		cmd.SetArgs(append([]string{"--data", filepath.Join(t.TempDir(), "data")}, strings.Fields(args)...))
		if err := executeCommand(t.Context(), cmd, &errs); err == nil {
			t.Errorf("%s: no error", args)
		}
		if !strings.HasPrefix(errs.String(), "albion: ") || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: %s", args, errs.String())
		}
	}
}

// What lists, shows or changes something can say so to programs.
func TestCommandsForProgramsTakeJSON(t *testing.T) {
	// These write PEM files, or a zone file.
	other := []string{"albion cert export", "albion dns zone export"}
	for _, c := range commands(root()) {
		below := strings.HasPrefix(c.CommandPath(), "albion cert ") || strings.HasPrefix(c.CommandPath(), "albion dns ")
		if below && !c.HasSubCommands() && !slices.Contains(other, c.CommandPath()) && c.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", c.CommandPath())
		}
	}
}

// A group without a word shows what it holds: that is no failure.
func TestGroupsShowTheirHelp(t *testing.T) {
	for _, group := range commands(root()) {
		if !group.HasSubCommands() {
			continue
		}
		var out strings.Builder
		cmd := newRoot(streams{in: strings.NewReader(""), out: &out, err: io.Discard, name: "albion"})
		cmd.SetArgs(strings.Fields(group.CommandPath())[1:])
		if err := executeCommand(t.Context(), cmd, io.Discard); err != nil || !strings.Contains(out.String(), "Available Commands:") {
			t.Errorf("%s: %v: %s", group.CommandPath(), err, out.String())
		}
	}
}

func TestRefusalsBeginWithThePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "albion.yaml")
	if err := os.WriteFile(file, []byte("load_balancer: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd := newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: &errs, name: "albion"})
	data := filepath.Join(t.TempDir(), "data")
	cmd.SetArgs([]string{"apply", "-f", file, "--data", data})
	if err := executeCommand(t.Context(), cmd, &errs); err == nil {
		t.Error("no error")
	}
	if !strings.HasPrefix(errs.String(), file+":1:1: ") || !strings.HasSuffix(errs.String(), "albion.yaml is refused: nothing was changed\n") {
		t.Errorf("%s", errs.String())
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a data folder was made")
	}
}

func TestCalledAs(t *testing.T) {
	for arg, want := range map[string]string{
		"albion":                           "albion",
		"./albion":                         "./albion",
		"/tmp/go-build123/b001/exe/albion": "go run ./cmd/albion",
		"/home/me/.cache/go-build/ab/abcd-d/albion": "go run ./cmd/albion",
		"/usr/local/bin/albion":                     "/usr/local/bin/albion",
		`C:\albion\albion.exe`:                      `C:\albion\albion.exe`,
	} {
		if got := calledAs(arg); got != want {
			t.Errorf("%s: %s", arg, got)
		}
	}
}

func TestWordsForPeople(t *testing.T) {
	for address, want := range map[string]string{"[::]:443": "*:443", "0.0.0.0:443": "*:443", "127.0.0.1:443": "127.0.0.1:443", "": ""} {
		if got := everywhere(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
	for left, want := range map[time.Duration]string{-time.Second: "expired", 90 * time.Minute: "1 hour", 49 * time.Hour: "2 days", 90*24*time.Hour + time.Minute: "90 days"} {
		if got := remaining(time.Now().Add(left + time.Second/2)); got != want {
			t.Errorf("%s: %s, want %s", left, got, want)
		}
	}
	for want, got := range map[string]string{
		"https://a.test/": address("https", "a.test", 443), "https://a.test:8443/": address("https", "a.test", 8443),
		"http://a.test/": address("http", "a.test", 80), "http://a.test:443/": address("http", "a.test", 443),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
