package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/albion-lb/albion"
)

// Errors that a caller may want to tell apart. What the user did wrong in a
// change comes back as the *albion.Error of the change or of Validate.
var (
	// ErrLocked: another process has the directory open.
	ErrLocked = errors.New("the data directory is in use")
	// ErrSchema: the database was written by another version of the program.
	ErrSchema = errors.New("the database has another schema")
	// ErrKey: the key file is missing, can be read by others, or does not
	// belong to the database.
	ErrKey = errors.New("the key file cannot be used")
	// ErrDamaged: the database is no database of ours, or not a whole one.
	ErrDamaged = errors.New("the database cannot be read")
	// ErrInvalid: the stored State can be read but Validate refuses it.
	ErrInvalid = errors.New("the stored state is not valid")
	// ErrFailed: an earlier write broke off where nobody can say whether it
	// reached the disk; the store has to be opened again.
	ErrFailed = errors.New("the store has failed and must be opened again")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the store is closed")
)

// DefaultMaxSize is the size, in bytes, beyond which the database file does not
// grow: far more than any State needs, far less than a disk.
const DefaultMaxSize = 1 << 30

// Config says where a State is kept.
type Config struct {
	Dir     string // created with mode 0700 when it is not there
	MaxSize int    // of the database file, in bytes; 0: DefaultMaxSize
}

// Store is a State that outlives the process.
type Store struct {
	disk   *disk
	now    atomic.Pointer[published]
	writer chan struct{} // holds one token: who has taken it may write and touch failed
	failed error         // why nothing can be written any more
	closed chan struct{}
}

// Open opens the State in a directory, or begins an empty one. It does not wait
// for another process to let go of it. Errors are of the kinds listed above, or
// the operating system's.
func Open(c Config) (*Store, error) {
	if c.Dir == "" {
		return nil, errors.New("store: no data directory given")
	}
	if c.MaxSize == 0 {
		c.MaxSize = DefaultMaxSize
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: data directory: %w", err)
	}
	d, state, err := openDisk(c)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{disk: d, writer: make(chan struct{}, 1), closed: make(chan struct{})}
	s.now.Store(&published{state: state, superseded: make(chan struct{})})
	s.writer <- struct{}{}
	return s, nil
}

// State is the newest State. It never blocks.
func (s *Store) State() *albion.State { return s.now.Load().state }

// Update runs change on a Draft of the newest State, validates what comes out,
// writes what changed, waits until it is on the disk, publishes it and returns
// it. Updates happen one at a time; ctx bounds the wait for one's turn, not the
// write. After an error nothing has happened, ErrFailed excepted: then the next
// Open tells. A change that changes nothing writes nothing and returns the State
// that there was.
//
// change must not call Update or Close, and must not keep the Draft.
func (s *Store) Update(ctx context.Context, change func(*albion.Draft) error) (*albion.State, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	base := s.State()
	draft := albion.NewDraft(base)
	if err := change(draft); err != nil {
		return nil, err
	}
	next, err := draft.Finish()
	if err != nil {
		return nil, err
	}
	if next == base {
		return base, nil
	}
	if err := s.disk.save(next, draft.Changes()); err != nil {
		if errors.Is(err, ErrFailed) {
			s.failed = err
		}
		return nil, fmt.Errorf("store: %w", err)
	}
	s.publish(next)
	return next, nil
}

// Close waits for the Update under way, ends every Watch and lets go of the
// directory. Another Close does nothing.
func (s *Store) Close() error {
	<-s.writer
	defer s.end()
	select {
	case <-s.closed:
		return nil
	default:
	}
	close(s.closed)
	if err := s.disk.close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

func (s *Store) begin(ctx context.Context) error {
	select {
	case <-s.writer:
	case <-ctx.Done():
		return fmt.Errorf("store: waiting for another change: %w", context.Cause(ctx))
	}
	err := s.failed
	select {
	case <-s.closed:
		err = ErrClosed
	default:
	}
	if err == nil {
		// A select between two that are ready is a toss: who gave up has given up.
		err = context.Cause(ctx)
	}
	if err != nil {
		s.end()
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (s *Store) end() { s.writer <- struct{}{} }

func (c Config) path(name string) string { return filepath.Join(c.Dir, name) }
