package accesslog_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion/internal/accesslog"
)

// TestAFullDiskTearsNoLine has the kernel cut a write in the middle of a line,
// as it does when a disk is full.
func TestAFullDiskTearsNoLine(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(size uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
			t.Error(err)
		}
	}
	defer limit(before.Cur)

	file := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l, stop := running(t, accesslog.Config{File: file})
		limit(uint64(len(line(numbered(1, 0))) * 5 / 2))
		for n := range 4 {
			l.Write(numbered(1, n))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if l.Dropped() != 2 {
			t.Errorf("dropped %d lines of 4, want 2", l.Dropped())
		}
		limit(before.Cur)
		l.Write(numbered(1, 9))
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	got, err := os.ReadFile(file)
	if want := line(numbered(1, 0)) + line(numbered(1, 1)) + line(numbered(1, 9)); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
