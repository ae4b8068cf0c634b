package main

import (
	"fmt"
	"os"
)

// glanceMost is how many files are looked at in one go. The files of ten thousand
// certificates take their turns, and all of them have had theirs in ten seconds.
const glanceMost = 500

// glance notices files that are no longer what they were.
type glance struct {
	paths    []string
	seen     map[string]string // what each was like when it was taken over
	restless map[string]string // of those that differ from that: what they were like last
	next     int
}

// take begins anew with these files, as they are now.
func (g *glance) take(paths []string) {
	*g = glance{paths: paths, seen: make(map[string]string, len(paths)), restless: map[string]string{}}
	for _, path := range paths {
		g.seen[path] = sum(path)
	}
}

// look looks at those that differed before, and at the next ones. It says whether
// any differs from what was taken over, and whether any of those is still being
// changed.
func (g *glance) look() (differs, moves bool) {
	for path, last := range g.restless {
		switch now := sum(path); now {
		case g.seen[path]:
			delete(g.restless, path)
		case last:
		default:
			g.restless[path], moves = now, true
		}
	}
	for range min(glanceMost, len(g.paths)) {
		path := g.paths[g.next]
		g.next = (g.next + 1) % len(g.paths)
		if _, known := g.restless[path]; known {
			continue
		}
		if now := sum(path); now != g.seen[path] {
			g.restless[path], moves = now, true
		}
	}
	return len(g.restless) > 0, moves
}

// sum tells what a file is like: size, time, identity.
func sum(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano(), identity(info))
}
