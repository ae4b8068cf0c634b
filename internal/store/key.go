package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/albion-lb/albion"
)

// keySize is that of AES-256, in bytes.
const keySize = 32

// sealer seals and opens what may not be read from the database file. Each
// sealed value is a random nonce of 12 bytes, the ciphertext, and a tag of 16
// (AES-256-GCM, NIST SP 800-38D). One key is good for 2³² of them.
type sealer struct {
	aead cipher.AEAD
	file string // where the key came from, for messages
}

// makeKey writes a new key file, unless there is one.
func makeKey(path string) error {
	return createOnce(path, func(temp string) error {
		key := make([]byte, keySize)
		rand.Read(key) // never fails: crypto/rand ends the process instead
		return writeSync(temp, key)
	})
}

// readKey makes the sealer of the key in a file.
func readKey(path string) (*sealer, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing, and the private keys in the database cannot be read without it: put it back from a backup", ErrKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	// Windows keeps access lists where others keep these bits: there the
	// directory's list protects the file.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: others can read %s (mode %04o): chmod 600 it, and replace the certificates' keys if somebody may have", ErrKey, path, mode)
	}
	if info.Size() != keySize {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d: put it back from a backup", ErrKey, path, info.Size(), keySize)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	return &sealer{aead: aead, file: path}, nil
}

// seal returns the stored form of a secret. It opens only as the same object,
// so that one value cannot be put in another's place.
func (s *sealer) seal(as albion.Change, secret []byte) []byte {
	return s.aead.Seal(nil, nil, secret, name(as))
}

func (s *sealer) open(as albion.Change, sealed []byte) ([]byte, error) {
	secret, err := s.aead.Open(nil, nil, sealed, name(as))
	if err != nil {
		return nil, fmt.Errorf("%w: %s %q does not open with the key in %s: it was altered, or put in another's place", ErrDamaged, as.Kind, as.ID, s.file)
	}
	return secret, nil
}

// name is a kind and an identity as bytes. No kind holds a zero byte.
func name(c albion.Change) []byte {
	return append(append([]byte(c.Kind), 0), c.ID...)
}
