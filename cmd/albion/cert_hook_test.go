package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// What a hook runs is found where a shell would find it, and kept by its whole
// name: the server looks from another folder.
func TestProgramsOfHooksAreFoundLikeInAShell(t *testing.T) {
	suffix := ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	bin, here := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(bin, "reload"+suffix), filepath.Join(here, "own"+suffix)} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	t.Chdir(here)
	for given, want := range map[string]string{
		"reload":                     filepath.Join(bin, "reload"+suffix),
		"./own" + suffix:             filepath.Join(here, "own"+suffix),
		filepath.Join(bin, "reload"): filepath.Join(bin, "reload"+suffix),
	} {
		got, err := findProgram(given)
		if err != nil || !sameFile(t, got, want) || !filepath.IsAbs(got) {
			t.Errorf("%s: %s %v, want %s", given, got, err, want)
		}
	}
	for given, want := range map[string]string{
		"own":    "no folder of $PATH has a program own",
		"./gone": "gone: check its path",
		here:     "cannot be run",
	} {
		if got, err := findProgram(given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s %v, want %s", given, got, err, want)
		}
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
