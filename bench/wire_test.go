package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReadHeadEndsAtTheEmptyLine(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"), maxHead)
	b, err := readHead(r)
	if err != nil || string(b) != "GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestReadHeadIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("GET / HTTP/1.1\r\n"), strings.NewReader(strings.Repeat("x", 1<<20)))
	if _, err := readHead(bufio.NewReaderSize(endless, maxHead)); !errors.Is(err, errHead) {
		t.Fatal(err)
	}
	if _, err := readHead(bufio.NewReader(strings.NewReader("GET /"))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if _, err := readHead(bufio.NewReader(strings.NewReader(""))); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestParseRequest(t *testing.T) {
	h, err := parseRequest([]byte("POST /up?a=b HTTP/1.1\r\ncontent-length:  12 \r\nCONNECTION: Close\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if string(h.method) != "POST" || string(h.path) != "/up?a=b" || h.length != 12 || !h.close || !h.socket || string(h.key) != "k" || h.upload {
		t.Errorf("%+v", h)
	}
	for _, bad := range []string{
		"", "GET\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET / HTTP/1.1\r\nnot a field\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
	} {
		if _, err := parseRequest([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	h, err := parseAnswer([]byte("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"))
	if err != nil || h.status != 404 || h.length != -1 || !h.upload {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range []string{"", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 -10 OK\r\n\r\n"} {
		if _, err := parseAnswer([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SliceOfN(rapid.Byte(), 0, maxMessage).Draw(t, "message")
		var mask [4]byte
		copy(mask[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "mask"))
		frame := appendFrame([]byte("before"), message, mask)
		got, err := readFrame(bufio.NewReader(bytes.NewReader(frame[len("before"):])), make([]byte, maxMessage))
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%x, %v", got, err)
		}
	})
}

func TestReadFrameRefuses(t *testing.T) {
	for frame, want := range map[string]error{
		"\x88\x00":                 io.EOF,   // close
		"\x82\x7f":                 errFrame, // 64-bit length
		"\x89\x00":                 errFrame, // ping
		"\x02\x00":                 errFrame, // not the last of its message
		"\x82\x7e\xff\xff":         errFrame, // larger than there is space
		"\x82\x05abc":              io.ErrUnexpectedEOF,
		"\x82\x85\x00\x00\x00\x00": io.EOF,
	} {
		if _, err := readFrame(bufio.NewReader(strings.NewReader(frame)), make([]byte, maxMessage)); !errors.Is(err, want) {
			t.Errorf("%x: %v, not %v", frame, err, want)
		}
	}
}

func FuzzHeads(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", ": \r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := readHead(bufio.NewReaderSize(bytes.NewReader(data), maxHead))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(data, b) || !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
			t.Fatalf("%q is no head of %q", b, data)
		}
		if h, err := parseRequest(b); err == nil && (len(h.path) > len(b) || h.length < -1) {
			t.Errorf("%+v", h)
		}
		if h, err := parseAnswer(b); err == nil && (h.status < 100 || h.status > 999 || h.length < -1) {
			t.Errorf("%+v", h)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, []byte("hello"), [4]byte{1, 2, 3, 4}))
	f.Add(appendFrame(nil, bytes.Repeat([]byte("x"), 300), [4]byte{}))
	f.Add([]byte("\x88\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readFrame(bufio.NewReader(bytes.NewReader(data)), make([]byte, maxMessage))
		if err == nil && len(got) > len(data) {
			t.Errorf("%d bytes out of %d", len(got), len(data))
		}
	})
}
