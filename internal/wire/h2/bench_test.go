package h2_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

const (
	benchConns   = 32
	benchStreams = 4
)

// BenchmarkSmallAnswers is the work of the goals: 32 connections, 4 streams on
// each, answers of 128 bytes over TLS. Client and server share the process; the
// client writes four requests at once and looks at frame headers only.
func BenchmarkSmallAnswers(b *testing.B) {
	fields := []wire.Field{
		field("Content-Type", "text/plain"), field("Content-Length", "128"),
		field("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), field("Server", "bench"),
	}
	body := bytes.Repeat([]byte("x"), 128)
	s := serve(b, h2.Config{Requests: 1 << 30, Handler: func(s *h2.Stream) {
		if s.WriteHead(&wire.Response{Status: 200, Fields: fields}, nil, false) == nil {
			s.Finish(body, nil)
		}
	}})
	var clients []*loader
	for range benchConns {
		clients = append(clients, newLoader(b, s))
	}
	b.ReportAllocs()
	before := s.writes.Load()
	b.ResetTimer()
	var all sync.WaitGroup
	for _, l := range clients {
		all.Go(func() { l.run(b, b.N/benchConns/benchStreams+1) })
	}
	all.Wait()
	b.ReportMetric(float64(s.writes.Load()-before)/float64(b.N), "writes/op")
}

// loader is a client with as little work of its own as can be.
type loader struct {
	conn  *tls.Conn
	in    *bufio.Reader
	batch []byte // four HEADERS frames
	size  int    // of one
	next  uint32
}

func newLoader(b *testing.B, s *server) *loader {
	conn, err := tls.Dial("tcp", s.addr, s.tls())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	l := &loader{conn: conn, in: bufio.NewReader(conn), next: 1}
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, nil)
	fr.WriteSettings()
	fr.WriteWindowUpdate(0, 1<<30)
	first := &peer{}
	first.enc = hpack.NewEncoder(&first.block)
	pairs := head("GET", "/small", "user-agent", "bench/1.0", "accept", "*/*")
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: l.next, EndHeaders: true, EndStream: true, BlockFragment: first.pack(pairs...)})
	conn.Write(out.Bytes())
	l.await(b, 1)
	block := first.pack(pairs...) // all in the table now
	out.Reset()
	for range benchStreams {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block})
	}
	l.batch, l.size = out.Bytes(), out.Len()/benchStreams
	return l
}

func (l *loader) run(b *testing.B, rounds int) {
	for range rounds {
		for i := range benchStreams {
			l.next += 2
			binary.BigEndian.PutUint32(l.batch[i*l.size+5:], l.next)
		}
		if _, err := l.conn.Write(l.batch); err != nil {
			b.Error(err)
			return
		}
		if !l.await(b, benchStreams) {
			return
		}
	}
}

// await passes over frames until so many streams have ended.
func (l *loader) await(b *testing.B, streams int) bool {
	for streams > 0 {
		header, err := l.in.Peek(9)
		if err != nil {
			b.Error(err)
			return false
		}
		size := int(header[0])<<16 | int(header[1])<<8 | int(header[2])
		if http2.FrameType(header[3]) == http2.FrameData && header[4]&byte(http2.FlagDataEndStream) != 0 {
			streams--
		}
		l.in.Discard(9 + size)
	}
	return true
}

// BenchmarkLargeAnswer is one stream of 1 MiB over TLS.
func BenchmarkLargeAnswer(b *testing.B) {
	body := make([]byte, 32<<10)
	s := serve(b, h2.Config{Requests: 1 << 30, Handler: func(s *h2.Stream) {
		if s.WriteHead(&wire.Response{Status: 200}, nil, false) != nil {
			return
		}
		for range 31 {
			if _, err := s.Write(body); err != nil {
				return
			}
		}
		s.Finish(body, nil)
	}})
	transport := &http.Transport{TLSClientConfig: s.tls(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	b.SetBytes(1 << 20)
	b.ResetTimer()
	for range b.N {
		res, err := c.Get("https://" + s.addr + "/")
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || n != 1<<20 {
			b.Fatal(n, err)
		}
	}
}
