package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// caddyModule is the Caddy that is measured.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"

// install sees to it that the peers are there, and returns where Caddy is: nginx
// and HAProxy come as Debian's packages, which root can install; Caddy is built
// once, into the user's cache.
func install(ctx context.Context, peers []string) (caddy string, err error) {
	var missing []string
	for _, name := range []string{"nginx", "haproxy"} {
		if slices.Contains(peers, name) && !there(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		if err := installPackages(ctx, missing); err != nil {
			return "", err
		}
	}
	if !slices.Contains(peers, "caddy") {
		return "", nil
	}
	return buildCaddy(ctx)
}

func there(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func installPackages(ctx context.Context, names []string) error {
	list := strings.Join(names, " ")
	if os.Geteuid() != 0 || !there("apt-get") {
		return fmt.Errorf("bench: these are missing: %s\non Debian or Ubuntu: sudo apt-get install --no-install-recommends %s", list, list)
	}
	fmt.Fprintln(os.Stderr, "installing", list)
	// A package that starts its server at once would take port 80: the policy
	// says no to that, as Debian's invoke-rc.d(8) provides.
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, names...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("bench: apt-get %s: %w: %s", args[0], err, lastLines(out))
		}
	}
	return nil
}

// buildCaddy returns a Caddy of the version above, built unless it is there.
func buildCaddy(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(caddyModule, "@")
	dir := filepath.Join(cache, "albion-bench", "caddy-"+version)
	program := filepath.Join(dir, "caddy")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	fmt.Fprintln(os.Stderr, "building", caddyModule, "- once, and it takes minutes; BENCH_PEERS=nginx,haproxy leaves it out")
	cmd := exec.CommandContext(ctx, "go", "install", caddyModule)
	cmd.Env = append(os.Environ(), "GOBIN="+dir)
	cmd.Dir = os.TempDir() // outside of our module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bench: go install %s: %w: %s", caddyModule, err, lastLines(out))
	}
	return program, nil
}
