//go:build unix

package certbot_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/certbot"
)

// pipe puts a pipe that nobody writes to in the place of a file.
func pipe(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// returns fails the test when something waits for a pipe, which it then lets go on.
func returns(t *testing.T, pipe string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Errorf("%s is waited for", pipe)
		for ended := false; !ended; {
			if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				w.Close()
			}
			select {
			case <-done:
				ended = true
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// What somebody else puts into the folder neither ends nor swells a delivery: the
// next version is written beside it.
func TestForeignFilesInTheArchiveAreNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, 1)
	archive := filepath.Join(dir, "archive", "chat.example.com")
	pipe(t, filepath.Join(archive, "cert1.pem"))
	returns(t, filepath.Join(archive, "cert1.pem"), func() {
		w, err := certbot.WriteLive(dir, "chat.example.com", contents(1))
		if err != nil || w.Version != 2 || !w.Changed {
			t.Errorf("%+v, %v", w, err)
		}
	})
	holds(t, dir, 1, 2)
	// More than any memory has, and nothing on disk.
	if err := os.Truncate(filepath.Join(archive, "cert2.pem"), 1<<42); err != nil {
		t.Fatal(err)
	}
	if w := mustWrite(t, dir, 1); w.Version != 3 || !w.Changed {
		t.Errorf("%+v", w)
	}
	holds(t, dir, 1, 3)
}

func TestAPipeForAFolderOfTheArchiveIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, 1)
	archive := filepath.Join(dir, "archive", "chat.example.com")
	pipe(t, archive)
	returns(t, archive, func() {
		if w, err := certbot.WriteLive(dir, "chat.example.com", contents(2)); err == nil {
			t.Errorf("%+v", w)
		}
	})
}

// What is looked at is what was opened: a pipe that takes a file's place between
// the two is not waited for.
func TestPipesInATreeAreRefused(t *testing.T) {
	for _, name := range []string{"renewal/chat.conf", "archive/chat/fullchain1.pem", "archive/chat"} {
		dir := t.TempDir()
		write(t, dir, version("chat", 1))
		write(t, dir, map[string]string{"renewal/chat.conf": conf})
		path := filepath.Join(dir, filepath.FromSlash(name))
		pipe(t, path)
		returns(t, path, func() {
			tree, err := certbot.Read(dir)
			if err != nil || len(tree.Lineages) != 1 || tree.Lineages[0].Problem == "" {
				t.Errorf("%s: %+v, %v", name, tree, err)
			}
		})
	}
}

func TestNamesThatLeadElsewhereAreNoLineages(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, version("..", 1)) // as archive/..
	write(t, dir, map[string]string{"renewal/...conf": conf, "renewal/a\x1b[2J.conf": conf, "renewal/.hidden.conf": conf})
	tree, err := certbot.Read(dir)
	if err != nil || len(tree.Lineages) != 3 {
		t.Fatalf("%+v, %v", tree, err)
	}
	for _, l := range tree.Lineages {
		if !strings.Contains(l.Problem, "cannot be the name") || len(l.Fullchain) > 0 {
			t.Errorf("%q: %q", l.Name, l.Problem)
		}
	}
}

func TestFilesFromOutsideTheTreeAreNoted(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, elsewhere, version("other", 1))
	outside := filepath.Join(elsewhere, "archive", "other")
	write(t, dir, map[string]string{"renewal/chat.conf": strings.Replace(conf, "/etc/letsencrypt/archive/chat", outside, 1)})
	l := read(t, dir)
	if l.Version != 1 || !strings.Contains(strings.Join(l.Notes, "\n"), "its files are read from "+outside) {
		t.Errorf("%+v", l)
	}
}
