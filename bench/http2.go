package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// multi is one HTTP/2 connection of the load, with several requests under way at
// a time. One goroutine does all of it: what it has to say waits until nothing
// more can be read, and goes out in one write, so that the load takes as little
// of the machine as can be.
type multi struct {
	conn    net.Conn
	in      *bufio.Reader
	framer  *http2.Framer // writes into out
	out     bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	block   bytes.Buffer // what encoder wrote

	next    uint32
	open    []call
	ended   call
	status  string // of the field section that is being decoded
	section *call  // which it belongs to
	unsaid  uint32 // bytes received that no WINDOW_UPDATE has told

	leaving  bool // the server wants no more requests on this connection
	unserved []call
}

// call is a request under way.
type call struct {
	id       uint32
	from     time.Time // when it counts from
	path     string
	received int64
	answered bool
}

// Windows of a client, in bytes: about what browsers grant.
const (
	clientWindow = 6 << 20
	sharedWindow = 15 << 20
)

// dialMulti opens connection number i and says the preface.
func (d *dialer) dialMulti(ctx context.Context, i int, name string) (*multi, error) {
	c, err := d.dial(ctx, i, name, nil)
	if err != nil {
		return nil, err
	}
	m := &multi{conn: c.conn, in: c.r, next: 1}
	m.framer = http2.NewFramer(&m.out, m.in)
	m.framer.SetReuseFrames()
	m.encoder = hpack.NewEncoder(&m.block)
	m.decoder = hpack.NewDecoder(4<<10, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			m.status = f.Value
		}
	})
	m.out.WriteString(http2.ClientPreface)
	return m, errors.Join(
		m.framer.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: clientWindow}),
		m.framer.WriteWindowUpdate(0, sharedWindow-65_535),
	)
}

// start begins a request, which counts from a given time.
func (m *multi) start(name, path string, from time.Time) error {
	m.block.Reset()
	for _, f := range [...]hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: name},
		{Name: ":path", Value: path}, {Name: "user-agent", Value: "bench"}, {Name: "accept", Value: "*/*"},
	} {
		if err := m.encoder.WriteField(f); err != nil {
			return err
		}
	}
	m.open = append(m.open, call{id: m.next, from: from, path: path})
	m.next += 2
	return m.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: m.open[len(m.open)-1].id, BlockFragment: m.block.Bytes(), EndStream: true, EndHeaders: true,
	})
}

func (m *multi) flush() error {
	if m.out.Len() == 0 {
		return nil
	}
	_, err := m.conn.Write(m.out.Bytes())
	m.out.Reset()
	return err
}

// wait says what there is to say and waits for a frame, until a given time at
// most; false: it has come. The zero time is for ever.
func (m *multi) wait(until, deadline time.Time) (late bool, err error) {
	const frameHeader = 9
	if m.in.Buffered() >= frameHeader {
		return false, nil
	}
	if err := m.flush(); err != nil {
		return false, err
	}
	if !until.IsZero() {
		m.conn.SetReadDeadline(until)
		defer m.conn.SetReadDeadline(deadline)
	}
	_, err = m.in.Peek(frameHeader)
	if !until.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) {
		return true, nil
	}
	return false, err
}

// read takes one frame, and returns the request that it ended, if it did.
func (m *multi) read(answer int64) (ended *call, err error) {
	frame, err := m.framer.ReadFrame()
	if err != nil {
		return nil, err
	}
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		m.section = m.find(f.StreamID)
		return m.fields(f.HeaderBlockFragment(), f.HeadersEnded(), f.StreamEnded(), answer)
	case *http2.ContinuationFrame:
		return m.fields(f.HeaderBlockFragment(), f.HeadersEnded(), false, answer)
	case *http2.DataFrame:
		return m.data(f, answer)
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return nil, m.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return nil, m.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		return nil, fmt.Errorf("%w: a stream was reset: %v", errAnswer, f.ErrCode)
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			return nil, fmt.Errorf("%w: GOAWAY: %v %q", errAnswer, f.ErrCode, f.DebugData())
		}
		m.leave(f.LastStreamID)
	}
	return nil, nil
}

// leave sets requests aside that the server will not answer (RFC 9113 §6.8).
func (m *multi) leave(last uint32) {
	m.leaving = true
	m.open = slices.DeleteFunc(m.open, func(c call) bool {
		if c.id > last {
			m.unserved = append(m.unserved, c)
		}
		return c.id > last
	})
}

func (m *multi) find(id uint32) *call {
	for i := range m.open {
		if m.open[i].id == id {
			return &m.open[i]
		}
	}
	return nil
}

// fields takes a piece of a field section.
func (m *multi) fields(p []byte, last, ends bool, answer int64) (*call, error) {
	if _, err := m.decoder.Write(p); err != nil {
		return nil, err
	}
	if !last {
		return nil, nil
	}
	if err := m.decoder.Close(); err != nil {
		return nil, err
	}
	c := m.section
	if c == nil || !c.answered && m.status != "200" {
		return nil, fmt.Errorf("%w: status %q", errAnswer, m.status)
	}
	c.answered, m.status = true, ""
	if ends {
		return m.end(c, answer)
	}
	return nil, nil
}

func (m *multi) data(f *http2.DataFrame, answer int64) (*call, error) {
	if m.unsaid += f.Length; m.unsaid >= sharedWindow/2 {
		if err := m.framer.WriteWindowUpdate(0, m.unsaid); err != nil {
			return nil, err
		}
		m.unsaid = 0
	}
	c := m.find(f.StreamID)
	if c == nil || !c.answered {
		return nil, fmt.Errorf("%w: content without a head", errAnswer)
	}
	c.received += int64(len(f.Data()))
	if f.StreamEnded() {
		return m.end(c, answer)
	}
	return nil, nil
}

// end takes a request that has its answer from those under way.
func (m *multi) end(c *call, answer int64) (*call, error) {
	if answer >= 0 && c.received != answer {
		return nil, fmt.Errorf("%w: %d bytes of %s", errAnswer, c.received, strconv.FormatInt(answer, 10))
	}
	last := len(m.open) - 1
	m.ended, *c = *c, m.open[last]
	m.open = m.open[:last]
	return &m.ended, nil
}

// streams keeps as many requests under way as the job has streams, or begins
// them at its rate, until the time has come, or limit have been answered. Those
// that are under way then are waited for.
func (w *worker) streams(started, end time.Time, limit int) error {
	j := w.load.job
	pace := schedule{}
	if j.Kind == "paced" && limit == 0 && !started.IsZero() {
		pace.every = time.Duration(float64(time.Second) * float64(j.Clients) / j.Rate)
		pace.due = started.Add(pace.every * time.Duration(w.index) / time.Duration(j.Clients))
	}
	for begun := 0; ; {
		now := time.Now()
		more := pace.more(now, end) && (limit == 0 || begun < limit)
		for more && !w.m.leaving && len(w.m.open) < j.Streams && !pace.due.After(now) {
			if err := w.m.start(j.Names[0], j.Paths[(w.index+begun*61)%len(j.Paths)], pace.from(now)); err != nil {
				return err
			}
			begun++
			more = pace.more(now, end) && (limit == 0 || begun < limit)
		}
		if len(w.m.open) == 0 {
			if !more && len(w.m.unserved) == 0 {
				return nil
			}
			if w.m.leaving {
				if err := w.again(); err != nil {
					return err
				}
				continue
			}
		}
		if err := w.await(&pace, more); err != nil {
			return err
		}
	}
}

// more says whether another request is to begin. One that was due before the end
// is, however late.
func (s *schedule) more(now, end time.Time) bool {
	if s.every > 0 {
		return s.due.Before(end)
	}
	return now.Before(end)
}

// schedule is when requests of a fixed rate are due. The zero schedule is always
// due.
type schedule struct {
	every time.Duration
	due   time.Time
	idle  bool // the client waited for the time, and not for an answer
}

// from is when the request that begins now counts from, and moves on to the
// next. One that is late since no stream was free counts from when it was due;
// the lateness of our own timer is not the balancer's.
func (s *schedule) from(now time.Time) time.Time {
	if s.every == 0 {
		return now
	}
	from := s.due
	if s.idle {
		from, s.idle = now, false
	}
	s.due = s.due.Add(s.every)
	return from
}

// await takes one frame, or returns when the next request is due.
func (w *worker) await(pace *schedule, more bool) error {
	j, m := w.load.job, w.m
	var until time.Time
	if more && pace.every > 0 && !m.leaving && len(m.open) < j.Streams {
		until = pace.due
	}
	late, err := m.wait(until, w.load.dialer.deadline)
	if pace.idle = late; err != nil || late {
		return err
	}
	ended, err := m.read(j.Answer)
	if ended != nil {
		w.seen.add(time.Since(ended.from))
	}
	return err
}

// again replaces a connection that the balancer wants to see no more of, and
// repeats what it left unanswered.
func (w *worker) again() error {
	unserved := w.m.unserved
	w.m.conn.Close()
	if err := w.connect(); err != nil {
		return err
	}
	for _, c := range unserved {
		if err := w.m.start(w.load.job.Names[0], c.path, c.from); err != nil {
			return err
		}
	}
	return nil
}
