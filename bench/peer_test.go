package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/config"
)

func exampleSetup(t *testing.T, change func(*setup)) *setup {
	t.Helper()
	dir := t.TempDir()
	s := &setup{
		Dir: dir, Data: filepath.Join(dir, "data"), Name: hostName, HTTP: 8080, HTTPS: 8443, Origin: 9000, Workers: 2, Files: 20000, Generation: 7,
		certificate: certificate{hostName, dir + "/a.crt", dir + "/a.key", dir + "/a.pem"},
	}
	change(s)
	return s
}

func variants(t *testing.T) map[string]*setup {
	rules := func(s *setup) { s.Rules = []string{"r0001", "r0002"} }
	many := func(s *setup) {
		s.Certificates = []certificate{{"one.example.com", "/c/1.crt", "/c/1.key", "/c/1.pem"}}
	}
	return map[string]*setup{
		"plain": exampleSetup(t, func(*setup) {}),
		"log":   exampleSetup(t, func(s *setup) { s.Log = true }),
		"rules": exampleSetup(t, rules),
		"many":  exampleSetup(t, many),
		"all":   exampleSetup(t, func(s *setup) { rules(s); many(s); s.Log = true }),
	}
}

func TestEveryConfigurationSaysTheSame(t *testing.T) {
	for name, s := range variants(t) {
		for _, p := range roster("albion", "caddy") {
			path, err := p.render(s)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rules, err := os.ReadFile(s.Map)
			if err != nil {
				t.Fatal(err)
			}
			list, err := os.ReadFile(s.List)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data) + string(rules) + string(list)
			want := []string{"8080", "8443", "127.0.0.1:9000", `"7"`, "/generation"}
			if len(s.Certificates) == 0 {
				want = append(want, s.Dir+"/a.")
			}
			for _, rule := range s.Rules {
				want = append(want, "/"+rule+"/", "404")
			}
			for _, c := range s.Certificates {
				want = append(want, map[bool]string{true: c.Name, false: "load " + s.Folder()}[p.Name != "Caddy"])
			}
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s, %s: no %s in\n%s", name, p.Name, w, text)
				}
			}
			if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
				t.Errorf("%s, %s: not filled in:\n%s", name, p.Name, text)
			}
			if open, end := strings.Count(text, "{"), strings.Count(text, "}"); p.Name != "HAProxy" && open != end {
				t.Errorf("%s, %s: %d brackets open and %d close", name, p.Name, open, end)
			}
		}
	}
}

func TestAlbionsConfigurationIsOne(t *testing.T) {
	for name, s := range variants(t) {
		path, err := roster("albion", "caddy")[0].render(s)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(path, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The file has to hold what the work with the most certificates asks of it.
func TestAlbionsConfigurationTakesTenThousandCertificates(t *testing.T) {
	s := exampleSetup(t, func(s *setup) {
		folder := "/tmp/albion-bench-1234567890/certificates/"
		for i := range fullPlan().Certificates {
			name := fmt.Sprintf("n%05d.example.com", i)
			s.Certificates = append(s.Certificates, certificate{name, folder + name + ".crt", folder + name + ".key", folder + name + ".pem"})
		}
	})
	path, err := roster("albion", "caddy")[0].render(s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse(path, data); err != nil {
		t.Error(err)
	}
}

func TestWorksAreWhole(t *testing.T) {
	for name, p := range map[string]plan{"full": fullPlan(), "quick": quickPlan()} {
		ids := map[string]bool{}
		for _, w := range works(p) {
			if ids[w.ID] {
				t.Errorf("%s: two of %s", name, w.ID)
			}
			ids[w.ID] = true
			if w.job.Clients < 1 || len(w.job.Paths) == 0 || w.job.Answer == 0 || w.Title == "" || w.Metric == "" {
				t.Errorf("%s: %+v", name, w)
			}
			if w.Half != "" && !ids[w.Half] {
				t.Errorf("%s: %s comes before what it depends on", name, w.ID)
			}
		}
	}
}

func TestVersionsOfGoPrograms(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for want, info := range map[string]*debug.BuildInfo{
		"v2.11.9":                    {Main: debug.Module{Version: "v2.11.9"}},
		"devel 0123456789ab":         {Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{commit}},
		"v0.1.1-0.2026-0123456789ab": {Main: debug.Module{Version: "v0.1.1-0.2026-0123456789ab+dirty"}, Settings: []debug.BuildSetting{commit}},
	} {
		if got := goVersion(info); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestIssuedCertificatesHold(t *testing.T) {
	authority, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	all, err := authority.issueMany(filepath.Join(t.TempDir(), "many"), 3)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.pem)
	for i, c := range all {
		for _, files := range [][2]string{{c.Certificate, c.Key}, {c.Combined, c.Combined}} {
			pair, err := tls.LoadX509KeyPair(files[0], files[1])
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("n%05d.example.com", i)
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Error(err)
			}
		}
	}
}
