package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme"
)

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask at")

// agree makes sure that somebody has agreed to a CA's terms of service: on the
// command line, or now. False: they do not. errNoTerminal: they were not asked.
func (g *globals) agree(ctx context.Context, issuer, roots string, accepted bool) (bool, error) {
	if accepted {
		return true, nil
	}
	if !g.atTerminal() {
		return false, errNoTerminal
	}
	terms, err := terms(ctx, issuer, roots)
	if err != nil {
		return false, err
	}
	if terms == "" {
		return true, nil
	}
	fmt.Fprintf(g.err, "%s asks to agree to its terms of service:\n  %s\nDo you agree? [y/N] ", acm.IssuerName(issuer), terms)
	answer, err := bufio.NewReader(g.in).ReadString('\n')
	if err != nil && answer == "" {
		return false, errNoTerminal
	}
	word := strings.ToLower(strings.TrimSpace(answer))
	return word == "y" || word == "yes", nil
}

// atTerminal says whether a person is at the other end of the input.
func (g *globals) atTerminal() bool {
	file, ok := g.in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a device too, with nobody behind it
	return err == nil && !os.SameFile(info, null)
}

// terms is where a CA's terms of service are; "" if it has none.
func terms(ctx context.Context, issuer, roots string) (string, error) {
	directory, err := acm.Directory(issuer)
	if err != nil {
		return "", err
	}
	client, err := acme.New(acme.Config{Directory: directory, Roots: roots, UserAgent: "albion/" + version()})
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	about, err := client.About(ctx)
	return about.Terms, err
}

// readRoot reads the authority that vouches for a private CA's server; "" for no
// file.
func readRoot(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := readFile(path)
	return string(data), err
}
