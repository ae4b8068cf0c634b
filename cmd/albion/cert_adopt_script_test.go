package main

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/certbot"
	"github.com/albion-lb/albion/internal/store"
)

func scriptFor(data, name string) *certbot.Script {
	return &certbot.Script{Path: filepath.Join(data, scriptsFolder, name), Text: []byte("#!/bin/sh\n")}
}

// A server that starts removes what killed hooks left, and no program that proves
// names, whatever its lineage is called.
func TestScriptsSurviveTheStart(t *testing.T) {
	data := t.TempDir()
	script := scriptFor(data, "hook-shop.example.com")
	if err := writeScripts(data, []*certbot.Script{script}); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(data, runFolder, "hook-1234", "chat")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(store.Config{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it sweeps, and ends
	s := &server{dataDir: data, store: kept, log: slog.New(slog.DiscardHandler)}
	if err := s.herald(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(script.Path); err != nil {
		t.Errorf("the program is gone: %v", err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a killed hook left stays: %v", err)
	}
}

// Whose data folder it is does not lead root elsewhere by a link.
func TestScriptsFollowNoLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links are for its administrators
	}
	for _, inside := range []bool{false, true} {
		data, elsewhere := t.TempDir(), t.TempDir()
		target := elsewhere
		if inside {
			target = "other"
			elsewhere = filepath.Join(data, target)
			if err := os.Mkdir(elsewhere, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(target, filepath.Join(data, scriptsFolder)); err != nil {
			t.Fatal(err)
		}
		err := writeScripts(data, []*certbot.Script{scriptFor(data, "shop")})
		if err == nil || !strings.Contains(err.Error(), "is a link") {
			t.Errorf("%v", err)
		}
		if files, err := os.ReadDir(elsewhere); err != nil || len(files) > 0 {
			t.Errorf("%v, %v", files, err)
		}
	}
	// A link in the place of the program itself is replaced.
	data, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := scriptFor(data, "shop")
	if err := os.MkdirAll(filepath.Dir(script.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, script.Path); err != nil {
		t.Fatal(err)
	}
	if err := writeScripts(data, []*certbot.Script{script}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(script.Path); err != nil || info.Mode() != fs.FileMode(0o700) {
		t.Errorf("%v, %v", info, err)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestOnlyProgramsOfAcceptedLineagesAreWritten(t *testing.T) {
	programs := []*certbot.Script{scriptFor("/d", "adopted"), scriptFor("/d", "left"), scriptFor("/d", "imported"), scriptFor("/d", "unknown")}
	got := accepted(programs, []admin.Adopted{
		{Name: "adopted", Action: admin.ActionAdopt}, {Name: "left", Action: admin.ActionLeaveOut}, {Name: "imported", Action: admin.ActionAdopt, Problem: "the method is refused"},
	})
	if len(got) != 1 || got[0] != programs[0] || len(programs) != 4 || programs[1] == nil {
		t.Errorf("%+v", got)
	}
}
