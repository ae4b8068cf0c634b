package acm_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/albion-lb/albion/internal/acm"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certbot lays out archive/NAME and live/NAME as certbot does, the latter in
// symbolic links.
func certbot(t *testing.T, w web) string {
	t.Helper()
	base := t.TempDir()
	live := filepath.Join(base, "live", "chat.example.com")
	write(t, filepath.Join(live, "README"), "This directory contains your keys and certificates.\n")
	for name, text := range map[string]string{
		"cert": w.leaf.pem(), "chain": w.mid.pem() + w.upper.pem(),
		"fullchain": w.leaf.pem() + w.mid.pem() + w.upper.pem(), "privkey": pkcs8(t, w.leaf.key),
	} {
		write(t, filepath.Join(base, "archive", "chat.example.com", name+"1.pem"), text)
		to := filepath.Join("..", "..", "archive", "chat.example.com", name+"1.pem")
		if err := os.Symlink(to, filepath.Join(live, name+".pem")); err != nil {
			t.Fatal(err)
		}
	}
	return live
}

func TestReadDirTakesCertbotsTree(t *testing.T) {
	w := newWeb(t, rsa2048())
	sources := must(acm.ReadDir(certbot(t, w)))(t)
	w.same(t, must(acm.Read(noon, sources...))(t))
	if len(sources) != 2 || sources[0].Name != "fullchain.pem" || sources[1].Name != "privkey.pem" {
		t.Errorf("%d sources", len(sources))
	}
}

func TestReadFilesTakesFilesAndDirectories(t *testing.T) {
	w := newWeb(t, ec256())
	dir := t.TempDir()
	cert := write(t, filepath.Join(dir, "site", "chat.crt"), w.leaf.pem())
	key := write(t, filepath.Join(dir, "site", "chat.KEY"), pkcs8(t, w.leaf.key))
	write(t, filepath.Join(dir, "site", "notes.txt"), "not PEM")
	chain := write(t, filepath.Join(dir, "ca", "chain.cer"), w.mid.pem()+w.upper.pem())
	for _, paths := range [][]string{{cert, key, chain}, {filepath.Dir(cert), chain}, {filepath.Dir(chain), cert, key}} {
		w.same(t, must(acm.Read(noon, must(acm.ReadFiles(paths...))(t)...))(t))
	}
}

func TestReadFilesSaysWhyItCannot(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "cert.pem")
	_, err := acm.ReadFiles(missing)
	refused(t, err, missing+" does not exist")
	_, err = acm.ReadDir(filepath.Join(dir, "live"))
	refused(t, err, filepath.Join(dir, "live")+" does not exist")
	_, err = acm.ReadFiles(dir)
	refused(t, err, "there is no .pem, .crt, .cer or .key file in "+dir)

	big := write(t, filepath.Join(dir, "big", "a.pem"), string(make([]byte, 1<<20+1)))
	_, err = acm.ReadFiles(big)
	refused(t, err, big+" is larger than 1048576 bytes: it is not a certificate or key")

	for _, name := range []string{"0", "1", "2"} {
		for _, digit := range "0123456789abcdef" {
			write(t, filepath.Join(dir, "many", name+string(digit)+".crt"), "x")
		}
	}
	_, err = acm.ReadDir(filepath.Join(dir, "many"))
	refused(t, err, "there are 48 files in "+filepath.Join(dir, "many")+": name the certificate, chain and key files themselves")

	if runtime.GOOS != "windows" { // which has no such thing there
		_, err = acm.ReadFiles(os.DevNull)
		refused(t, err, os.DevNull+" is not a file")
	}
}
