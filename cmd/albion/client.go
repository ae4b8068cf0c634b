package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/store"
)

// look is connect for what changes nothing: it does not make a data folder
// where there is none.
func (g *globals) look() (c *admin.Client, done func() error, err error) {
	_, err = os.Stat(filepath.Join(g.dataDir, "albion.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return admin.Direct(admin.New(admin.Config{Store: unborn{}, Version: version()})), nothing, nil
	}
	return g.connect()
}

func nothing() error { return nil }

// unborn is the State before there is any; changes to it are lost.
type unborn struct{}

func (unborn) State() *albion.State { return &albion.State{} }

func (u unborn) Update(_ context.Context, change func(*albion.Draft) error) (*albion.State, error) {
	d := albion.NewDraft(u.State())
	if err := change(d); err != nil {
		return nil, err
	}
	return d.Finish()
}

// connect returns the operations of the server that runs on this data folder, or
// of the folder itself when none runs. done must be called.
func (g *globals) connect() (c *admin.Client, done func() error, err error) {
	socket := filepath.Join(g.dataDir, socketName)
	probe, err := net.Dial("unix", socket)
	if err == nil {
		probe.Close()
		return admin.Dial(socket), nothing, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil, fmt.Errorf("%s belongs to another user: run this as the user who runs the server", socket)
	}
	s, err := openStore(g.dataDir)
	if err != nil {
		return nil, nil, err
	}
	return admin.Direct(admin.New(admin.Config{Store: s, Version: version()})), s.Close, nil
}

// openStore opens the data folder, or says what stands in the way.
func openStore(dir string) (*store.Store, error) {
	s, err := store.Open(store.Config{Dir: dir})
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, store.ErrLocked):
		return nil, errors.New(strings.TrimPrefix(err.Error(), "store: ") + " with --data")
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the data folder %s may not be used by this user (%w): run this as its owner, or choose another folder with --data", dir, cause(err))
	case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("the data folder %s cannot be made (%w): choose another with --data", dir, cause(err))
	}
	return nil, errors.New(strings.TrimPrefix(err.Error(), "store: "))
}

// cause is what the system said, without the layers that passed it on.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path
	}
	return err
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
			fmt.Fprint(t, printable(cell))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
