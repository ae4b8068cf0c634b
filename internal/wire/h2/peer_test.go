package h2_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// said is one frame that the server sent.
type said struct {
	http2.FrameHeader
	code   http2.ErrCode // of RST_STREAM and GOAWAY
	last   uint32        // of GOAWAY
	more   uint32        // of WINDOW_UPDATE
	data   []byte        // of DATA, PING and GOAWAY
	fields []hpack.HeaderField
}

// peer is a client that says what it is told to, right or wrong.
type peer struct {
	*http2.Framer
	t     testing.TB
	conn  net.Conn
	out   *bufio.Writer
	block bytes.Buffer
	enc   *hpack.Encoder
	heard chan said // closed when the server has closed
}

// newPeer says the preface and reads what comes, unless it is deaf.
func newPeer(t testing.TB, conn net.Conn, deaf bool, settings ...http2.Setting) *peer {
	p := &peer{t: t, conn: conn, out: bufio.NewWriterSize(conn, 32<<10), heard: make(chan said, 1<<16)}
	p.Framer = http2.NewFramer(p.out, bufio.NewReader(conn))
	p.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	done := make(chan struct{})
	if deaf {
		close(done)
	} else {
		go p.listen(done)
	}
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	p.out.WriteString(http2.ClientPreface)
	p.WriteSettings(settings...)
	p.out.Flush()
	return p
}

func dial(t testing.TB, s *server, settings ...http2.Setting) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", s.addr, s.tls())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return newPeer(t, conn, false, settings...)
}

// pipe serves one connection without a network, for tests that own the clock.
// ended gets what Serve returned.
func pipe(cfg h2.Config) (client net.Conn, conn *h2.Conn, ended chan error) {
	client, server := net.Pipe()
	conn = h2.New(server, cfg, h2.NewShared())
	ended = make(chan error, 1)
	go func() { ended <- conn.Serve() }()
	return client, conn, ended
}

func (p *peer) listen(done chan struct{}) {
	defer close(done)
	defer close(p.heard)
	var fields []hpack.HeaderField
	dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) { fields = append(fields, f) })
	for {
		frame, err := p.ReadFrame()
		if err != nil {
			return
		}
		s := said{FrameHeader: frame.Header()}
		switch f := frame.(type) {
		case *http2.DataFrame:
			s.data = bytes.Clone(f.Data())
		case *http2.PingFrame:
			s.data = bytes.Clone(f.Data[:])
		case *http2.RSTStreamFrame:
			s.code = f.ErrCode
		case *http2.WindowUpdateFrame:
			s.more = f.Increment
		case *http2.GoAwayFrame:
			s.code, s.last, s.data = f.ErrCode, f.LastStreamID, bytes.Clone(f.DebugData())
		case *http2.HeadersFrame:
			fields = nil
			dec.Write(f.HeaderBlockFragment())
			if s.fields = fields; f.HeadersEnded() {
				dec.Close()
			}
		case *http2.ContinuationFrame:
			dec.Write(f.HeaderBlockFragment())
			if s.fields = fields; f.HeadersEnded() {
				dec.Close()
			}
		}
		p.heard <- s
	}
}

// pack encodes names and values in turn.
func (p *peer) pack(pairs ...string) []byte {
	p.block.Reset()
	for i := 0; i+1 < len(pairs); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

// head is a request's pseudo-header fields, and more.
func head(method, path string, more ...string) []string {
	return append([]string{":method", method, ":scheme", "https", ":authority", "localhost", ":path", path}, more...)
}

func (p *peer) request(id uint32, end bool, pairs ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: end, BlockFragment: p.pack(pairs...)})
	p.out.Flush()
}

func (p *peer) flush() { p.out.Flush() }

// wait returns the next frame that matches. The server's silence or its close
// fail the test.
func (p *peer) wait(what string, match func(said) bool) said {
	p.t.Helper()
	for s := range p.heard {
		if match(s) {
			return s
		}
	}
	p.t.Fatalf("the connection ended before %s", what)
	return said{}
}

func (p *peer) waitReset(id uint32, code http2.ErrCode) {
	p.t.Helper()
	s := p.wait("RST_STREAM", func(s said) bool {
		return s.Type == http2.FrameGoAway || s.Type == http2.FrameRSTStream && s.StreamID == id
	})
	if s.Type != http2.FrameRSTStream || s.code != code {
		p.t.Fatalf("stream %d got %v %v (%s), want RST_STREAM %v", id, s.Type, s.code, s.data, code)
	}
}

// waitGoAway waits for GOAWAY and the end of the connection.
func (p *peer) waitGoAway(code http2.ErrCode) said {
	p.t.Helper()
	s := p.wait("GOAWAY", func(s said) bool { return s.Type == http2.FrameGoAway && s.code == code })
	for range p.heard {
	}
	p.conn.Close()
	return s
}

// waitAnswer waits for the end of a stream, and returns :status and content.
func (p *peer) waitAnswer(id uint32) (status string, content string) {
	p.t.Helper()
	for {
		s := p.wait("an answer", func(s said) bool { return s.StreamID == id })
		switch s.Type {
		case http2.FrameHeaders:
			for _, f := range s.fields {
				if f.Name == ":status" && f.Value[0] != '1' {
					status = f.Value
				}
			}
		case http2.FrameData:
			content += string(s.data)
		case http2.FrameRSTStream:
			p.t.Fatalf("stream %d was reset: %v", id, s.code)
		}
		if (s.Type == http2.FrameHeaders || s.Type == http2.FrameData) && s.Flags.Has(http2.FlagDataEndStream) {
			return status, content
		}
	}
}
