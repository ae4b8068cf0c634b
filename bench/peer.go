package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"text/template"
	"time"
)

//go:embed peers
var peerFiles embed.FS

// setup is what a balancer is to do; the templates in peers say it in the words
// of each.
type setup struct {
	Dir         string // of this instance alone
	Data        string // where Albion keeps its state
	Name        string // the host that clients ask for
	HTTP, HTTPS int    // ports on 127.0.0.1
	Origin      int    // the origin's port on 127.0.0.1
	Workers     int    // processes or threads that work
	Files       int    // that a process may have open
	Log         bool   // write an access log
	Generation  int    // what /generation answers: tells configurations apart
	Rules       []string
	certificate
	Certificates []certificate // besides the first one
	List, Map    string        // files that some need for many certificates and rules
}

// Connections is how many clients a balancer that needs two files for each can
// take, with a few files to spare.
func (s *setup) Connections() int { return (s.Files - 1000) / 2 }

// Folder is where all certificates besides the first one are; "" when there are
// none.
func (s *setup) Folder() string {
	if len(s.Certificates) == 0 {
		return ""
	}
	return filepath.Dir(s.Certificates[0].Combined)
}

// peer is a balancer: how it is started, changed and asked for its version.
// Every command is a program and its arguments.
type peer struct {
	Name    string // as tables show it
	program string // its file
	config  string // its configuration's file name, and the template's in peers
	start   func(s *setup, config string) []string
	check   func(s *setup, config string) []string // nil: it has none
	version []string
	// change makes a running instance take over its changed file.
	change func(ctx context.Context, p *peer, in *instance) error
}

// program runs a peer's own program to the end.
func (p *peer) run(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, p.program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("bench: %s %s: %w: %s", p.Name, strings.Join(args, " "), err, lastLines(out))
	}
	return string(out), nil
}

// lastLines is the end of what a program said, for messages.
func lastLines(out []byte) string {
	const most = 600
	out = bytes.TrimSpace(out)
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}

// roster is everybody who can take part, albion first. The arguments are two
// programs' files.
func roster(albion, caddy string) []*peer {
	return []*peer{
		{
			Name: "Albion", program: albion, config: "albion.yaml", version: []string{"--version"},
			start: func(s *setup, config string) []string {
				return []string{"serve", "-c", config, "--data", s.Data, "--admin", "off", "--grace", "1s"}
			},
			change: func(ctx context.Context, p *peer, in *instance) error {
				_, err := p.run(ctx, "apply", "-f", in.config, "--data", in.setup.Data)
				return err
			},
		},
		{
			Name: "nginx", program: "nginx", config: "nginx.conf", version: []string{"-v"},
			start: func(s *setup, config string) []string { return []string{"-p", s.Dir, "-c", config} },
			check: func(s *setup, config string) []string { return []string{"-t", "-q", "-p", s.Dir, "-c", config} },
			change: func(ctx context.Context, p *peer, in *instance) error {
				_, err := p.run(ctx, "-p", in.setup.Dir, "-c", in.config, "-s", "reload")
				return err
			},
		},
		{
			Name: "HAProxy", program: "haproxy", config: "haproxy.cfg", version: []string{"-v"},
			start: func(s *setup, config string) []string {
				return []string{"-W", "-S", filepath.Join(s.Dir, "master.sock"), "-f", config}
			},
			check: func(_ *setup, config string) []string { return []string{"-c", "-q", "-f", config} },
			change: func(ctx context.Context, _ *peer, in *instance) error {
				return askMaster(ctx, filepath.Join(in.setup.Dir, "master.sock"))
			},
		},
		{
			Name: "Caddy", program: caddy, config: "Caddyfile", version: []string{"version"},
			start: func(_ *setup, config string) []string { return []string{"run", "--config", config} },
			check: func(_ *setup, config string) []string { return []string{"validate", "--config", config} },
			change: func(ctx context.Context, _ *peer, in *instance) error {
				return tellCaddy(ctx, filepath.Join(in.setup.Dir, "caddy.sock"), in.config)
			},
		},
	}
}

// askMaster reloads HAProxy by its master's socket: unlike a signal, a command
// cannot be lost in the middle of another reload.
func askMaster(ctx context.Context, socket string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	for err != nil && ctx.Err() == nil { // refused while the master starts itself anew
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
		conn, err = d.DialContext(ctx, "unix", socket)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if _, err := io.WriteString(conn, "reload\n"); err != nil {
		return err
	}
	// The master that starts itself anew closes the connection, one way or another.
	_, _ = io.Copy(io.Discard, conn)
	return nil
}

// tellCaddy changes Caddy's configuration by its API: its command does the same,
// and takes a while to start.
func tellCaddy(ctx context.Context, socket, config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://caddy/load", bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("bench: Caddy's API: %s: %s", res.Status, lastLines(said))
	}
	return err
}

// numbers finds a version in what a program says of itself.
var numbers = regexp.MustCompile(`v?\d+\.\d+(\.\d+)?[-+.~\w]*`)

// versionOf is what a program calls itself. Those that are made with Go say it in
// their files, better than on the command line.
func (p *peer) versionOf(ctx context.Context) (string, error) {
	if info, err := buildinfo.ReadFile(p.program); err == nil {
		return goVersion(info), nil
	}
	out, err := p.run(ctx, p.version...)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if n := numbers.FindString(first); n != "" {
		return n, nil
	}
	return first, nil
}

// goVersion is the version of a program's module; of one that was built where its
// source is, the commit.
func goVersion(info *debug.BuildInfo) string {
	version := strings.Trim(info.Main.Version, "()")
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(version, s.Value[:12]) {
			version += " " + s.Value[:12]
		}
	}
	// Whether the source differs from the commit says nothing: results that were
	// written beside it are a difference too.
	return strings.TrimSuffix(version, "+dirty")
}

// render writes a peer's configuration, and the files that it names, and returns
// its path.
func (p *peer) render(s *setup) (string, error) {
	text, err := peerFiles.ReadFile("peers/" + p.config)
	if err != nil {
		return "", err
	}
	t, err := template.New(p.config).Parse(string(text))
	if err != nil {
		return "", err
	}
	if err := writeLists(s); err != nil { // before: the template names them
		return "", err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return "", err
	}
	path := filepath.Join(s.Dir, p.config)
	return path, replaceFile(path, out.Bytes())
}

// writeLists writes certificates and rules in the form of HAProxy's lists.
func writeLists(s *setup) error {
	s.List, s.Map = filepath.Join(s.Dir, "certificates.list"), filepath.Join(s.Dir, "rules.map")
	var list, rules bytes.Buffer
	for _, c := range s.Certificates {
		fmt.Fprintf(&list, "%s %s\n", c.Combined, c.Name)
	}
	for _, r := range s.Rules {
		fmt.Fprintf(&rules, "/%s/ origin\n", r)
	}
	if err := os.WriteFile(s.List, list.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.Map, rules.Bytes(), 0o600)
}

// replaceFile replaces a file in one step: who watches it never sees a part.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
