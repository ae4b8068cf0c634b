package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/albion-lb/albion/internal/store"
)

func TestWhatIsWrittenCanBeReadAgain(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Probe(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".probe-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if runtime.GOOS != "linux" || os.Geteuid() == 0 { // others may write anywhere
		return
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if err := s.Probe(); err == nil {
		t.Error("a folder that cannot be written to is good enough")
	}
}

func TestAFolderInMemoryIsKnown(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); runtime.GOOS != "linux" || err != nil || !info.IsDir() {
		return // there is none here
	}
	dir, err := os.MkdirTemp("/dev/shm", "albion-test-")
	if err != nil {
		return // nor may we have one
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Volatile() {
		t.Error("a folder in memory is taken for one on a disk")
	}
}
