package certbot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/certbot"
)

func contents(n int) certbot.PEM {
	text := func(kind string) []byte { return fmt.Appendf(nil, "%s of %d", kind, n) }
	return certbot.PEM{Cert: text("cert"), Chain: text("chain"), Fullchain: text("fullchain"), Privkey: text("privkey")}
}

func mustWrite(t testing.TB, dir string, n int) certbot.Written {
	t.Helper()
	w, err := certbot.WriteLive(dir, "chat.example.com", contents(n))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// holds checks what a server that reads the links sees, and who may read it.
func holds(t testing.TB, dir string, n, version int) {
	t.Helper()
	for kind, want := range map[string][]byte{"cert": contents(n).Cert, "chain": contents(n).Chain, "fullchain": contents(n).Fullchain, "privkey": contents(n).Privkey} {
		link := filepath.Join(dir, "live", "chat.example.com", kind+".pem")
		if got, err := os.ReadFile(link); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		target, err := os.Readlink(link)
		if want := filepath.FromSlash(fmt.Sprintf("../../archive/chat.example.com/%s%d.pem", kind, version)); err != nil || target != want {
			t.Errorf("%s -> %s, %v, want %s", kind, target, err, want)
		}
		mode := os.FileMode(0o644)
		if kind == "privkey" {
			mode = 0o600
		}
		if info, err := os.Stat(link); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", kind, info.Mode(), err)
		}
	}
	for _, folder := range []string{"live", "archive", "live/chat.example.com", "archive/chat.example.com"} {
		if info, err := os.Stat(filepath.Join(dir, folder)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", folder, info.Mode(), err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "live", "chat.example.com", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestALiveFolderIsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if w := mustWrite(t, dir, 1); !w.Changed || w.Version != 1 || w.Dir != filepath.Join(dir, "live", "chat.example.com") {
		t.Errorf("%+v", w)
	}
	holds(t, dir, 1, 1)
	if w := mustWrite(t, dir, 1); w.Changed || w.Version != 1 {
		t.Errorf("the same contents are written again: %+v", w)
	}
	if w := mustWrite(t, dir, 2); !w.Changed || w.Version != 2 {
		t.Errorf("%+v", w)
	}
	holds(t, dir, 2, 2)
}

// Whatever was cut short before, in any version, the next run makes it whole.
func TestWhatWasCutShortIsMadeWhole(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, dir, 1)
		last := 1
		for _, file := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"cert2", "chain2", "privkey3", "fullchain1", "cert1"}), rapid.ID).Draw(r, "files") {
			write(t, dir, map[string]string{"archive/chat.example.com/" + file + ".pem": "half"})
			last = max(last, int(file[len(file)-1]-'0'))
		}
		for _, link := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"cert", "chain", "fullchain", "privkey"}), rapid.ID).Draw(r, "links") {
			if err := os.Remove(filepath.Join(dir, "live", "chat.example.com", link+".pem")); err != nil {
				t.Fatal(err)
			}
		}
		w := mustWrite(t, dir, 1)
		if w.Changed != (w.Version != 1) || w.Changed && w.Version != last+1 {
			r.Errorf("%+v, after %d", w, last)
		}
		holds(t, dir, 1, w.Version)
	})
}

func TestFoldersThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"renewal/chat.example.com.conf": ""})
	if _, err := certbot.WriteLive(dir, "chat.example.com", contents(1)); err == nil || !strings.Contains(err.Error(), "certbot looks after chat.example.com in") {
		t.Error(err)
	}
	for _, name := range []string{"", ".", "..", ".x", "a/b", `a\b`, "../x", "c:x"} {
		if _, err := certbot.WriteLive(t.TempDir(), name, contents(1)); err == nil {
			t.Errorf("%q is taken for the name of a folder", name)
		}
	}
	// Links that lead out are not followed.
	dir, outside := t.TempDir(), t.TempDir()
	write(t, dir, map[string]string{"archive -> " + outside: ""})
	if _, err := certbot.WriteLive(dir, "chat.example.com", contents(1)); err == nil {
		t.Error("a link that leads out was followed")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("%v was written outside, %v", left, err)
	}
}

// What is written here, certbot's own reader understands.
func TestWhatIsWrittenIsRead(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, 1)
	mustWrite(t, dir, 2)
	write(t, dir, map[string]string{"renewal/chat.example.com.conf": strings.ReplaceAll(conf, "archive/chat", "archive/chat.example.com")})
	if l := read(t, dir); l.Problem != "" || l.Version != 2 || string(l.Privkey) != "privkey of 2" || len(l.Notes) != 1 {
		t.Errorf("%+v", l)
	}
}
