//go:build unix

package solve_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/solve"
)

// webroot is a solver for a folder, whose files nobody serves.
func webroot(t *testing.T, cfg solve.Config, dir string) acme.Solver {
	t.Helper()
	if cfg.HTTPPort == 0 {
		cfg.HTTPPort = 1
	}
	s, err := solve.New(cfg).For(t.Context(), &albion.Request{Method: albion.MethodWebroot, Argument: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tree lists what is below a folder.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if name != dir {
			all = append(all, strings.TrimPrefix(filepath.ToSlash(name), filepath.ToSlash(dir)+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestWritesFilesOfAnotherWebServer(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir, cfg := t.TempDir(), solve.Config{Dir: t.TempDir()}
	first, second := file("a.test", "one"), file("b.test", "two")
	present(t, webroot(t, cfg, dir), first)
	present(t, webroot(t, cfg, dir), first, second)
	if got := tree(t, dir); got != ".well-known .well-known/acme-challenge .well-known/acme-challenge/one .well-known/acme-challenge/two" {
		t.Errorf("there is %s", got)
	}
	for name, mode := range map[string]fs.FileMode{".well-known": 0o755, ".well-known/acme-challenge": 0o755, ".well-known/acme-challenge/one": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, ".well-known/acme-challenge/one")); err != nil || string(text) != "one.thumbprint" {
		t.Errorf("%q, %v", text, err)
	}
	cleanUp(t, webroot(t, cfg, dir), first) // by another process, perhaps
	if got := tree(t, dir); got != ".well-known .well-known/acme-challenge .well-known/acme-challenge/two" {
		t.Errorf("after the first there is %s", got)
	}
	cleanUp(t, webroot(t, cfg, dir), second)
	cleanUp(t, webroot(t, cfg, dir), second)
	if got := tree(t, dir) + tree(t, cfg.Dir); got != "" {
		t.Errorf("at the end there is %s", got)
	}
}

func TestKeepsFoldersThatAreNotItsOwn(t *testing.T) {
	dir, cfg := t.TempDir(), solve.Config{Dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(dir, ".well-known"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := file("a.test", "one")
	present(t, webroot(t, cfg, dir), p)
	if err := os.WriteFile(filepath.Join(dir, ".well-known/acme-challenge/one"), []byte("somebody else's now"), 0o600); err != nil {
		t.Fatal(err)
	}
	cleanUp(t, webroot(t, cfg, dir), p)
	if got := tree(t, dir); got != ".well-known .well-known/acme-challenge .well-known/acme-challenge/one" {
		t.Errorf("there is %s", got)
	}
	if err := os.Remove(filepath.Join(dir, ".well-known/acme-challenge/one")); err != nil {
		t.Fatal(err)
	}
	cleanUp(t, webroot(t, cfg, dir), p)
	if got := tree(t, dir); got != ".well-known" {
		t.Errorf("there is %s", got)
	}
	if info, err := os.Stat(filepath.Join(dir, ".well-known")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its mode is changed: %v, %v", info, err)
	}
}

func TestFollowsNoLinkOutOfTheFolder(t *testing.T) {
	for _, link := range []string{".well-known", ".well-known/acme-challenge", ".well-known/acme-challenge/one"} {
		dir, outside, cfg := t.TempDir(), t.TempDir(), solve.Config{Dir: t.TempDir()}
		target := outside
		if strings.HasSuffix(link, "one") {
			target = filepath.Join(outside, "victim")
			if err := os.WriteFile(target, []byte("one.thumbprint"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := filepath.Join(dir, link)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
		before := tree(t, outside)
		s := webroot(t, cfg, dir)
		err := s.Present(t.Context(), []acme.Presentation{file("a.test", "one")})
		if strings.HasSuffix(link, "one") {
			if err != nil { // the link itself is replaced
				t.Errorf("%s: %v", link, err)
			}
		} else {
			refused(t, err, dir)
		}
		s.CleanUp(t.Context(), []acme.Presentation{file("a.test", "one")})
		if got := tree(t, outside); got != before {
			t.Errorf("%s: outside there is %s; before %s", link, got, before)
		}
	}
}

// Whatever a CA sends as a token, nothing but that file appears, in that folder.
func TestWritesNowhereElse(t *testing.T) {
	base := t.TempDir()
	dir, cfg := filepath.Join(base, "www"), solve.Config{Dir: t.TempDir()}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := webroot(t, cfg, dir)
	rapid.Check(t, func(r *rapid.T) {
		token := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_-]{1,40}`), rapid.StringMatching(`[./\\a-z\x00%]{0,20}`), rapid.String()).Draw(r, "token")
		p := file("a.test", token)
		if err := s.Present(t.Context(), []acme.Presentation{p}); err == nil {
			if got := tree(t, base); got != "www www/.well-known www/.well-known/acme-challenge www/.well-known/acme-challenge/"+token {
				r.Fatalf("there is %s", got)
			}
		}
		if err := s.CleanUp(t.Context(), []acme.Presentation{p}); err != nil {
			r.Fatal(err)
		}
		if got := tree(t, base); got != "www" {
			r.Fatalf("there is %s left", got)
		}
	})
}

func TestWarnsWhenTheFileCannotBeFetched(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg := solve.Config{Dir: t.TempDir(), HTTPPort: port, Log: slog.New(slog.NewTextHandler(&log, nil))}
	p := file("127.0.0.1", "one")
	present(t, webroot(t, cfg, dir), p)
	if log.Len() > 0 {
		t.Errorf("it warns though all is well: %s", &log)
	}
	other := t.TempDir() // not the one that is served
	p.Token, p.Proof = "two", "two.thumbprint"
	present(t, webroot(t, cfg, other), p)
	if text := log.String(); !strings.Contains(text, "cannot be fetched from here") || !strings.Contains(text, "404") {
		t.Errorf("it says %s", text)
	}
}

func TestRefusesAFolderThatIsNone(t *testing.T) {
	_, err := solve.New(solve.Config{Dir: t.TempDir()}).For(t.Context(), &albion.Request{Method: albion.MethodWebroot, Argument: "/not/there"}, nil)
	if err == nil || !strings.Contains(err.Error(), "/not/there") {
		t.Error(err)
	}
}
