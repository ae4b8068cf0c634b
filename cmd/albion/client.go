package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"text/tabwriter"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/store"
)

// connect returns the operations of the server that runs on this data folder, or
// of the folder itself when none runs. done must be called.
func (g *globals) connect() (c *admin.Client, done func() error, err error) {
	nothing := func() error { return nil }
	socket := filepath.Join(g.dataDir, socketName)
	probe, err := net.Dial("unix", socket)
	if err == nil {
		probe.Close()
		return admin.Dial(socket), nothing, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil, fmt.Errorf("%s belongs to another user: run this as the user who runs the server", socket)
	}
	s, err := store.Open(store.Config{Dir: g.dataDir})
	if err != nil {
		return nil, nil, err
	}
	return admin.Direct(admin.New(admin.Config{Store: s, Version: version()})), s.Close, nil
}

// print writes v for programs.
func (g *globals) print(v any) error {
	encoder := json.NewEncoder(g.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// table writes rows for people, under a heading.
func table(w io.Writer, heading []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
