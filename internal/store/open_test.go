package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/store"
	"go.etcd.io/bbolt"
)

// filled is a closed store with something of several kinds in it.
func filled(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir)
	update(t, s, func(d *albion.Draft) {
		albion.Put(d, key("one", bytes.Repeat([]byte("1"), 40)))
		albion.Put(d, key("two", bytes.Repeat([]byte("2"), 40)))
		for n := range 60 {
			albion.Put(d, group(n, 443))
			albion.Put(d, targets(n, "a", "b"))
		}
	})
	update(t, s, func(d *albion.Draft) { albion.Put(d, group(1, 80)) })
	closeStore(t, s)
	return dir
}

// refused opens a directory and expects one kind of error and words in it.
func refused(t *testing.T, dir string, want error, words ...string) {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir})
	if err == nil {
		closeStore(t, s)
		t.Fatalf("it opens; want %v", want)
	}
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestADirectoryBelongsToOneAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	refused(t, dir, store.ErrLocked, dir, fmt.Sprintf("process %d", os.Getpid()), "stop it")
	closeStore(t, s)
	open(t, dir)
}

func TestAKeyFileHasToBeTheRightOneAndPrivate(t *testing.T) {
	other := filepath.Join(filled(t), "key")
	for name, c := range map[string]struct {
		spoil func(file string) error
		words string
	}{
		"missing":   {os.Remove, "missing"},
		"cut short": {func(f string) error { return os.Truncate(f, 31) }, "31 bytes"},
		"another's": {func(f string) error { return os.Rename(other, f) }, "not the key of this database"},
		"readable":  {func(f string) error { return os.Chmod(f, 0o640) }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "readable" && runtime.GOOS == "windows" {
				return // there are no such bits
			}
			dir := filled(t)
			file := filepath.Join(dir, "key")
			if err := c.spoil(file); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, store.ErrKey, file, c.words)
			if _, err := os.Stat(file); name == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a new key has been made: %v", err)
			}
		})
	}
}

func TestASealedValueOpensOnlyInItsPlace(t *testing.T) {
	for name, edit := range map[string]func(keys *bbolt.Bucket) error{
		"swapped": func(keys *bbolt.Bucket) error {
			one, two := bytes.Clone(keys.Get([]byte("one"))), bytes.Clone(keys.Get([]byte("two")))
			return errors.Join(keys.Put([]byte("one"), two), keys.Put([]byte("two"), one))
		},
		"renamed": func(keys *bbolt.Bucket) error {
			return errors.Join(keys.Put([]byte("three"), bytes.Clone(keys.Get([]byte("one")))), keys.Delete([]byte("one")))
		},
		"altered": func(keys *bbolt.Bucket) error {
			one := bytes.Clone(keys.Get([]byte("one")))
			one[20] ^= 1
			return keys.Put([]byte("one"), one)
		},
		"empty": func(keys *bbolt.Bucket) error { return keys.Put([]byte("one"), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			raw(t, dir, func(tx *bbolt.Tx) error { return edit(tx.Bucket([]byte(albion.KindKey))) })
			refused(t, dir, store.ErrDamaged, "does not open with the key")
		})
	}
}

func TestWhatIsNotOursIsRefused(t *testing.T) {
	put := func(bucket, key, value string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			return errors.Join(err, b.Put([]byte(key), []byte(value)))
		}
	}
	for name, c := range map[string]struct {
		edit func(*bbolt.Tx) error
		want error
		word string
	}{
		"newer schema":     {put("meta", "schema", "7"), store.ErrSchema, `it is "7", this program knows "1"`},
		"no version":       {put("meta", "version", "x"), store.ErrDamaged, `version is "x"`},
		"another program":  {func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("meta")) }, store.ErrDamaged, "not Albion's"},
		"unknown kind":     {put("dragon", "a", "b"), store.ErrDamaged, `"dragon"`},
		"no JSON":          {put(string(albion.KindSecurityGroup), group(1, 1).ID, "{"), store.ErrDamaged, group(1, 1).ID},
		"another identity": {put(string(albion.KindSecurityGroup), "sg-0", `{"ID":"sg-1","Name":"x"}`), store.ErrDamaged, "says that it is another"},
		"invalid": {func(tx *bbolt.Tx) error {
			return put(string(albion.KindSecurityGroup), "sg-0", `{"ID":"sg-0","Name":""}`)(tx)
		}, store.ErrInvalid, "name is 1 to 255"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			raw(t, dir, c.edit)
			refused(t, dir, c.want, c.word, filepath.Join(dir, "albion.db"))
		})
	}
}

func TestADamagedFileIsAnErrorAndNothingElse(t *testing.T) {
	dir := filled(t)
	file := filepath.Join(dir, "albion.db")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(t *testing.T, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("text", func(t *testing.T) {
		write(t, bytes.Repeat([]byte("no database\n"), 5000))
		refused(t, dir, store.ErrDamaged, file)
	})
	t.Run("empty", func(t *testing.T) {
		write(t, nil)
		refused(t, dir, store.ErrDamaged, file)
	})
	t.Run("cut", func(t *testing.T) {
		// The file is longer than what is used of it: what opens must be whole.
		damaged := 0
		for size := 1; size < len(whole); size += os.Getpagesize() / 2 {
			write(t, whole[:size])
			s, err := store.Open(store.Config{Dir: dir})
			if err == nil {
				if s.State().Version != 2 || s.State().SecurityGroups.Len() != 60 {
					t.Errorf("cut at %d it opens with something else", size)
				}
				closeStore(t, s)
				continue
			}
			damaged++
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
				t.Errorf("cut at %d: %v", size, err)
			}
		}
		if damaged < 20 {
			t.Errorf("only %d cuts of a file of %d pages matter", damaged, len(whole)/os.Getpagesize())
		}
	})
	t.Run("pages of zeros", func(t *testing.T) {
		page := os.Getpagesize()
		for from := 0; from+page <= len(whole); from += page {
			data := bytes.Clone(whole)
			clear(data[from : from+page])
			opensOrIsDamaged(t, dir, data)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			data := bytes.Clone(whole)
			data[random.IntN(len(data))] ^= byte(1 + random.IntN(255))
			opensOrIsDamaged(t, dir, data)
		}
	})
}

// opensOrIsDamaged opens a database that may or may not miss what was changed in
// it; what it must not do is to take the process down.
func opensOrIsDamaged(t testing.TB, dir string, data []byte) {
	t.Helper()
	file := filepath.Join(dir, "albion.db")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: dir})
	if err == nil {
		closeStore(t, s)
		return
	}
	known := false
	for _, kind := range []error{store.ErrDamaged, store.ErrInvalid, store.ErrSchema, store.ErrKey} {
		known = known || errors.Is(err, kind)
	}
	if !known || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	dir := filled(f)
	whole, err := os.ReadFile(filepath.Join(dir, "albion.db"))
	if err != nil {
		f.Fatal(err)
	}
	page := uint32(os.Getpagesize())
	f.Add(uint32(0), []byte{1})
	f.Add(2*page, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0xff, 0xff})
	f.Add(3*page+8, []byte{1, 0, 1, 0, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		data := bytes.Clone(whole)
		copy(data[int(at)%len(data):], patch)
		own := t.TempDir() // fuzzing runs several processes
		if err := os.Link(filepath.Join(dir, "key"), filepath.Join(own, "key")); err != nil {
			t.Fatal(err)
		}
		opensOrIsDamaged(t, own, data)
	})
}

func TestADirectoryThatIsNoneIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(store.Config{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if _, err := store.Open(store.Config{}); err == nil {
		t.Error("no directory is one")
	}
}

func TestWhatACrashAtTheBeginningLeftIsSweptAway(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "albion.db.123.unfinished")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
