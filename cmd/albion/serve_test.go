package main

import (
	"bytes"
	"log/slog"
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
	s.service = admin.New(admin.Config{Store: state, Refused: s.refusal.Load})
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
