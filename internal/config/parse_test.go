package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

var update = flag.Bool("update", false, "write what the golden files should say")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every case of a golden file is NAME.yaml and, below it, NAME.err: exactly
// what Parse says about it.
func TestProblemsAreFoundAtTheirPlaces(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(archive.Files); i += 2 {
			in := archive.Files[i]
			want := &archive.Files[i+1]
			name := strings.TrimSuffix(in.Name, ".yaml")
			if want.Name != name+".err" {
				t.Fatalf("%s: %s follows %s", file, want.Name, in.Name)
			}
			t.Run(name, func(t *testing.T) {
				f, err := config.Parse(in.Name, in.Data)
				if err == nil || f != nil {
					t.Fatalf("Parse took the file (%v) or gave it out: %v", err, f)
				}
				got := err.Error() + "\n"
				if *update {
					want.Data = []byte(got)
				} else if got != string(want.Data) {
					t.Errorf("got\n%s\nwant\n%s", got, want.Data)
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestHugeAndMultiplyingFilesAreRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	var lists strings.Builder
	lists.WriteString("target_groups:\n  g: {targets: &t [" + strings.Repeat("a,", 9_000) + "a]}\n")
	for i := range 100 {
		lists.WriteString("  g" + strings.Repeat("x", i) + "y: {targets: *t}\n")
	}
	for name, c := range map[string]struct{ data, want string }{
		"large":        {strings.Repeat("#", 4<<20+1), "at most 4194304"},
		"many tokens":  {strings.Repeat("- a\n", 400_000), "words and signs"},
		"keys":         {strings.Repeat("a: b\n", 5_001), ":5001:2: a mapping has more than 5000 keys"},
		"inner keys":   {"a:\n  - b: c\n" + strings.Repeat("    a: b\n", 5_000), ":5002:6: a mapping has more than 5000 keys"},
		"flow keys":    {"{" + strings.Repeat("a: b, ", 5_001) + "}", "a mapping has more than 5000 keys"},
		"brackets":     {strings.Repeat("[", 100_000), "levels deep"},
		"braces":       {strings.Repeat("{a: ", 10_000), "levels deep"},
		"dashes":       {strings.Repeat("- ", 100_000), "levels deep"},
		"questions":    {strings.Repeat("? ", 100_000), "levels deep"},
		"anchors":      {strings.Repeat("&a ", 10_000), "levels deep"},
		"self":         {"certificates: &a\n  <<: *a\n", "aliases multiply"},
		"multiplied":   {lists.String(), "aliases multiply"},
		"merged":       {"x: &x\n  <<: [*y, *y, *y]\ny: &y\n  <<: [*x, *x, *x]\ncertificates: *x\n", "aliases multiply"},
		"not text":     {"certificates:\n  a: \xff\n", ":2:1: not UTF-8 text"},
		"two":          {"certificates: {}\n---\ntarget_groups: {}\n", "second document"},
		"unused alias": {bomb, "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("albion.yaml", []byte(c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %.300v, want %q", err, c.want)
			}
			if len(err.Error()) > 20_000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		})
	}
}

// Many small mappings are not one large one.
func TestManyObjectsAreTaken(t *testing.T) {
	var b strings.Builder
	b.WriteString("target_groups:\n")
	for i := range 2_000 {
		fmt.Fprintf(&b, "  g%d:\n    port: 80\n    targets: [127.0.0.1:%d]\n    stickiness: {type: sockjs}\n", i, i+1)
	}
	b.WriteString("security_groups:\n  a:\n    ingress:\n")
	for i := range 900 {
		fmt.Fprintf(&b, "      - ports: %d\n        from: 127.0.0.1\n      - {ports: 1, from: 10.0.0.1}\n", i+1)
	}
	f := parse(t, b.String())
	d := albion.NewDraft(&albion.State{})
	if changes, err := f.Apply(d, newWorld().env()); err != nil || len(changes) != 2_001 {
		t.Errorf("%d changes, %v", len(changes), err)
	}
}

func TestAnEmptyFileDeclaresNothing(t *testing.T) {
	for _, data := range []string{"", "\n", "# nothing\n", "---\n", "certificates:\nload_balancers: {}\n", "{}", "null"} {
		if _, err := config.Parse("albion.yaml", []byte(data)); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestAliasesAndMergedMappingsAreRead(t *testing.T) {
	f := parse(t, `
target_groups:
  a: &base
    port: 8080
    targets: [127.0.0.1]
    health_check: &check {path: /a, interval: 10s}
  b:
    <<: *base
    port: 9090
    health_check:
      <<: *check
      path: /b
`)
	d, _ := apply(t, f, nil)
	for g := range d.TargetGroups.All() {
		if g.Name != "b" {
			continue
		}
		if g.Port != 9090 || g.Targets[0].String() != "127.0.0.1:9090" || g.HealthCheck.Path != "/b" || g.HealthCheck.Interval.String() != "10s" {
			t.Errorf("b is %+v", g)
		}
		return
	}
	t.Error("no b")
}

// A colon inside a word is no more than that, also within braces.
func TestColonsInWordsAreRead(t *testing.T) {
	for _, targets := range []string{
		"{targets: [127.0.0.1:8080, a.b:81, localhost:1]}",
		"{targets: [ 127.0.0.1:8080 , a.b:81 ,localhost:1 ], port: 80}",
		"{port: 80,targets: [127.0.0.1:8080,a.b:81,localhost:1]}",
		"{targets: [\n    127.0.0.1:8080,\n    a.b:81, # here\n    localhost:1]}",
		"\n    targets: [127.0.0.1:8080, a.b:81, localhost:1]",
		"\n    targets:\n      - 127.0.0.1:8080\n      - a.b:81\n      - localhost:1",
		"{\"targets\":[\"127.0.0.1:8080\",\"a.b:81\",\"localhost:1\"]}",
	} {
		d, _ := apply(t, parse(t, "target_groups:\n  a: "+targets+"\n"), nil)
		if got := fmt.Sprint(only(t, d.TargetGroups).Targets); got != "[127.0.0.1:8080 a.b:81 localhost:1]" {
			t.Errorf("%s: got %s", targets, got)
		}
	}
	_, err := config.Parse("albion.yaml", []byte("target_groups: {a: {port:80}}"))
	if err == nil || !strings.Contains(err.Error(), ":1:21: unknown key \"port:80\" of a target group: is a space missing after the colon?") {
		t.Errorf("got %v", err)
	}
}

func TestFilesAreRelativeToTheFolder(t *testing.T) {
	dir := t.TempDir()
	data := "certificates:\n  a: {certificate: certs/full.pem, key: certs/key.pem}\n" +
		"  b: {certificate: certs/full.pem}\n  c: {certbot: live/c}\n"
	f, err := config.Parse(filepath.Join(dir, "albion.yaml"), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"certs/full.pem", "certs/key.pem", "live/c/fullchain.pem", "live/c/privkey.pem"}
	for i := range want {
		want[i] = filepath.Join(dir, filepath.FromSlash(want[i]))
	}
	if got := config.Files(f); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAProblemCanBeTakenApart(t *testing.T) {
	_, err := config.Parse("conf/albion.yaml", []byte("load_balancers:\n  web:\n    listner: []\n"))
	var p *config.Problem
	if !errors.As(err, &p) {
		t.Fatalf("%T %v", err, err)
	}
	if p.File != "conf/albion.yaml" || p.Line != 3 || p.Column != 5 || !strings.Contains(p.Message, "did you mean listeners?") {
		t.Errorf("%+v", p)
	}
	want := "conf/albion.yaml:3:5: unknown key \"listner\" of a load balancer: did you mean listeners?\n" +
		"     3 |     listner: []\n" +
		"             ^"
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestATerminalIsNotSentControlCharacters(t *testing.T) {
	_, err := config.Parse("albion.yaml", []byte("\"\x1b[31m\u202e\": 1\nload: \"\x1b]0;x\x07\"\n"))
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07\u202e") {
		t.Errorf("%q", err)
	}
}

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("testdata/albion.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	files, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, in := range archive.Files {
			f.Add(in.Data)
		}
	}
	for _, s := range []string{"a: &a [*a]", "<<: *x", "? a\n: b", "- - - -", "a: !!str b", "%YAML 1.1\n---\n", "\ufeffcertificates: {}", "a: |\n  b", "? {a: b}\n: c", "\r00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := config.Parse("albion.yaml", data)
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
		if err == nil {
			config.Files(file)
			// What Parse takes, Apply applies or refuses; then once more changes nothing.
			state, _, err := tryApply(file, nil)
			if err != nil {
				return
			}
			again, changes, err := tryApply(file, state)
			if err != nil || len(changes) != 0 || again != state {
				t.Fatalf("again: %v, %v", changes, err)
			}
			return
		}
		lines := strings.Count(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n") + strings.Count(strings.ReplaceAll(string(data), "\r\n", ""), "\r") + 1
		for _, p := range problems(err) {
			if p.Line < 1 || p.Line > lines || p.Column < 1 {
				t.Fatalf("a place outside the file, which has %d lines: %v", lines, p)
			}
		}
	})
}

func problems(err error) []*config.Problem {
	var all config.Problems
	if errors.As(err, &all) {
		return all
	}
	var one *config.Problem
	if errors.As(err, &one) {
		return []*config.Problem{one}
	}
	return nil
}
