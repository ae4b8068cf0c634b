package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/store"
)

// A refused edit is shown until one is taken.
func TestARefusedEditIsRemembered(t *testing.T) {
	state, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	s := &server{log: slog.New(slog.DiscardHandler), store: state}
	s.service = admin.New(admin.Config{Store: state, Refused: s.refused})
	shown := func() string {
		var out bytes.Buffer
		status := s.service.Status()
		if err := (&globals{streams: streams{out: &out}}).showStatus(&status); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const good = "target_groups: {servers: {targets: [127.0.0.1:1]}}"
	s.reapply(t.Context(), "/etc/albion.yaml", []byte(good))
	if text := shown(); strings.Contains(text, "refused") {
		t.Error(text)
	}
	s.reapply(t.Context(), "/etc/albion.yaml", []byte("target_grups: {}"))
	if text := shown(); !strings.Contains(text, "The edit of /etc/albion.yaml at ") || !strings.Contains(text, "/etc/albion.yaml:1:1: ") || !strings.Contains(text, "did you mean target_groups?") {
		t.Error(text)
	}
	s.reapply(t.Context(), "/etc/albion.yaml", []byte(good))
	if text := shown(); strings.Contains(text, "refused") {
		t.Error(text)
	}
}

// A file that is empty or gone is not in force either, until it is back.
func TestAFileThatCannotBeReadIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "albion.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{}
	w := &watcher{name: path, path: path, log: slog.New(slog.DiscardHandler), unread: func(err error) { s.cannotRead(path, err) }}
	write("")
	if w.read() || s.refused() == nil || s.refused().Problem != "it cannot be read: the file is empty" {
		t.Errorf("%+v", s.refused())
	}
	write("{}")
	if !w.read() || s.refused() != nil {
		t.Errorf("%+v", s.refused())
	}
}
