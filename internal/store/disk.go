package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/albion-lb/albion"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// schema is the version of the layout below. A program refuses any other.
//
//	meta           schema, version: decimal; seal: nothing, sealed
//	<kind>         identity → what State.Encode gives; sealed for KindKey
const schema = "1"

// The bucket of what is not an object, and its keys.
const (
	metaBucket = "meta"
	schemaKey  = "schema"
	versionKey = "version" // of the State
	sealKey    = "seal"    // opens with the right key file and no other
)

// disk is the database file and the key that opens its secrets.
type disk struct {
	bolt *bbolt.DB
	seal *sealer
	pid  string // path of the file that names the process
}

// openDisk opens a directory, having made what it needs, and reads the State.
func openDisk(c Config) (*disk, *albion.State, error) {
	path, keyPath := c.path("albion.db"), c.path("key")
	if err := create(c, path, keyPath); err != nil {
		return nil, nil, err
	}
	db, err := openBolt(c, path)
	if err != nil {
		return nil, nil, err
	}
	d := &disk{bolt: db, pid: c.path("pid")}
	var state *albion.State
	err = guard(func() (err error) {
		if err = d.check(); err != nil {
			return err
		}
		if d.seal, err = readKey(keyPath); err != nil {
			return err
		}
		state, err = d.load()
		return err
	})
	if err == nil {
		err = errors.Join(sweep(c.Dir), os.WriteFile(d.pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return d, state, nil
}

// create makes the key and an empty database where there is no database yet.
func create(c Config, path, keyPath string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeKey(keyPath); err != nil {
		return fmt.Errorf("making the key file: %w", err)
	}
	seal, err := readKey(keyPath)
	if err != nil {
		return err
	}
	return createOnce(path, func(temp string) error {
		db, err := openBolt(c, temp)
		if err != nil {
			return err
		}
		return errors.Join(db.Update(func(tx *bbolt.Tx) error { return begin(tx, seal) }), db.Close())
	})
}

func begin(tx *bbolt.Tx, seal *sealer) error {
	meta, err := tx.CreateBucket([]byte(metaBucket))
	if err != nil {
		return err
	}
	return errors.Join(
		meta.Put([]byte(schemaKey), []byte(schema)),
		meta.Put([]byte(versionKey), []byte("0")),
		meta.Put([]byte(sealKey), seal.seal(sealMark(), nil)),
	)
}

// sealMark is the name under which nothing is sealed.
func sealMark() albion.Change { return albion.Change{Kind: metaBucket, ID: sealKey} }

// openBolt opens a bbolt file and takes its lock, or fails at once.
func openBolt(c Config, path string) (db *bbolt.DB, err error) {
	var file *os.File
	err = guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: time.Nanosecond, // 0 would be for ever
			MaxSize: c.MaxSize,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				f, err := os.OpenFile(name, flag, mode)
				file = f
				return f, err
			},
		})
		return err
	})
	if err == nil {
		return db, nil
	}
	if errors.Is(err, ErrDamaged) {
		// bbolt had no chance to.
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unlock(file), file.Close())
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s has %s open: stop it, or choose another directory", ErrLocked, holder(c), c.Dir)
	}
	var system syscall.Errno
	if !errors.As(err, &system) && !errors.Is(err, bolterrors.ErrMaxSizeReached) {
		return nil, fmt.Errorf("%w: %s is damaged, or was never Albion's (%w): put it back from a backup", ErrDamaged, path, err)
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// holder names the process that has the directory open, as well as it can be
// known.
func holder(c Config) string {
	text, err := os.ReadFile(c.path("pid"))
	pid := strings.TrimSpace(string(text))
	if _, notNumber := strconv.ParseUint(pid, 10, 32); err != nil || notNumber != nil {
		return "another process"
	}
	return "process " + pid
}

// guard turns what happens on a damaged file into an error: bbolt panics on a
// page that makes no sense, and the kernel faults on a page that the file does
// not have.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: it is damaged (%v): put it back from a backup", ErrDamaged, r)
		}
	}()
	return f()
}

// check says whether the file is a whole database of this schema.
func (d *disk) check() error {
	return d.bolt.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(d.bolt.Path())
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: it was cut from at least %d to %d bytes: put it back from a backup", ErrDamaged, tx.Size(), info.Size())
		}
		meta := tx.Bucket([]byte(metaBucket))
		if meta == nil {
			return fmt.Errorf("%w: it is not Albion's", ErrDamaged)
		}
		if found := string(meta.Get([]byte(schemaKey))); found != schema {
			return fmt.Errorf("%w: it is %q, this program knows %q: use the program that wrote it, or a newer one", ErrSchema, found, schema)
		}
		return nil
	})
}

// load reads the State, all of it.
func (d *disk) load() (*albion.State, error) {
	var state albion.State
	err := d.bolt.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(metaBucket))
		if _, err := d.seal.open(sealMark(), meta.Get([]byte(sealKey))); err != nil {
			return fmt.Errorf("%w: %s is not the key of this database: put the right one back from a backup", ErrKey, d.seal.file)
		}
		draft := albion.NewDraft(&albion.State{})
		if err := d.read(tx, draft); err != nil {
			return err
		}
		state = draft.State
		var err error
		if state.Version, err = version(tx); err != nil {
			return err
		}
		// Last, because it walks the pages in a goroutine of its own, which guard
		// does not reach; after read they are known to be readable.
		for broken := range tx.Check() {
			err = errors.Join(err, broken)
		}
		if err != nil {
			return fmt.Errorf("%w: it is damaged (%w): put it back from a backup", ErrDamaged, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := albion.Validate(&state); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &state, nil
}

// read puts every stored object into the Draft.
func (d *disk) read(tx *bbolt.Tx, draft *albion.Draft) error {
	known := map[string]bool{metaBucket: true}
	for _, kind := range albion.Kinds() {
		known[string(kind)] = true
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			continue
		}
		err := bucket.ForEach(func(id, data []byte) error {
			return d.readObject(draft, albion.Change{Kind: kind, ID: string(id)}, data)
		})
		if err != nil {
			return err
		}
	}
	return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if !known[string(name)] {
			return fmt.Errorf("%w: it holds objects of kind %q, which this program does not know", ErrDamaged, name)
		}
		return nil
	})
}

func (d *disk) readObject(draft *albion.Draft, c albion.Change, data []byte) (err error) {
	// What bbolt hands out is gone after the transaction.
	data = bytes.Clone(data)
	if c.Kind == albion.KindKey {
		if data, err = d.seal.open(c, data); err != nil {
			return err
		}
	}
	if err := draft.Decode(c, data); err != nil {
		return fmt.Errorf("%w: %s %q: %w", ErrDamaged, c.Kind, c.ID, err)
	}
	if _, found, err := draft.Encode(c); err != nil || !found {
		return errors.Join(fmt.Errorf("%w: what is stored as %s %q says that it is another", ErrDamaged, c.Kind, c.ID), err)
	}
	return nil
}

// version is the version of the stored State.
func version(tx *bbolt.Tx) (uint64, error) {
	text := string(tx.Bucket([]byte(metaBucket)).Get([]byte(versionKey)))
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: its version is %q", ErrDamaged, text)
	}
	return v, nil
}

// save writes what changed and the new version in one transaction, and returns
// when they are on the disk. After ErrFailed nobody knows whether they are;
// after another error they are not.
func (d *disk) save(next *albion.State, changes []albion.Change) error {
	err := guard(func() error {
		return d.bolt.Update(func(tx *bbolt.Tx) error { return d.write(tx, next, changes) })
	})
	if err == nil {
		return nil
	}
	// A commit writes pages, syncs, writes the page that points at them, and
	// syncs again. If the last step failed the change may be seen, and may yet
	// be lost.
	var found uint64
	verr := guard(func() error {
		return d.bolt.View(func(tx *bbolt.Tx) (err error) {
			found, err = version(tx)
			return err
		})
	})
	if errors.Is(err, ErrDamaged) || verr != nil || found != next.Version-1 {
		return fmt.Errorf("%w: %w", ErrFailed, errors.Join(err, verr))
	}
	return fmt.Errorf("writing %s: %w", d.bolt.Path(), err)
}

func (d *disk) write(tx *bbolt.Tx, next *albion.State, changes []albion.Change) error {
	for _, c := range changes {
		bucket, err := tx.CreateBucketIfNotExists([]byte(c.Kind))
		if err != nil {
			return err
		}
		data, found, err := next.Encode(c)
		if err != nil {
			return fmt.Errorf("%s %q: %w", c.Kind, c.ID, err)
		}
		if found && c.Kind == albion.KindKey {
			data = d.seal.seal(c, data)
		}
		if found {
			err = bucket.Put([]byte(c.ID), data)
		} else {
			err = bucket.Delete([]byte(c.ID))
		}
		if err != nil {
			return fmt.Errorf("%s %q: %w", c.Kind, c.ID, err)
		}
	}
	return tx.Bucket([]byte(metaBucket)).Put([]byte(versionKey), strconv.AppendUint(nil, next.Version, 10))
}

// close gives the directory up.
func (d *disk) close() error {
	// The name goes first: while we hold the lock nobody else has written theirs.
	err := os.Remove(d.pid)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, d.bolt.Close())
}
