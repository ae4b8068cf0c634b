package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/albion-lb/albion/internal/config"
)

// A configuration is read whole, or so much of it that it is refused for its size:
// the first part of one would be another one.
func TestConfigurationsAreReadWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "albion.yaml")
	for size, want := range map[int]int{config.MaxFile: config.MaxFile, config.MaxFile + 100: config.MaxFile + 1} {
		if err := os.WriteFile(file, bytes.Repeat([]byte("#"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		if data, err := readFile(file); err != nil || len(data) != want {
			t.Errorf("%d bytes: %d, %v", size, len(data), err)
		}
	}
}
