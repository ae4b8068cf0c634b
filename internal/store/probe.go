package store

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Probe says whether what is written to the data folder can be read again: it
// writes a file, waits until it is on the disk, reads it and removes it. It
// blocks on the disk.
func (s *Store) Probe() (err error) {
	dir := filepath.Dir(s.disk.pid)
	file, err := os.CreateTemp(dir, probePattern)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	data := make([]byte, 4096)
	if _, err := rand.Read(data); err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	again, err := os.ReadFile(file.Name())
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("store: %s does not give back what was written to it: is its disk damaged?", dir)
	}
	return nil
}

// probePattern names what is swept when it is left.
const probePattern = ".probe-*" + unfinished

// Volatile says whether the data folder is in memory, as far as the system
// tells: what is in it is gone when the machine starts again.
func (s *Store) Volatile() bool { return volatile(filepath.Dir(s.disk.pid)) }
