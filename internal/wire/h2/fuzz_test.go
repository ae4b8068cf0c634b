package h2_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// recorded is a connection on which everything that the client will ever say is
// there at once, and which takes every answer.
type recorded struct {
	io.Reader
	said bytes.Buffer // by the server; one goroutine writes at a time
}

func (r *recorded) Write(p []byte) (int, error)      { return r.said.Write(p) }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *recorded) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *recorded) SetDeadline(time.Time) error      { return nil }
func (r *recorded) SetReadDeadline(time.Time) error  { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }

// feed serves a connection whose client says the preface and then input, and
// returns what the server said.
func feed(input []byte, handler func(*h2.Stream)) []byte {
	conn := &recorded{Reader: io.MultiReader(bytes.NewReader([]byte(http2.ClientPreface)), bytes.NewReader(input))}
	h2.New(conn, h2.Config{Handler: handler, IdleTimeout: time.Minute}, h2.NewShared()).Serve()
	return conn.said.Bytes()
}

// Whatever follows the preface: the connection ends, its goroutines with it, no
// handler is told of an unsound head, and what the server says is well-formed.
func FuzzConn(f *testing.F) {
	seed := func(write func(fr *http2.Framer, pack func(...string) []byte)) {
		var input, block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		fr := http2.NewFramer(&input, nil)
		fr.AllowIllegalWrites = true
		fr.WriteSettings()
		write(fr, func(pairs ...string) []byte {
			block.Reset()
			for i := 0; i < len(pairs); i += 2 {
				enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
			}
			return bytes.Clone(block.Bytes())
		})
		f.Add(input.Bytes())
	}
	seed(func(fr *http2.Framer, pack func(...string) []byte) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: pack(head("GET", "/")...)})
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, BlockFragment: pack(head("POST", "/echo", "content-length", "3")...)})
		fr.WriteDataPadded(3, false, []byte("ab"), make([]byte, 3))
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, EndHeaders: true, EndStream: true, BlockFragment: pack(head("GET", "/big?70000")...)})
		fr.WriteWindowUpdate(0, 5000)
		fr.WriteWindowUpdate(5, 5000)
		fr.WriteData(3, true, []byte("c"))
		fr.WriteRSTStream(5, http2.ErrCodeCancel)
		fr.WritePing(false, [8]byte{1})
	})
	seed(func(fr *http2.Framer, pack func(...string) []byte) {
		block := pack(head("POST", "/echo", "cookie", "a", "cookie", "b")...)
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], Priority: http2.PriorityParam{StreamDep: 3}})
		fr.WriteContinuation(1, true, block[3:])
		fr.WriteData(1, false, []byte("x"))
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: pack("grpc-status", "0")})
		fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		fr.WriteGoAway(0, http2.ErrCodeNo, nil)
		fr.WritePriority(7, http2.PriorityParam{StreamDep: 7})
		fr.WriteRawFrame(0x99, 0xff, 77, []byte("?"))
	})
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 1<<18 {
			return
		}
		out := feed(input, func(s *h2.Stream) {
			if status, _ := s.Refused(); status == 0 {
				if err := sound(s.Request()); err != "" {
					t.Errorf("%s: %+v", err, s.Request())
				}
			}
			app(s)
		})
		fr := http2.NewFramer(nil, bytes.NewReader(out))
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for {
			_, err := fr.ReadFrame()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("the server said what is no frame: %v", err)
			}
		}
	})
}
