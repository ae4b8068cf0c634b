package certbot

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
)

// PEM is one certificate in certbot's four files.
type PEM struct {
	Cert      []byte // the leaf
	Chain     []byte // what leads from the leaf to the root
	Fullchain []byte // both
	Privkey   []byte
}

func (p PEM) of(kind string) []byte {
	switch kind {
	case "cert":
		return p.Cert
	case "chain":
		return p.Chain
	case "fullchain":
		return p.Fullchain
	}
	return p.Privkey
}

// Written is what WriteLive has done.
type Written struct {
	Dir     string // DIR/live/NAME
	Version int    // to which the links there point now
	Changed bool   // it was written just now
}

// WriteLive writes a certificate as certbot does: four files with a number in
// DIR/archive/NAME, and in DIR/live/NAME a link to each. The files are on disk
// before the first link moves, and each link moves in one step. Contents that
// the newest version has already are not written again.
//
// Only the owner can read keys and enter the folders that are made. A name that
// certbot itself looks after there is refused.
func WriteLive(dir, name string, contents PEM) (Written, error) {
	none := Written{}
	if !isFolderName(name) {
		return none, fmt.Errorf("%q cannot be the name of a folder", name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return none, err
	}
	// Whatever links there are below it, nothing outside is written.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return none, err
	}
	defer func() { _ = root.Close() }() // what was written is synced file by file
	if _, err := root.Lstat(path.Join("renewal", name+".conf")); err == nil {
		return none, fmt.Errorf("certbot looks after %s in %s: remove renewal/%s.conf there first, or choose another folder", name, dir, name)
	}
	w := liveWriter{root: root, live: path.Join("live", name), archive: path.Join("archive", name)}
	for _, folder := range []string{w.live, w.archive} {
		if err := w.folder(folder); err != nil {
			return none, err
		}
	}
	version, changed, err := w.version(contents)
	if err != nil {
		return none, err
	}
	if err := w.link(name, version); err != nil {
		return none, err
	}
	return Written{filepath.Join(dir, "live", name), version, changed}, nil
}

// isFolderName says whether a lineage's name can be that of its folders, whatever
// the system is.
func isFolderName(name string) bool {
	return filepath.IsLocal(name) && !strings.ContainsAny(name, `/\:`) && name[0] != '.' && !strings.ContainsFunc(name, unicode.IsControl)
}

type liveWriter struct {
	root          *os.Root
	live, archive string // in root
}

// folder makes a folder below live or archive, both for the owner alone.
func (w *liveWriter) folder(name string) error {
	made := false
	for _, part := range []string{path.Dir(name), name} {
		err := w.root.Mkdir(part, 0o700)
		if err == nil {
			made = true
			continue
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if !made {
		return nil
	}
	return errors.Join(w.sync(path.Dir(name)), w.sync("."))
}

// version returns the one that holds these contents, written if need be.
func (w *liveWriter) version(contents PEM) (number int, changed bool, err error) {
	files, err := w.list(w.archive)
	if err != nil {
		return 0, false, err
	}
	if last := newest(files); last > 0 && w.holds(last, contents) {
		return last, false, nil
	}
	for _, name := range files {
		number = max(number, versionOf(name)) // also of one that was cut short
	}
	number++
	for _, kind := range kinds {
		mode := fs.FileMode(0o644)
		if kind == "privkey" {
			mode = 0o600
		}
		if err := w.create(path.Join(w.archive, file(kind, number)), contents.of(kind), mode); err != nil {
			return 0, false, err
		}
	}
	return number, true, w.sync(w.archive)
}

// list names what is in a folder, which may belong to somebody else.
func (w *liveWriter) list(dir string) ([]string, error) {
	f, err := w.root.OpenFile(dir, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	files, err := f.Readdirnames(maxVersions + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(files) > maxVersions {
		return nil, fmt.Errorf("%s holds more than %d files: remove old versions there", dir, maxVersions)
	}
	return files, nil
}

func (w *liveWriter) holds(version int, contents PEM) bool {
	for _, kind := range kinds {
		if !w.same(path.Join(w.archive, file(kind, version)), contents.of(kind)) {
			return false
		}
	}
	return true
}

// same says whether a regular file holds just that. Who owns the folder may have
// put anything in its place: nothing is waited for, and no more is read than can
// be right.
func (w *liveWriter) same(name string, want []byte) bool {
	f, err := w.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(want)) {
		return false
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	return err == nil && bytes.Equal(data, want)
}

// create writes a file that is not there yet.
func (w *liveWriter) create(name string, data []byte, mode fs.FileMode) error {
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()) // whatever the umask is
}

// link points the four links to a version, the key's first and the full chain's
// last: who waits for the latter to change finds the rest in place.
func (w *liveWriter) link(name string, version int) error {
	moved := false
	for _, kind := range []string{"privkey", "cert", "chain", "fullchain"} {
		link := path.Join(w.live, kind+".pem")
		target := path.Join("..", "..", "archive", name, file(kind, version))
		if there, err := w.root.Readlink(link); err == nil && filepath.ToSlash(there) == target {
			continue
		}
		if err := w.replaceLink(link, target); err != nil {
			return err
		}
		moved = true
	}
	if !moved {
		return nil
	}
	return w.sync(w.live)
}

func (w *liveWriter) replaceLink(link, target string) error {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	fresh := path.Join(path.Dir(link), ".albion-"+hex.EncodeToString(random[:]))
	if err := w.root.Symlink(filepath.FromSlash(target), fresh); err != nil {
		if runtime.GOOS == "windows" {
			return fmt.Errorf("this user may not make links: switch Windows' developer mode on, or write plain files with --dir: %w", err)
		}
		return err
	}
	if err := w.root.Rename(fresh, link); err != nil {
		return errors.Join(err, w.root.Remove(fresh))
	}
	return nil
}

// sync makes the entries of a folder durable.
func (w *liveWriter) sync(dir string) error {
	if runtime.GOOS == "windows" { // has no such thing
		return nil
	}
	f, err := w.root.OpenFile(dir, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
