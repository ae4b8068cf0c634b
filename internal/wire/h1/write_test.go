package h1_test

import (
	"bytes"
	"net/http"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

func TestWriters(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	for want, got := range map[string][]byte{
		">GET /x?y HTTP/1.1\r\n":                 h1.AppendRequestLine(b(">"), b("GET"), b("/x?y")),
		">HTTP/1.1 200 OK\r\n":                   h1.AppendStatusLine(b(">"), 200, nil),
		"HTTP/1.1 200 Fine\r\n":                  h1.AppendStatusLine(nil, 200, b("Fine")),
		"HTTP/1.1 204 \r\n":                      h1.AppendStatusLine(nil, 204, b("")),
		"HTTP/1.1 463 \r\n":                      h1.AppendStatusLine(nil, 463, nil),
		"HTTP/1.1 200 a  b\r\n":                  h1.AppendStatusLine(nil, 200, b("a\r\nb")),
		"HTTP/1.1 500 Internal Server Error\r\n": h1.AppendStatusLine(nil, 42, nil),
		">X: y\r\n":                              h1.AppendField(b(">"), b("X"), b("y")),
		"X: \r\n":                                h1.AppendField(nil, b("X"), nil),
		"X: a  b: c d\te\u00e9 \r\n":             h1.AppendField(nil, b("X"), b("a\r\nb: c\x00d\te\u00e9\x7f")),
		">Content-Length: 12345678901\r\n":       h1.AppendContentLength(b(">"), 12345678901),
		"/a":                                     h1.AppendTarget(nil, b("/a"), nil),
		"/a?":                                    h1.AppendTarget(nil, b("/a"), b("")),
		"/a?b":                                   h1.AppendTarget(nil, b("/a"), b("b")),
		">":                                      h1.AppendChunk(b(">"), nil),
		">10\r\n0123456789abcdef\r\n":            h1.AppendChunk(b(">"), b("0123456789abcdef")),
		">ff\r\n":                                h1.AppendChunkHead(b(">"), 255),
		">0\r\n\r\n":                             h1.AppendLastChunk(b(">"), nil),
		"0\r\nA: b\r\n\r\n": h1.AppendLastChunk(nil, []wire.Field{
			{Name: b("A"), Value: b("b")}, {Name: b("TE"), Value: b("x"), Hop: true}}),
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStatusTextIsTheRegistrys(t *testing.T) {
	// RFC 9110 renamed these after net/http had them.
	renamed := map[int]string{413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
	for status := range 1000 {
		want := http.StatusText(status)
		if s, ok := renamed[status]; ok {
			want = s
		}
		if status == 418 {
			want = "" // RFC 9110 §15.5.19: unused
		}
		if got := h1.StatusText(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}

// Whatever is written in chunks is read again, however it is cut and however it
// arrives.
func TestChunksComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 300)).Draw(t, "parts")
		var in, want []byte
		for _, p := range parts {
			in = h1.AppendChunk(in, p)
			want = append(want, p...)
		}
		in = h1.AppendLastChunk(in, nil)
		got, rest, err := drain(chunked(nil), in, rapid.IntRange(1, len(in)).Draw(t, "piece"))
		if err != nil || len(rest) != 0 || got != string(want) {
			t.Fatalf("%q, then %q, %v", got, rest, err)
		}
	})
}

// No value can make two fields of one, or end a head.
func TestAFieldStaysOneField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		in := []byte("GET / HTTP/1.1\r\nHost: h\r\n")
		in = h1.AppendField(in, []byte("X"), value)
		in = append(in, '\r', '\n')
		var r wire.Request
		n, err := h1.ReadRequest(&r, in, nil)
		if err != nil || n != len(in) || len(r.Fields) != 2 {
			t.Fatalf("%q: %d, %v", in, n, err)
		}
		if got := r.Fields[1].Value; len(bytes.Trim(got, " \t")) != len(got) {
			t.Fatalf("%q has blanks around it", got)
		}
	})
}

// The fast scan for control characters agrees with the table at every offset
// and beside every neighbour.
func TestControlCharactersAreFoundEverywhere(t *testing.T) {
	for c := range 256 {
		for _, beside := range []byte{'a', ' ', '~', '\t', 0xff, 0x80} {
			for at := range 17 {
				value := bytes.Repeat([]byte{beside}, 17)
				value[at] = byte(c)
				want := bytes.Clone(value)
				if !wire.ValueChar.Is(byte(c)) {
					want[at] = ' '
				}
				got := h1.AppendField(nil, []byte("X"), value)
				if string(got) != "X: "+string(want)+"\r\n" {
					t.Fatalf("%q became %q", value, got)
				}
			}
		}
	}
}
