package h2_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// script is a target that says what it is told to, right or wrong.
type script struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
}

// scripted makes a script of one end of a connection, once the preface of the
// other has come, and says SETTINGS.
func scripted(conn net.Conn, settings ...http2.Setting) (*script, error) {
	r := bufio.NewReader(conn)
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return nil, err
	}
	s := &script{Framer: http2.NewFramer(conn, r), conn: conn}
	s.AllowIllegalWrites, s.AllowIllegalReads = true, true
	s.enc = hpack.NewEncoder(&s.block)
	return s, s.WriteSettings(settings...)
}

func (s *script) pack(pairs ...string) []byte {
	s.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		s.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return s.block.Bytes()
}

func (s *script) head(id uint32, end bool, pairs ...string) {
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: end, BlockFragment: s.pack(pairs...)})
}

// read reads frames until one is of this type, and returns it.
func (s *script) read(want http2.FrameType) (http2.Frame, error) {
	for {
		f, err := s.ReadFrame()
		if err != nil || f.Header().Type == want {
			return f, err
		}
	}
}

// hostile asks a target that does this once it has been asked something. It
// returns what Serve and the request ended with.
func hostile(t *testing.T, do func(*script)) (conn, request error) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		s, err := scripted(far)
		if err != nil {
			return
		}
		if _, err := s.read(http2.FrameHeaders); err != nil {
			return
		}
		heard := make(chan struct{})
		go func() { // whoever floods does not listen, but a pipe has no buffer
			defer close(heard)
			io.Copy(io.Discard, far)
		}()
		do(s)
		far.SetReadDeadline(time.Now().Add(5 * time.Second))
		<-heard
	}()
	c := h2.NewClient(near, h2.ClientConfig{}, h2.NewShared())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve() }()
	awaited(t, c)
	st := open(t, c)
	request = func() error {
		if err := st.WriteRequest(request1("GET"), true); err != nil {
			return err
		}
		var head wire.Response
		for head.Status < 200 {
			if _, err := st.ReadHead(&head); err != nil {
				return err
			}
		}
		_, err := io.Copy(io.Discard, st)
		return err
	}()
	st.Release()
	c.Drain()
	conn = <-ended
	near.Close()
	<-done
	return conn, request
}

func request1(method string) *h2.Request { return request(method, "/") }

func TestFloodsOfATarget(t *testing.T) {
	many := func(n int, f func(s *script, i int) error) func(*script) {
		return func(s *script) {
			for i := range n {
				if f(s, i) != nil {
					return
				}
			}
		}
	}
	for name, c := range map[string]struct {
		do   func(*script)
		want string // in what Serve says
	}{
		"PING":     {many(5000, func(s *script, _ int) error { return s.WritePing(false, [8]byte{}) }), "control"},
		"answers":  {many(5000, func(s *script, _ int) error { return s.WritePing(true, [8]byte{}) }), "control"},
		"SETTINGS": {many(5000, func(s *script, _ int) error { return s.WriteSettings() }), "control"},
		"empty DATA": {func(s *script) {
			s.head(1, false, ":status", "200")
			many(5000, func(s *script, _ int) error { return s.WriteData(1, false, nil) })(s)
		}, "control"},
		"WINDOW_UPDATE": {many(20000, func(s *script, _ int) error { return s.WriteWindowUpdate(0, 1) }), "WINDOW_UPDATE"},
		"CONTINUATION": {func(s *script) {
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: s.pack(":status", "200")})
			many(5000, func(s *script, _ int) error { return s.WriteContinuation(1, false, nil) })(s)
		}, "control"},
		"unknown frames": {many(5000, func(s *script, _ int) error { return s.WriteRawFrame(0xbe, 0, 0, nil) }), "control"},
		"GOAWAY":         {many(5000, func(s *script, _ int) error { return s.WriteGoAway(1, http2.ErrCodeNo, nil) }), "control"},
		"HPACK bomb": {func(s *script) {
			s.head(1, false, ":status", "103", "x", strings.Repeat("y", 3000))
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: bytes.Repeat([]byte{0x80 | 62}, 16000)})
		}, "oversized"},
		"PUSH_PROMISE": {func(s *script) {
			s.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, BlockFragment: s.pack(":method", "GET")})
		}, "PUSH_PROMISE"},
		"unasked answer": {func(s *script) { s.head(3, true, ":status", "200") }, "no request"},
		"even stream":    {func(s *script) { s.head(2, true, ":status", "200") }, "even"},
		"too much content": {func(s *script) {
			s.head(1, false, ":status", "200")
			many(4000, func(s *script, _ int) error { return s.WriteData(3, false, make([]byte, 16384)) })(s)
		}, "idle"},
		"oversized frame": {func(s *script) { s.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<15)) }, "frame too large"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, asked := hostile(t, c.do)
			if conn == nil || !strings.Contains(conn.Error(), c.want) {
				t.Errorf("the connection ended with %v", conn)
			}
			if asked == nil {
				t.Error("the request ended well")
			}
		})
	}
}

// What is wrong with one answer ends that request, and not the connection.
func TestMalformedAnswers(t *testing.T) {
	for name, do := range map[string]func(*script){
		"no status":         func(s *script) { s.head(1, true, "x", "y") },
		"status of letters": func(s *script) { s.head(1, true, ":status", "abc") },
		"101":               func(s *script) { s.head(1, false, ":status", "101") },
		"a path":            func(s *script) { s.head(1, true, ":status", "200", ":path", "/") },
		"capitals":          func(s *script) { s.head(1, true, ":status", "200", "X-A", "b") },
		"Connection":        func(s *script) { s.head(1, true, ":status", "200", "connection", "close") },
		"line end":          func(s *script) { s.head(1, true, ":status", "200", "x", "a\r\nb") },
		"1xx at the end":    func(s *script) { s.head(1, true, ":status", "103") },
		"two lengths":       func(s *script) { s.head(1, false, ":status", "200", "content-length", "1", "content-length", "2") },
		"too long": func(s *script) {
			s.head(1, false, ":status", "200", "content-length", "1")
			s.WriteData(1, true, []byte("ab"))
		},
		"too short": func(s *script) {
			s.head(1, false, ":status", "200", "content-length", "3")
			s.WriteData(1, true, []byte("ab"))
		},
		"content first": func(s *script) { s.WriteData(1, true, []byte("ab")) },
		"large head": func(s *script) {
			block := bytes.Clone(s.pack(":status", "200", "x", strings.Repeat("~", 14000), "y", strings.Repeat("~", 14000), "z", strings.Repeat("~", 14000)))
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: block[:16000]})
			for block = block[16000:]; len(block) > 0; block = block[min(len(block), 16000):] {
				s.WriteContinuation(1, len(block) <= 16000, block[:min(len(block), 16000)])
			}
		},
		"trailers with :": func(s *script) { s.head(1, false, ":status", "200"); s.head(1, true, ":status", "200") },
		"endless interims": func(s *script) {
			for range 100 {
				s.head(1, false, ":status", "103", "x", strings.Repeat("y", 1000))
			}
			s.WriteRSTStream(1, http2.ErrCodeCancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, asked := hostile(t, do)
			var reset *h2.ResetError
			if !errors.Is(asked, h2.ErrMalformed) && !(name == "endless interims" && errors.As(asked, &reset)) {
				t.Errorf("the request ended with %v", asked)
			}
			if conn != nil {
				t.Errorf("the connection ended with %v", conn)
			}
		})
	}
}

func TestWhatATargetSaysOfARequest(t *testing.T) {
	reset := func(code h2.Code) func(error) bool {
		return func(err error) bool { var e *h2.ResetError; return errors.As(err, &e) && e.Code == code }
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, c := range map[string]struct {
		do func(*script)
		ok func(error) bool
	}{
		"reset":            {func(s *script) { s.WriteRSTStream(1, http2.ErrCodeInternal) }, reset(h2.CodeInternal)},
		"refused":          {func(s *script) { s.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, is(h2.ErrRefused)},
		"not served":       {func(s *script) { s.WriteGoAway(0, http2.ErrCodeNo, nil) }, is(h2.ErrRefused)},
		"closed":           {func(s *script) { s.conn.Close() }, is(h2.ErrGone)},
		"served, and over": {func(s *script) { s.WriteGoAway(1, http2.ErrCodeNo, nil); s.head(1, true, ":status", "204") }, is(nil)},
		"no more wanted": {func(s *script) {
			s.head(1, false, ":status", "200")
			s.WriteData(1, true, []byte("x"))
			s.WriteRSTStream(1, http2.ErrCodeNo)
		}, is(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := hostile(t, c.do); !c.ok(err) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestATargetOfHTTP1IsNoticed(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		r := bufio.NewReader(far)
		r.Discard(len(http2.ClientPreface))
		io.WriteString(far, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		far.Close()
	}()
	c := askOn(t, near, h2.ClientConfig{})
	if err := c.Await(soon(t)); !errors.Is(err, h2.ErrNotHTTP2) {
		t.Error(err)
	}
	if _, err := c.Open(); !errors.Is(err, h2.ErrRefused) {
		t.Error(err)
	}
}

// A target that falls silent is asked whether it is there, not so often that
// gRPC's servers mind, and given up when it is not.
func TestATargetIsPinged(t *testing.T) {
	for _, answers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var pings []time.Duration
			began := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				s, err := scripted(far)
				for err == nil {
					var f http2.Frame
					if f, err = s.ReadFrame(); err != nil {
						return
					}
					if p, ok := f.(*http2.PingFrame); ok && !p.IsAck() {
						pings = append(pings, time.Since(began))
						if answers {
							err = s.WritePing(true, p.Data)
						}
					}
				}
			}()
			c := h2.NewClient(near, h2.ClientConfig{IdleTimeout: time.Hour}, h2.NewShared())
			ended := make(chan error, 1)
			go func() { ended <- c.Serve() }()
			if err := c.Await(context.Background()); err != nil {
				t.Fatal(err)
			}
			s := open(t, c)
			if err := s.WriteRequest(request1("GET"), true); err != nil {
				t.Fatal(err)
			}
			s.SetReadDeadline(time.Now().Add(10 * time.Minute))
			var head wire.Response
			_, err := s.ReadHead(&head)
			took := time.Since(began)
			s.Release()
			c.Cut()
			<-ended
			far.Close()
			<-done
			if answers && (errors.Is(err, h2.ErrGone) || len(pings) != 2 || pings[1]-pings[0] < 5*time.Minute) {
				t.Errorf("%v after %v: pings at %v", err, took, pings)
			}
			if !answers && (!errors.Is(err, h2.ErrGone) || took > time.Minute || len(pings) != 1) {
				t.Errorf("%v after %v: pings at %v", err, took, pings)
			}
		})
	}
}

// Whatever the pieces in which content is written and read, it arrives whole.
func TestContentArrivesWhole(t *testing.T) {
	address := origin(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 7000)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}, 10)
	c := awaited(t, ask(t, address, h2.ClientConfig{}))
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 40000), 0, 20).Draw(rt, "pieces")
		read := rapid.IntRange(1, 50000).Draw(rt, "read")
		s, err := c.Open()
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Release()
		if err := s.WriteRequest(request1("POST"), false); err != nil {
			rt.Fatal(err)
		}
		var want bytes.Buffer
		for i, n := range sizes {
			want.Write(bytes.Repeat([]byte{byte('a' + i)}, n))
		}
		sent := make(chan error, 1)
		go func() {
			rest := want.Bytes()
			for _, n := range sizes {
				if _, err := s.Write(rest[:n]); err != nil {
					sent <- err
					return
				}
				rest = rest[n:]
			}
			sent <- s.Finish(nil, nil)
		}()
		var head wire.Response
		if _, err := s.ReadHead(&head); err != nil {
			rt.Fatal(err)
		}
		var got bytes.Buffer
		for buf := make([]byte, read); ; {
			n, err := s.Read(buf)
			got.Write(buf[:n])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		if err := <-sent; err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			rt.Fatalf("%d bytes of %d, %v", got.Len(), want.Len(), err)
		}
	})
}

// Whatever a target says, nothing breaks, and everything ends.
func FuzzTarget(f *testing.F) {
	seed := func(do func(s *script)) {
		var out bytes.Buffer
		s := &script{Framer: http2.NewFramer(&out, nil)}
		s.AllowIllegalWrites = true
		s.enc = hpack.NewEncoder(&s.block)
		do(s)
		f.Add(out.Bytes())
	}
	seed(func(s *script) { s.head(1, true, ":status", "200") })
	seed(func(s *script) {
		s.head(1, false, ":status", "103")
		s.head(1, false, ":status", "200", "content-length", "3")
		s.WriteData(1, false, []byte("abc"))
		s.head(1, true, "grpc-status", "0")
		s.head(3, false, ":status", "200")
		s.WriteRSTStream(3, http2.ErrCodeCancel)
	})
	seed(func(s *script) {
		s.WriteGoAway(1, http2.ErrCodeNo, nil)
		s.WriteSettings(http2.Setting{ID: 4, Val: 0})
		s.WriteWindowUpdate(1, 9)
	})
	seed(func(s *script) {
		s.WriteSettings(http2.Setting{ID: 3, Val: 0})
		s.WritePing(false, [8]byte{1})
		s.WriteRawFrame(0x55, 1, 1, []byte("x"))
	})
	f.Fuzz(func(t *testing.T, frames []byte) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer far.Close()
			s, err := scripted(far)
			if err != nil {
				return
			}
			heard := make(chan struct{})
			go func() { defer close(heard); io.Copy(io.Discard, far) }()
			s.conn.Write(frames)
			far.Close()
			<-heard
		}()
		c := h2.NewClient(near, h2.ClientConfig{IdleTimeout: 5 * time.Second}, h2.NewShared())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Serve() }()
		if c.Await(context.Background()) == nil {
			for range 2 {
				s, err := c.Open()
				if err != nil {
					break
				}
				if s.WriteRequest(request1("POST"), false) == nil {
					s.Write([]byte("hello"))
					var head wire.Response
					if _, err := s.ReadHead(&head); err == nil {
						io.Copy(io.Discard, s)
						_ = s.Trailers()
					}
				}
				s.Release()
			}
		}
		c.Cut()
		<-ended
		<-done
	})
}
