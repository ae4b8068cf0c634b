package certbot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	maxLineages = 1000
	maxVersions = 100_000 // files of one archive folder
	maxFile     = 1 << 20 // bytes of a PEM or JSON file
)

// firstVersion maps the directories of ACME's first version, which are gone, to
// those that certbot uses in their place.
var firstVersion = map[string]string{
	"https://acme-v01.api.letsencrypt.org/directory":     "https://acme-v02.api.letsencrypt.org/directory",
	"https://acme-staging.api.letsencrypt.org/directory": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

// letsEncrypt is certbot's default.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Tree is what one of certbot's configuration folders holds.
type Tree struct {
	Dir      string
	Lineages []Lineage // by name
	Hooks    Hooks     // of cli.ini and renewal-hooks/: those of every lineage
	Email    string    // of cli.ini
}

// Lineage is a certificate that certbot looks after.
type Lineage struct {
	Name          string
	Problem       string // why it cannot be read; then the rest may be empty
	Notes         []string
	Directory     string // URL of the CA's directory
	Account       *Account
	Authenticator string // webroot, standalone, nginx, apache, manual, dns-…
	Installer     string
	Preferred     []string // challenges: http-01, dns-01
	Credentials   string   // file of a DNS provider
	Webroots      []string
	Hooks         Hooks
	AuthHook      string // of the authenticator manual
	CleanupHook   string
	Profile       string
	ReuseKey      bool
	Suspended     bool   // autorenew = False
	Version       int    // of the files below
	Fullchain     []byte // PEM
	Privkey       []byte
}

// Hooks are commands that certbot runs in a shell.
type Hooks struct {
	Pre, Deploy, Post []string
}

// Empty says whether there is none.
func (h Hooks) Empty() bool { return len(h.Pre)+len(h.Deploy)+len(h.Post) == 0 }

type reader struct{ dir string }

// Read reads one of certbot's configuration folders, /etc/letsencrypt as a rule.
// A lineage that cannot be read is there with its Problem. Only a folder that is
// none of certbot's is an error.
func Read(dir string) (*Tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	confs, err := names(filepath.Join(dir, "renewal"), 4*maxLineages)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s may not be read by this user: run this as root, who owns certbot's folder", filepath.Join(dir, "renewal"))
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is not a folder of certbot's: it has no folder renewal/; give the one that has with --dir", dir)
	case err != nil:
		return nil, err
	}
	r := &reader{dir}
	tree := &Tree{Dir: dir}
	if err := r.global(tree); err != nil {
		return nil, err
	}
	for _, conf := range confs {
		name, ok := strings.CutSuffix(conf, ".conf")
		if !ok || name == "" {
			continue
		}
		if len(tree.Lineages) == maxLineages {
			return nil, fmt.Errorf("%s has more than %d lineages", dir, maxLineages)
		}
		l := r.lineage(name)
		if l.Account != nil && l.Account.Email == "" {
			l.Account.Email = tree.Email
		}
		tree.Lineages = append(tree.Lineages, l)
	}
	return tree, nil
}

func (r *reader) lineage(name string) Lineage {
	l := Lineage{Name: name}
	if err := r.fill(&l); err != nil {
		l.Problem = err.Error()
	}
	return l
}

// fill reads a lineage's configuration, its account and its newest files.
func (r *reader) fill(l *Lineage) error {
	if !isFolderName(l.Name) {
		return fmt.Errorf("%q cannot be the name of a lineage", l.Name)
	}
	path := filepath.Join(r.dir, "renewal", l.Name+".conf")
	data, err := readFile(path)
	if err != nil {
		return err
	}
	conf, err := Parse(data)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, err)
	}
	l.configure(conf)
	if l.Account, err = r.account(l.Directory, conf.Sub("renewalparams").Text("account")); err != nil {
		l.note("its account cannot be used: %s", err)
	}
	return r.contents(l, conf.Text("archive_dir"))
}

func (l *Lineage) note(format string, args ...any) {
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

// configure takes what a renewal configuration says.
func (l *Lineage) configure(conf *Section) {
	params := conf.Sub("renewalparams")
	if l.Directory = params.Text("server"); l.Directory == "" {
		l.Directory = letsEncrypt
	}
	if second, ok := firstVersion[l.Directory]; ok {
		l.Directory = second
	}
	l.Authenticator, l.Installer = params.Text("authenticator"), params.Text("installer")
	l.Preferred = params.List("pref_challs")
	l.Webroots = webroots(params)
	if plugin, ok := strings.CutPrefix(l.Authenticator, "dns-"); ok {
		l.Credentials = params.Text("dns_" + strings.ReplaceAll(plugin, "-", "_") + "_credentials")
	}
	l.Hooks = Hooks{some(params.Text("pre_hook")), some(params.Text("renew_hook")), some(params.Text("post_hook"))}
	l.AuthHook, l.CleanupHook = params.Text("manual_auth_hook"), params.Text("manual_cleanup_hook")
	if l.Profile = params.Text("required_profile"); l.Profile == "" {
		l.Profile = params.Text("preferred_profile")
	}
	l.ReuseKey = params.Text("reuse_key") == "True"
	l.Suspended = params.Text("autorenew") == "False"
	if params.Text("must_staple") == "True" {
		l.note("must_staple is not kept: the CAs have given it up")
	}
	if chain := params.Text("preferred_chain"); chain != "" {
		l.note("preferred_chain %q is not kept: the CA's default chain is taken", chain)
	}
	if l.ReuseKey {
		l.note("reuse_key is not kept: every renewal has a new key")
	}
	if port := params.Text("http01_port"); port != "" && port != "80" {
		l.note("certbot answered on port %s, behind something that passes port 80 on: that now has to lead to Albion's HTTP listener", port)
	}
}

func some(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// webroots lists the folders of a webroot authenticator, each once.
func webroots(params *Section) []string {
	all := slices.Clone(params.List("webroot_path"))
	if paths := params.Sub("webroot_map"); paths != nil {
		for name := range paths.Values {
			all = append(all, paths.Text(name))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(path string) bool { return path == "" })
}

// kinds are the files of each version.
var kinds = [...]string{"cert", "chain", "fullchain", "privkey"}

// contents reads the newest version of which all four files are there.
func (r *reader) contents(l *Lineage, archive string) error {
	dir := filepath.Join(r.dir, "archive", l.Name)
	if archive != "" {
		// A copy of the tree is read, and not what it was copied from.
		dir = filepath.Join(r.dir, "archive", filepath.Base(filepath.Clean(archive)))
		if _, err := os.Stat(dir); err != nil && filepath.IsAbs(archive) {
			if dir = filepath.Clean(archive); !strings.HasPrefix(dir, filepath.Join(r.dir, "archive")+string(filepath.Separator)) {
				l.note("its files are read from %s, which is outside of %s", dir, r.dir)
			}
		}
	}
	files, err := names(dir, maxVersions)
	if err != nil {
		return unreadable(dir, err)
	}
	if l.Version = newest(files); l.Version == 0 {
		return fmt.Errorf("%s has no version of which cert, chain, fullchain and privkey are all there", dir)
	}
	if l.Fullchain, err = readFile(filepath.Join(dir, file("fullchain", l.Version))); err != nil {
		return err
	}
	if l.Privkey, err = readFile(filepath.Join(dir, file("privkey", l.Version))); err != nil {
		return err
	}
	live := filepath.Join(r.dir, "live", l.Name, "cert.pem")
	switch target, err := os.Readlink(live); {
	case err != nil:
		l.note("live/%s/cert.pem is not a link, so servers may show something else than version %d of the archive, which is taken", l.Name, l.Version)
	case filepath.Base(target) != file("cert", l.Version):
		l.note("live/%s points to %s, and version %d, which is newer and whole, is taken", l.Name, filepath.Base(target), l.Version)
	}
	return nil
}

func file(kind string, version int) string { return kind + strconv.Itoa(version) + ".pem" }

// newest returns the highest version of which all four files are there, or 0.
func newest(files []string) int {
	have := map[int]int{}
	best := 0
	for _, name := range files {
		if version := versionOf(name); version > 0 {
			if have[version]++; have[version] == len(kinds) {
				best = max(best, version)
			}
		}
	}
	return best
}

// versionOf is the number in a file's name; 0 when it is none of the four.
func versionOf(name string) int {
	stem, ok := strings.CutSuffix(name, ".pem")
	kind := strings.TrimRight(stem, "0123456789")
	if !ok || !slices.Contains(kinds[:], kind) {
		return 0
	}
	version, err := strconv.Atoi(stem[len(kind):])
	if err != nil || version < 1 || file(kind, version) != name {
		return 0
	}
	return version
}

// names lists a folder, sorted.
func names(dir string, most int) ([]string, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	all, err := f.Readdirnames(most + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(all) > most {
		return nil, fmt.Errorf("%s holds more than %d files", dir, most)
	}
	slices.Sort(all)
	return all, nil
}

// readFile reads one regular file. Anything else, such as a pipe, might never
// end; it is what has been opened that is looked at, and not what had the name
// before.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

func unreadable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be read by this user: run this as root", path)
	}
	return err
}
