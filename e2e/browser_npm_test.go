package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// npmClient is the file of the SockJS client that most pages in the world load,
// in the version that e2e/browser/package-lock.json pins. It is installed once,
// into the cache that git ignores, under a name that changes with the lock file.
func npmClient(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join("browser", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	home := filepath.Join("..", ".cache", "sockjs-client-"+hex.EncodeToString(sum[:8]))
	client := filepath.Join("node_modules", "sockjs-client", "dist", "sockjs.min.js")
	if _, err := os.Stat(filepath.Join(home, client)); err == nil {
		return filepath.Join(home, client)
	}
	needs(t, "npm", "nodejs npm")
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(home), "npm-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	npmInstall(t, fresh)
	// Whoever is first wins; what another process put there is the same.
	if err := os.Rename(fresh, home); err != nil {
		if _, there := os.Stat(filepath.Join(home, client)); there != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(home, client)
}

func npmInstall(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS("browser")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// No package may run anything: one file of one package is all that is used.
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

// needs ends the test when a program is missing, and says how to get it.
func needs(t *testing.T, program, packages string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("this test needs %s: apt-get install -y --no-install-recommends %s", program, packages)
	}
}
