package h1_test

import (
	"testing"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// browserRequest has ten fields, as a browser sends them.
const browserRequest = "GET /chat/info?t=1700000000000 HTTP/1.1\r\n" +
	"Host: chat.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: */*\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"Sec-Fetch-Mode: cors\r\n" +
	"Referer: https://chat.example.com/room/7\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,ko;q=0.8\r\n" +
	"Cookie: AWSALB=0123456789abcdef; session=5f3c1d\r\n" +
	"\r\n"

const ordinaryAnswer = "HTTP/1.1 200 OK\r\n" +
	"Date: Tue, 04 Aug 2026 10:00:00 GMT\r\n" +
	"Server: example\r\n" +
	"Content-Type: application/json;charset=UTF-8\r\n" +
	"Cache-Control: no-store, no-cache, must-revalidate, max-age=0\r\n" +
	"Set-Cookie: session=5f3c1d; Path=/; HttpOnly\r\n" +
	"Content-Length: 79\r\n" +
	"\r\n"

const chunkedBody = "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"

func TestOrdinaryMessagesAllocateNothing(t *testing.T) {
	request, answer, chunks := []byte(browserRequest), []byte(ordinaryAnswer), []byte(chunkedBody)
	method := []byte("GET")
	r := wire.Request{Fields: make([]wire.Field, 0, 32)}
	a := wire.Response{Fields: make([]wire.Field, 0, 32)}
	out := make([]byte, 0, 4096)
	var b h1.Body
	var p h1.Parser
	failed := ""
	count := testing.AllocsPerRun(100, func() {
		if n, err := h1.ReadRequest(&r, request, nil); n != len(request) || err != nil {
			failed = "request"
		}
		if n, err := p.ReadRequest(&r, request[:40], nil); n != 0 || err != nil {
			failed = "part of a request"
		}
		if n, err := p.ReadRequest(&r, request, nil); n != len(request) || err != nil {
			failed = "request in pieces"
		}
		if n, err := h1.ReadResponse(&a, answer, method, nil); n != len(answer) || err != nil {
			failed = "answer"
		}
		b.Reset(wire.Chunked, 0, nil)
		for rest := chunks; !b.Done(); {
			_, n, err := b.Next(rest)
			if err != nil || n == 0 {
				failed = "body"
				return
			}
			rest = rest[n:]
		}
		out = h1.AppendRequestLine(out[:0], r.Method, r.Target)
		for i := range r.Fields {
			out = h1.AppendField(out, r.Fields[i].Name, r.Fields[i].Value)
		}
		out = h1.AppendStatusLine(out, 404, nil)
		out = h1.AppendContentLength(out, 12345)
		out = h1.AppendChunk(out, answer)
		out = h1.AppendLastChunk(out, nil)
	})
	if failed != "" {
		t.Fatalf("%s was not accepted", failed)
	}
	if count != 0 {
		t.Errorf("%v allocations, want none", count)
	}
}

func BenchmarkReadRequest(b *testing.B) {
	buf := []byte(browserRequest)
	r := wire.Request{Fields: make([]wire.Field, 0, 32)}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := h1.ReadRequest(&r, buf, nil); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkReadResponse(b *testing.B) {
	buf, method := []byte(ordinaryAnswer), []byte("GET")
	r := wire.Response{Fields: make([]wire.Field, 0, 32)}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := h1.ReadResponse(&r, buf, method, nil); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendFields(b *testing.B) {
	var r wire.Request
	if _, err := h1.ReadRequest(&r, []byte(browserRequest), nil); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = h1.AppendRequestLine(out[:0], r.Method, r.Target)
		for i := range r.Fields {
			out = h1.AppendField(out, r.Fields[i].Name, r.Fields[i].Value)
		}
	}
}

func BenchmarkChunkedBody(b *testing.B) {
	data := make([]byte, 16<<10)
	buf := h1.AppendLastChunk(h1.AppendChunk(nil, data), nil)
	var body h1.Body
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(wire.Chunked, 0, nil)
		for rest := buf; !body.Done(); {
			_, n, err := body.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}
