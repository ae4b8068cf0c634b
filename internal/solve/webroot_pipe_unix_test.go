//go:build unix

package solve_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/solve"
)

// Whoever writes to the web server's folder, too, holds no clean-up up.
func TestForeignFilesInAWebrootAreNotWaitedFor(t *testing.T) {
	p := file("a.test", "one")
	for _, name := range []string{".well-known/acme-challenge/one", ".well-known/acme-challenge"} {
		dir, cfg := t.TempDir(), solve.Config{Dir: t.TempDir()}
		present(t, webroot(t, cfg, dir), p)
		pipe := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.RemoveAll(pipe); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		s, done := webroot(t, cfg, dir), make(chan error, 1)
		go func() { done <- s.CleanUp(t.Context(), nil) }()
		go func() { done <- s.CleanUp(t.Context(), []acme.Presentation{p}) }()
		for range 2 {
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s is waited for", name)
			}
		}
		if info, err := os.Lstat(pipe); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
			t.Errorf("%s: what is somebody else's was removed: %v", name, err)
		}
	}
}

// What is larger than a proof is not read.
func TestAHugeFileInAWebrootIsNotRead(t *testing.T) {
	dir, cfg := t.TempDir(), solve.Config{Dir: t.TempDir()}
	p := file("a.test", "one")
	present(t, webroot(t, cfg, dir), p)
	huge := filepath.Join(dir, ".well-known", "acme-challenge", "one")
	if err := os.Truncate(huge, 1<<42); err != nil {
		t.Fatal(err)
	}
	cleanUp(t, webroot(t, cfg, dir), p)
	if _, err := os.Lstat(huge); err != nil {
		t.Errorf("what is somebody else's was removed: %v", err)
	}
}

func TestAPipeIsNoWebroot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "www")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := webroot(t, solve.Config{Dir: t.TempDir()}, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.CleanUp(t.Context(), nil) }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a pipe was taken for a folder")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the pipe is waited for")
	}
}
