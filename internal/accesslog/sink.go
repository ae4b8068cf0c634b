package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
)

// countLines counts the lines of a buffer.
func countLines(lines []byte) int { return bytes.Count(lines, []byte{'\n'}) }

// trouble tells the operator when writing begins to fail and when it works
// again, and nothing in between.
type trouble struct {
	log  *slog.Logger
	file string
	told bool
}

func (t *trouble) begin(err error) {
	if !t.told {
		t.told = true
		t.log.Error("access log cannot be written, its lines are lost until it can", "file", t.file, "error", err)
	}
}

func (t *trouble) end() {
	if t.told {
		t.told = false
		t.log.Info("access log is written again", "file", t.file)
	}
}

// stream is a sink that is somebody else's: it is written to, and nothing more.
type stream struct {
	w io.Writer
	trouble
}

func (s *stream) write(lines []byte) int {
	n, err := s.w.Write(lines)
	if err != nil {
		s.begin(err)
		return countLines(lines[min(max(n, 0), len(lines)):])
	}
	s.end()
	return 0
}

func (*stream) check()       {}
func (*stream) reopen()      {}
func (*stream) close() error { return nil }

// file is a sink that rotates: FILE is written, FILE.1 is the one before it, and
// so on.
type file struct {
	config Config
	f      *os.File // nil while it cannot be opened
	size   int64
	device bool // no regular file: nothing to rotate, cut or heal
	trouble
}

// fileMode lets the operator's group read: log shippers run as it.
const fileMode = 0o640

func openFile(c Config) *file {
	s := &file{config: c, trouble: trouble{log: c.Logger, file: c.File}}
	s.reopen()
	return s
}

func (s *file) open() error {
	f, err := os.OpenFile(s.config.File, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	s.f = f
	if err := s.heal(); err != nil {
		s.f = nil
		return errors.Join(err, f.Close())
	}
	return nil
}

// heal ends a line that a crash of the machine has cut, so that the next one
// does not become part of it.
func (s *file) heal() error {
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	s.size, s.device = info.Size(), !info.Mode().IsRegular()
	if s.size == 0 || s.device {
		return nil
	}
	var last [1]byte
	if _, err := s.f.ReadAt(last[:], s.size-1); err != nil || last[0] == '\n' {
		return err
	}
	n, err := s.f.Write([]byte{'\n'})
	s.size += int64(n)
	return err
}

// write writes lines, rotating between two of them where the file would grow
// beyond its size.
func (s *file) write(lines []byte) (lost int) {
	for len(lines) > 0 {
		if s.f == nil {
			s.reopen()
		}
		if s.f == nil {
			return lost + countLines(lines)
		}
		n := s.fitting(lines)
		if n == 0 {
			s.rotate()
			if n = s.fitting(lines); n == 0 {
				// It could not be rotated: a long file is better than lost lines.
				n = len(lines)
			}
			if s.f == nil {
				continue
			}
		}
		lost += s.writeWhole(lines[:n])
		lines = lines[n:]
	}
	return lost
}

// fitting is how many bytes of lines, whole ones, the file still takes. An empty
// file takes one line however long it is.
func (s *file) fitting(lines []byte) int {
	room := s.config.MaxSize - s.size
	if room >= int64(len(lines)) || s.device {
		return len(lines)
	}
	n := bytes.LastIndexByte(lines[:max(room, 0)], '\n') + 1
	if n == 0 && s.size == 0 {
		n = bytes.IndexByte(lines, '\n') + 1
	}
	return n
}

// writeWhole writes lines or as many of them as it can, and leaves no part of
// one behind.
func (s *file) writeWhole(lines []byte) (lost int) {
	n, err := s.f.Write(lines)
	if err == nil {
		s.size += int64(n)
		s.end()
		return 0
	}
	s.begin(err)
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	if n > whole && !s.device && s.f.Truncate(s.size+int64(whole)) != nil {
		// Then the next opening ends the line.
		s.abandon()
	}
	s.size += int64(whole)
	return countLines(lines[whole:])
}

// rotate shifts the older files by one and begins a new one. When that fails
// the file stays open, however long it gets.
func (s *file) rotate() {
	if err := s.shift(); err != nil {
		s.begin(err)
		if s.f == nil {
			s.reopen()
		}
		return
	}
	if err := s.open(); err != nil {
		s.begin(err)
	}
}

func (s *file) shift() error {
	// Windows does not rename what is open.
	s.abandon()
	// Down from the first gap only: an attempt that failed half-way and is
	// repeated must not push the oldest out.
	gap := 1
	for gap < s.config.Keep {
		if _, err := os.Lstat(s.older(gap)); err != nil {
			break
		}
		gap++
	}
	for i := gap; i > 1; i-- {
		if err := os.Rename(s.older(i-1), s.older(i)); err != nil {
			return err
		}
	}
	err := os.Rename(s.config.File, s.older(1))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was quicker
	}
	return err
}

func (s *file) older(i int) string { return s.config.File + "." + strconv.Itoa(i) }

// abandon closes the file. Its lines are written; what closing says of them
// comes too late to be of use.
func (s *file) abandon() {
	if s.f != nil {
		_ = s.f.Close()
		s.f = nil
	}
}

// check opens the file anew when its name means another one by now, as after
// logrotate's create, and learns its size, which logrotate's copytruncate
// changes.
func (s *file) check() {
	if s.f == nil {
		s.reopen()
		return
	}
	ours, err := s.f.Stat()
	if err != nil {
		s.reopen()
		return
	}
	named, err := os.Stat(s.config.File)
	if err != nil || !os.SameFile(ours, named) {
		s.reopen()
		return
	}
	s.size = ours.Size()
}

func (s *file) reopen() {
	old := s.f
	if err := s.open(); err != nil {
		s.begin(err)
		s.f = old // better the file that somebody has moved than none
		return
	}
	if old != nil {
		_ = old.Close()
	}
}

func (s *file) close() error {
	if s.f == nil {
		return nil
	}
	if err := s.f.Close(); err != nil {
		return fmt.Errorf("accesslog: %w", err)
	}
	return nil
}
