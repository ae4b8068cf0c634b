package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/admin"
)

func lineagesOf(actions map[string]string) []adoption {
	var all []adoption
	for name, action := range actions {
		all = append(all, adoption{Adopted: admin.Adopted{Name: name, Action: action}, Hooks: []string{"reload it"}})
	}
	return all
}

// A hook that was asked for is not lost without a word.
func TestHooksThatAreNotTakenSayHowTheyWouldBe(t *testing.T) {
	lineages := lineagesOf(map[string]string{"a": admin.ActionAdopt, "b": admin.ActionImport, "c": admin.ActionLeaveOut})
	for name, c := range map[string]struct {
		hook admin.AdoptHook
		want string // "": it runs for all
	}{
		"taken":       {admin.AdoptHook{Name: "h", Certificates: []string{"a"}, Shell: "x"}, ""},
		"imported":    {admin.AdoptHook{Name: "certbot-b", Certificates: []string{"b"}, Shell: "echo 'it' > /tmp/x"}, `albion cert hook add certbot-b --event renewed --cert b --shell 'echo '\''it'\'' > /tmp/x'`},
		"partly":      {admin.AdoptHook{Name: "d", Certificates: []string{"a", "b"}, Exec: []string{"/etc/hook 1"}}, "albion cert hook add d --event renewed --cert a --cert b -- '/etc/hook 1'"},
		"not here":    {admin.AdoptHook{Name: "d", Certificates: []string{"c"}, Shell: "x"}, "albion cert hook add d --event renewed --cert c --shell x"},
		"one is here": {admin.AdoptHook{Name: "d", Certificates: []string{"a", "c"}, Shell: "x"}, "albion cert hook add d --event renewed --cert a --shell x"},
	} {
		left := leftHooks([]admin.AdoptHook{c.hook}, lineages)
		if c.want == "" && len(left) != 0 || c.want != "" && (len(left) != 1 || left[0].Command != c.want || left[0].Why == "") {
			t.Errorf("%s: %+v, want %s", name, left, c.want)
		}
	}
}

func TestWhatIsSaidOfHooksFitsWhatWasAsked(t *testing.T) {
	for name, c := range map[string]struct {
		asked     bool
		left      []hookLeft
		want, not string
	}{
		"not asked":         {false, nil, "--hooks takes those", "No command was taken"},
		"asked, none fits":  {true, nil, "No command was taken", "Albion runs none"},
		"asked, and undone": {true, []hookLeft{{Name: "certbot-b", Certificates: []string{"b"}, Why: "so", Command: "albion cert hook add certbot-b"}}, "The hook certbot-b does not run for b: so.", "Albion runs none"},
	} {
		var out strings.Builder
		g := &globals{streams: streams{out: &out}}
		g.showHooksTaken(&adoptReport{Lineages: lineagesOf(map[string]string{"b": admin.ActionImport}), Left: c.left}, c.asked)
		if !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), c.not) {
			t.Errorf("%s: %s", name, out.String())
		}
	}
}

func TestLineagesAreCompleted(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "renewal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, "renewal", name+".conf"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := lineageNames(dir, []string{"one"}); !slices.Equal(got, []string{"two"}) {
		t.Errorf("%q", got)
	}
	if got := lineageNames(filepath.Join(dir, "none"), nil); got != nil {
		t.Errorf("%q", got)
	}
	var out strings.Builder
	cmd := newRoot(streams{in: strings.NewReader(""), out: &out, err: &out, name: "albion"})
	cmd.SetArgs([]string{"__complete", "cert", "adopt", "certbot", "--dir", dir, ""})
	if err := executeCommand(t.Context(), cmd, &out); err != nil || !strings.HasPrefix(out.String(), "one\ntwo\n:4\n") {
		t.Errorf("%v: %s", err, out.String())
	}
}
