package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func glanceFiles(t *testing.T, n int) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		paths = append(paths, filepath.Join(dir, fmt.Sprint(i)))
		if err := os.WriteFile(paths[i], []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// change makes a file one that no stat can take for what it was.
func change(t *testing.T, path string, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(int64(len(text)), 0)); err != nil {
		t.Fatal(err)
	}
}

func TestGlanceNoticesEveryFileInItsTurn(t *testing.T) {
	paths := glanceFiles(t, 2*glanceMost+10)
	for _, at := range []int{0, glanceMost + 1, len(paths) - 1} {
		var g glance
		g.take(paths)
		if differs, moves := g.look(); differs || moves {
			t.Error("nothing has changed")
		}
		change(t, paths[at], fmt.Sprint("b", at))
		looks, differs, moves := 0, false, false
		for ; !differs && looks < 4; looks++ {
			differs, moves = g.look()
		}
		if !differs || !moves {
			t.Errorf("file %d is not noticed in %d looks", at, looks)
		}
		if differs, moves = g.look(); !differs || moves {
			t.Errorf("file %d does not come to rest: %v, %v", at, differs, moves)
		}
	}
}

func TestGlanceSeesAFileThatIsStillBeingWritten(t *testing.T) {
	paths := glanceFiles(t, 3)
	var g glance
	g.take(paths)
	for i := range 3 {
		change(t, paths[1], fmt.Sprintf("%0*d", i+2, 0))
		if differs, moves := g.look(); !differs || !moves {
			t.Errorf("change %d: %v, %v", i, differs, moves)
		}
	}
	if err := os.Remove(paths[2]); err != nil {
		t.Fatal(err)
	}
	if differs, moves := g.look(); !differs || !moves {
		t.Error("a file that is gone has changed")
	}
	if differs, moves := g.look(); !differs || moves {
		t.Error("it stays gone")
	}
}

// What is taken back before it was taken over is no change.
func TestGlanceForgetsWhatIsTakenBack(t *testing.T) {
	paths := glanceFiles(t, 1)
	var g glance
	g.take(paths)
	before, err := os.Stat(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	change(t, paths[0], "other")
	g.look()
	if err := os.WriteFile(paths[0], []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(paths[0], time.Time{}, before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if differs, moves := g.look(); differs || moves {
		t.Errorf("%v, %v", differs, moves)
	}
	var none glance
	none.take(nil)
	if differs, moves := none.look(); differs || moves {
		t.Error("no files differ")
	}
}
