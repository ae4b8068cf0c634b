package accesslog

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Config.
const (
	DefaultMaxSize = 100 << 20
	DefaultKeep    = 10
)

// Stdout is the File that means the standard output.
const Stdout = "stdout"

// Config says where the lines go.
type Config struct {
	File    string       // a path, or Stdout
	MaxSize int64        // bytes that a file may have; 0: DefaultMaxSize
	Keep    int          // older files to keep, File.1 the youngest; 0: DefaultKeep
	Stdout  io.Writer    // what Stdout means; nil: os.Stdout
	Logger  *slog.Logger // told when writing begins to fail, and when it works again; nil: nobody
}

// Sizes of the buffers. A usual line has 400 to 700 bytes.
const (
	bufferSize = 64 << 10
	// A buffer with this much in it is handed over. What is left takes a line
	// that nobody has blown up.
	bufferFull = bufferSize - 4<<10
	// Buffers beside those that are being filled: 8 MiB, what a busy machine
	// logs while its disk pauses for a third of a second.
	spares = 128
)

const flushInterval = time.Second

// Log is one access log. The file belongs to it alone.
type Log struct {
	config  Config
	shards  []shard
	full    chan []byte // buffers with lines; it has room for all there are, so sending never blocks
	empty   stack       // those without
	reopen  chan struct{}
	dropped atomic.Uint64
}

// shard is a buffer that some of the clients share.
type shard struct {
	mu     sync.Mutex // guards buf and closed; held for a copy, never for I/O
	buf    []byte
	closed bool

	_ [64]byte // its neighbour has a cache line of its own
}

// New makes a Log. Lines can be written at once; they reach the file when Run
// runs.
func New(c Config) *Log {
	if c.MaxSize <= 0 {
		c.MaxSize = DefaultMaxSize
	}
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	n := min(runtime.GOMAXPROCS(0), 16)
	return &Log{
		config: c,
		shards: make([]shard, n),
		full:   make(chan []byte, n+spares),
		empty:  stack{unmade: spares},
		reopen: make(chan struct{}, 1),
	}
}

// Write adds the line of a request. It does no I/O, does not wait for any, and
// allocates nothing once the buffers exist. r is not kept. When no buffer is
// free, or Run has returned, the line is dropped and counted.
func (l *Log) Write(r *Record) {
	// Clients' ports are as good as random, and one client's lines stay together.
	n := len(l.shards)
	first := int(r.Client.Port()) % n
	for i := range n {
		s := &l.shards[(first+i)%n]
		if s.mu.TryLock() {
			l.add(s, r)
			return
		}
	}
	// All are busy copying a line: one of them is free in a microsecond.
	s := &l.shards[first]
	s.mu.Lock()
	l.add(s, r)
}

// add adds a line to a shard that the caller has locked, and unlocks it.
func (l *Log) add(s *shard, r *Record) {
	defer s.mu.Unlock()
	if s.closed || (len(s.buf) >= bufferFull && !l.exchange(s)) {
		l.dropped.Add(1)
		return
	}
	if s.buf == nil {
		s.buf = make([]byte, 0, bufferSize)
	}
	s.buf = r.Append(s.buf)
}

// exchange hands a shard's buffer over for an empty one, if there is one.
func (l *Log) exchange(s *shard) bool {
	buf, ok := l.empty.take()
	if ok {
		l.full <- s.buf
		s.buf = buf
	}
	return ok
}

// Dropped counts the lines that were lost because the file did not keep up or
// could not be written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Reopen makes Run open the file anew by its name, after somebody has moved it
// away. Run notices that by itself too, within a second.
func (l *Log) Reopen() {
	select {
	case l.reopen <- struct{}{}:
	default: // it is already asked to
	}
}

// Run opens the file, writes the lines to it as they come, rotates it, and
// returns when ctx ends and every line that was given to Write before that has
// been written. A file that cannot be opened or written is told to the Logger
// once, its lines are counted by Dropped, and Run keeps trying; the error is that
// of closing it. Run may be called once.
func (l *Log) Run(ctx context.Context) error {
	out := l.open()
	var spare []byte
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case buf := <-l.full:
			l.put(out, buf)
			l.empty.give(reset(buf))
		case <-tick.C:
			out.check()
			spare = l.flush(out, spare)
		case <-l.reopen:
			spare = l.flush(out, spare)
			out.reopen()
		case <-ctx.Done():
			l.finish(out)
			return out.close()
		}
	}
}

// sink is where Run puts lines. Only Run's goroutine uses it.
type sink interface {
	// write writes whole lines and returns how many of them it could not.
	write(lines []byte) (lost int)
	// check notices what others did to the file.
	check()
	// reopen opens the file by its name again.
	reopen()
	close() error
}

func (l *Log) open() sink {
	if l.config.File == Stdout {
		return &stream{w: l.config.Stdout, trouble: trouble{log: l.config.Logger, file: Stdout}}
	}
	return openFile(l.config)
}

// flush writes what there is, and returns the buffer that is spare then instead
// of the one given.
func (l *Log) flush(out sink, spare []byte) []byte {
	// The full ones are older.
	for range len(l.full) {
		buf := <-l.full
		l.put(out, buf)
		l.empty.give(reset(buf))
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		if len(s.buf) > 0 {
			s.buf, spare = spare, s.buf
		}
		s.mu.Unlock()
		if len(spare) > 0 {
			l.put(out, spare)
			spare = reset(spare)
		}
	}
	return spare
}

// finish refuses further lines and writes those that there are.
func (l *Log) finish(out sink) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		s.closed = true
		buf := s.buf
		s.buf = nil
		s.mu.Unlock()
		if len(buf) > 0 {
			l.full <- buf
		}
	}
	for range len(l.full) {
		l.put(out, <-l.full)
	}
}

func (l *Log) put(out sink, lines []byte) { l.dropped.Add(uint64(out.write(lines))) }

// reset empties a buffer. One that a huge line has stretched is let go.
func reset(buf []byte) []byte {
	if cap(buf) > 2*bufferSize {
		return nil
	}
	return buf[:0]
}

// stack is the empty buffers, of which the last one used is used first. Those
// that nobody needed yet are not made.
type stack struct {
	mu     sync.Mutex // guards what is below; taken after a shard's
	made   [][]byte
	unmade int
}

// take returns an empty buffer, or nil for one that is still to be made, or
// false when all are full.
func (s *stack) take() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.made); n > 0 {
		buf := s.made[n-1]
		s.made = s.made[:n-1]
		return buf, true
	}
	if s.unmade == 0 {
		return nil, false
	}
	s.unmade--
	return nil, true
}

func (s *stack) give(buf []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if buf == nil {
		s.unmade++
		return
	}
	s.made = append(s.made, buf)
}
