package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/albion-lb/albion/internal/config"
)

// watchEvery is how often files are looked at: seldom enough to cost nothing,
// often enough that nobody waits.
const watchEvery = 500 * time.Millisecond

// watcher notices that a configuration file, or one that it refers to, has
// changed. It looks instead of being told: that works alike on every system, for
// editors that rename, for links that are swapped and over network file systems.
type watcher struct {
	name   string // of the configuration, for messages
	path   string // of its file; "" when text is all there is
	text   []byte // of the configuration, as it was last read
	before string // what the file was like before text was read
	every  time.Duration
	log    *slog.Logger
	apply  func(text []byte)
	unread func(err error) // called when the file cannot be read, and with nil when it can again; may be nil

	own    glance // at the file
	others glance // at those that the configuration refers to
	gone   bool   // the file could not be read, and that was said
}

func (w *watcher) run(ctx context.Context, hangup <-chan os.Signal, reopen func()) {
	ticks := time.NewTicker(w.every)
	defer ticks.Stop()
	for {
		forced := false
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			forced = true
			reopen()
		case <-ticks.C:
		}
		if !forced && !w.settled() {
			continue
		}
		before := w.itself()
		if !w.read() {
			continue
		}
		w.note(before)
		w.apply(w.text)
	}
}

// settled says whether the files have changed and come to rest: an editor or a
// copy that writes in place is not done when the first bytes are there.
func (w *watcher) settled() bool {
	differs, moves := w.own.look()
	differ, move := w.others.look()
	if !differs && !differ && w.gone {
		w.gone = false
		w.tell(nil)
	}
	return (differs || differ) && !moves && !move
}

// read reads the file. One that is gone, or empty, may be on its way back, so
// what runs goes on; who wants nothing served says so with an empty mapping.
func (w *watcher) read() bool {
	if w.path == "" {
		return true
	}
	text, err := readFile(w.path)
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		if !w.gone {
			w.log.Warn("the configuration file cannot be read, what runs goes on", "file", w.path, "error", cause(err).Error())
			w.tell(cause(err))
		}
		w.gone = true
		return false
	}
	w.text, w.gone = text, false
	w.tell(nil)
	return true
}

func (w *watcher) tell(err error) {
	if w.unread != nil {
		w.unread(err)
	}
}

// note remembers what the file was like before it was read, and what those that
// it refers to are like before they are: a change since then is a change again.
func (w *watcher) note(before string) {
	if w.path != "" {
		w.own.take([]string{w.path})
		w.own.seen[w.path] = before
	}
	if f, err := config.Parse(w.name, w.text); err == nil {
		w.others.take(config.Files(f))
	}
}

// itself tells what the file is like; "" when there is none.
func (w *watcher) itself() string {
	if w.path == "" {
		return ""
	}
	return sum(w.path)
}
