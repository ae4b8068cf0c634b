package accesslog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion/internal/accesslog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a Log whose Run runs until stop, which returns what Run did.
func running(t *testing.T, c accesslog.Config) (l *accesslog.Log, stop func() error) {
	t.Helper()
	l = accesslog.New(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// numbered is a Record that says who wrote it and in which place.
func numbered(writer, n int) *accesslog.Record {
	r := forwarded()
	r.Client = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(writer))
	r.URI = fmt.Appendf(nil, "/%d/%d", writer, n)
	return r
}

// logged returns the request fields of all lines of some files, and fails when
// one of them is no whole line.
func logged(t *testing.T, names ...string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(f)
		for {
			l, err := lines.ReadString('\n')
			if err == io.EOF && l == "" {
				break
			}
			all := fields(t, l)
			if len(all) != 34 {
				t.Fatalf("a torn line in %s: %q", name, l)
			}
			seen[all[12]]++
		}
		_ = f.Close()
	}
	return seen
}

// request is field 13 of the line of a Record.
func request(t *testing.T, r *accesslog.Record) string { return fields(t, line(r))[12] }

func older(t *testing.T, file string) []string {
	t.Helper()
	names, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRotationLosesAndTearsNothingUnderConcurrentWriters(t *testing.T) {
	const writers, each, maxSize = 8, 3000, 200_000
	file := filepath.Join(t.TempDir(), "access.log")
	l, stop := running(t, accesslog.Config{File: file, MaxSize: maxSize, Keep: 1000})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				l.Write(numbered(w, n))
				if n%500 == 0 {
					l.Reopen()
				}
			}
		})
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	names := older(t, file)
	if len(names) < 10 {
		t.Errorf("only %d files", len(names))
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > maxSize {
			t.Errorf("%s: %v bytes, %v", name, info.Size(), err)
		}
	}
	seen := logged(t, names...)
	if got, want := len(seen)+int(l.Dropped()), writers*each; got != want {
		t.Errorf("%d lines written and %d dropped, want %d in all", len(seen), l.Dropped(), want)
	}
	for request, times := range seen {
		if times != 1 {
			t.Errorf("%s is there %d times", request, times)
		}
	}
}

func TestKeepsSoManyOlderFilesYoungestFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	l, stop := running(t, accesslog.Config{File: file, MaxSize: 1, Keep: 2}) // a file takes one line at least
	for n := range 6 {
		l.Write(numbered(1, n))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if names := older(t, file); len(names) != 3 {
		t.Errorf("files: %v", names)
	}
	for name, n := range map[string]int{file: 5, file + ".1": 4, file + ".2": 3} {
		if seen := logged(t, name); len(seen) != 1 || seen[request(t, numbered(1, n))] != 1 {
			t.Errorf("%s holds %v", name, seen)
		}
	}
}

func TestFlushesEverySecond(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l, stop := running(t, accesslog.Config{File: file})
		l.Write(numbered(1, 1))
		time.Sleep(time.Second)
		synctest.Wait()
		if seen := logged(t, file); len(seen) != 1 {
			t.Errorf("after a second there is %v", seen)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowsItsNameWhenTheFileIsMovedAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l, stop := running(t, accesslog.Config{File: file})
		synctest.Wait() // Run has opened it
		move := func(to string) {
			if err := os.Rename(file, file+to); err != nil {
				t.Error(err)
			}
		}
		l.Write(numbered(1, 1))
		l.Reopen() // flushes what is older to the file that is older
		synctest.Wait()
		move(".asked")
		l.Reopen()
		synctest.Wait()
		l.Write(numbered(1, 2))
		time.Sleep(time.Second)
		synctest.Wait()
		move(".unasked")
		time.Sleep(time.Second)
		synctest.Wait()
		l.Write(numbered(1, 3))
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	for n, name := range []string{file + ".asked", file + ".unasked", file} {
		if seen := logged(t, name); len(seen) != 1 || seen[request(t, numbered(1, n+1))] != 1 {
			t.Errorf("%s holds %v", name, seen)
		}
	}
}

func TestWritesOnWhereCopytruncateCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l, stop := running(t, accesslog.Config{File: file, MaxSize: 1000})
		l.Write(numbered(1, 1))
		time.Sleep(time.Second)
		synctest.Wait()
		if err := os.Truncate(file, 0); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		l.Write(numbered(1, 2)) // two lines are too long for one file, one is not
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if names := older(t, file); len(names) != 1 {
		t.Errorf("rotated without need: %v", names)
	}
	if seen := logged(t, file); len(seen) != 1 || seen[request(t, numbered(1, 2))] != 1 {
		t.Errorf("%s holds %v", file, seen)
	}
}

func TestALineCutByACrashStaysAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(file, []byte("https 2026-08-"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, stop := running(t, accesslog.Config{File: file})
	l.Write(forwarded())
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "https 2026-08-\n"+line(forwarded()) {
		t.Errorf("%q, %v", got, err)
	}
}

// gate is a standard output whose reader has stopped reading until it is opened.
type gate struct {
	entered chan struct{}
	open    chan struct{}
	bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.open
	return g.Buffer.Write(p)
}

func TestASlowReaderCostsLinesAndNotRequests(t *testing.T) {
	out := &gate{entered: make(chan struct{}, 1), open: make(chan struct{})}
	l, stop := running(t, accesslog.Config{File: accesslog.Stdout, Stdout: out})
	const lines = 40_000 // some 20 MB: more than all buffers
	for n := range lines {
		l.Write(numbered(n%7, n))
	}
	<-out.entered
	dropped := l.Dropped()
	if dropped == 0 || dropped >= lines {
		t.Errorf("dropped %d of %d", dropped, lines)
	}
	close(out.open)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); uint64(got)+dropped != lines {
		t.Errorf("%d lines arrived and %d were dropped, want %d in all", got, dropped, lines)
	}
	l.Write(forwarded())
	if l.Dropped() != dropped+1 {
		t.Error("a line after the end is not counted as dropped")
	}
}

func TestAFileThatCannotBeOpenedIsToldAndTriedAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "missing", "access.log")
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		l, stop := running(t, accesslog.Config{File: file, Logger: slog.New(slog.NewTextHandler(&told, nil))})
		for n := range 3 {
			l.Write(numbered(1, n))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if l.Dropped() != 3 || strings.Count(told.String(), "cannot be written") != 1 || !strings.Contains(told.String(), file) {
			t.Errorf("dropped %d, told %s", l.Dropped(), told.String())
		}
		if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
			t.Error(err)
		}
		l.Write(numbered(1, 9))
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if seen := logged(t, file); len(seen) != 1 || seen[request(t, numbered(1, 9))] != 1 {
		t.Errorf("%s holds %v", file, seen)
	}
}

// pipe fails until it is mended, having taken a part of what it was given.
type pipe struct {
	broken bool
	bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.broken {
		n := bytes.IndexByte(b, '\n') + 1
		_, _ = p.Buffer.Write(b[:n])
		return n, errors.New("broken pipe")
	}
	return p.Buffer.Write(b)
}

func TestFailureIsToldOnceAndItsLinesCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		out := &pipe{broken: true}
		l, stop := running(t, accesslog.Config{File: accesslog.Stdout, Stdout: out, Logger: slog.New(slog.NewTextHandler(&told, nil))})
		for n := range 3 {
			l.Write(numbered(1, n)) // all three in one buffer, of which one line gets through
			l.Write(numbered(1, n))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if l.Dropped() != 3 {
			t.Errorf("dropped %d, want 3", l.Dropped())
		}
		out.broken = false
		l.Write(numbered(1, 9))
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := strings.Count(told.String(), "broken pipe"); got != 1 {
			t.Errorf("told %d times: %s", got, told.String())
		}
		if !strings.Contains(told.String(), "written again") {
			t.Errorf("not told that it works again: %s", told.String())
		}
		if l.Dropped() != 3 || !strings.HasSuffix(out.String(), line(numbered(1, 9))) {
			t.Errorf("dropped %d, wrote %q", l.Dropped(), out.String())
		}
	})
}

func TestWriteDoesNotAllocate(t *testing.T) {
	l, stop := running(t, accesslog.Config{File: accesslog.Stdout, Stdout: io.Discard})
	r := forwarded()
	for n := range 100_000 { // makes every buffer
		r.Client = netip.AddrPortFrom(r.Client.Addr(), uint16(n))
		l.Write(r)
	}
	if n := testing.AllocsPerRun(20_000, func() { l.Write(r) }); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkWrite(b *testing.B) {
	l := accesslog.New(accesslog.Config{File: accesslog.Stdout, Stdout: io.Discard})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	r := forwarded()
	b.ReportAllocs()
	for b.Loop() {
		l.Write(r)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
}
