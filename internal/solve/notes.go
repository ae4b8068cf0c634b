package solve

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// notes remembers what is to be undone later, perhaps by another process: one file
// each, readable by its owner only.
type notes struct{ dir string }

const maxNote = 64 << 10

func (n notes) file(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(n.dir, hex.EncodeToString(sum[:16]))
}

// put writes a note in place of an older one, whole or not at all.
func (n notes) put(key string, text []byte) (err error) {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fmt.Errorf("solve: keep what is to be undone: %w", err)
	}
	f, err := os.CreateTemp(n.dir, ".new-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("solve: keep what is to be undone: %w", err)
	}
	_, err = f.Write(text[:min(len(text), maxNote)])
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), n.file(key))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("solve: keep what is to be undone: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// get reads a note; nil: there is none.
func (n notes) get(key string) ([]byte, error) {
	f, err := os.Open(n.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("solve: read what is to be undone: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxNote))
	if text == nil {
		text = []byte{}
	}
	return text, err
}

func (n notes) drop(key string) error {
	if err := os.Remove(n.file(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("solve: forget what was undone: %w", err)
	}
	return nil
}
