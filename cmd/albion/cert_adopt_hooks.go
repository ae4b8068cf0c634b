package main

import (
	"slices"
	"strings"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/certbot"
)

// hookLeft is a deploy hook that does not run for all of its certificates.
type hookLeft struct {
	Name         string
	Certificates []string // those that it does not run for
	Why          string
	Command      string // that makes it run for them, too
}

// leftHooks lists the hooks that were asked for and do not run, or not for all of
// their certificates: what is not renewed here has no renewal that they could
// follow.
func leftHooks(asked []admin.AdoptHook, lineages []adoption) []hookLeft {
	var all []hookLeft
	for _, h := range asked {
		left := hookLeft{Name: h.Name, Why: "the certificate is imported, and not renewed here yet"}
		var here []string
		for _, name := range h.Certificates {
			i := slices.IndexFunc(lineages, func(a adoption) bool { return a.Name == name })
			switch {
			case i < 0:
			case lineages[i].Action == admin.ActionLeaveOut:
				left.Certificates, left.Why = append(left.Certificates, name), "not every one of its certificates is here"
			case lineages[i].Action == admin.ActionImport:
				left.Certificates, here = append(left.Certificates, name), append(here, name)
			default:
				here = append(here, name)
			}
		}
		if len(left.Certificates) == 0 {
			continue
		}
		if len(here) == 0 {
			here = left.Certificates
		}
		left.Command = hookCommand(h, here)
		all = append(all, left)
	}
	return all
}

// hookCommand is what adds a hook for these certificates, as a shell takes it.
func hookCommand(h admin.AdoptHook, certificates []string) string {
	words := []string{"albion", "cert", "hook", "add", certbot.Quote(h.Name), "--event", "renewed"}
	for _, name := range certificates {
		words = append(words, "--cert", certbot.Quote(name))
	}
	if h.Shell != "" {
		return strings.Join(append(words, "--shell", certbot.Quote(h.Shell)), " ")
	}
	words = append(words, "--")
	for _, word := range h.Exec {
		words = append(words, certbot.Quote(word))
	}
	return strings.Join(words, " ")
}

// lineageNames completes the lineages of a folder of certbot's that are not named
// yet. Nobody reads an error while completing.
func lineageNames(dir string, named []string) []string {
	tree, err := certbot.Read(dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, l := range tree.Lineages {
		if !slices.Contains(named, l.Name) {
			all = append(all, l.Name)
		}
	}
	return all
}
