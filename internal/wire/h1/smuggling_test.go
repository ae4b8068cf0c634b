package h1_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// attempt is a message with a second request hidden in it, for somebody who
// sees its end elsewhere.
type attempt struct {
	head string // between the Host field and the empty line, one field a line
	body string
}

const hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"

// attempts are the known ways to make two servers disagree on where a request
// ends.
func attempts() []attempt {
	chunks := "0\r\n\r\n" + hidden
	both := "Content-Length: " + strconv.Itoa(len(chunks)) + "\r\n"
	te := func(field string) attempt { return attempt{both + field, chunks} }
	return append([]attempt{
		// Two lengths.
		{"Content-Length: 0\r\nContent-Length: 33", hidden},
		{"Content-Length: 33\r\nContent-Length: 0", hidden},
		{"Content-Length: 0, 33", hidden},
		{"Content-Length: 33,33,0", hidden},
		{"Content-Length: 0\r\ncontent-length: 33", hidden},
		{"Content-Length: 0\r\nContent-Length : 33", hidden},
		{"Content-Length: 0\r\n Content-Length: 33", hidden},
		{"Content-Length: 0\r\nContent-Length\x00: 33", hidden},
		{"Content-Length: 0\r\nX: y\rContent-Length: 33", hidden},
		{"Content-Length: 0\r\nX: y\nContent-Length: 33", hidden},
		// A length that is no number to everybody.
		{"Content-Length: +33", hidden},
		{"Content-Length: -0", hidden},
		{"Content-Length: 0x21", hidden},
		{"Content-Length: 3 3", hidden},
		{"Content-Length: 33 ,", hidden},
		{"Content-Length: 33;", hidden},
		{"Content-Length: 33\x0b", hidden},
		{"Content-Length: \x0c33", hidden},
		{"Content-Length: 3_3", hidden},
		{"Content-Length: 3.3e1", hidden},
		{"Content-Length: \"33\"", hidden},
		{"Content-Length: \u0663\u0663", hidden},
		{"Content-Length: 18446744073709551649", hidden},
		{"Content-Length: 4294967329000000000000", hidden},
		{"Content-Length:\r\n 33", hidden},
		{"Content-Length:", hidden},
		{"Content-Length 33", hidden},
		{"Content-Length\t:33", hidden},
		{"Content\x2dLength\u00a0: 33", hidden},
		// Chunks that end elsewhere for somebody lenient.
		{"Transfer-Encoding: chunked", "0\n\n" + hidden},
		{"Transfer-Encoding: chunked", "0\r\n\n" + hidden},
		{"Transfer-Encoding: chunked", "0;\n\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "1;a\nb\r\nx\r\n0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "1;a\rb\r\nx\r\n0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "1\r\nxx\r\n0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "1\r\nx0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "0x0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "+0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "-1\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "10000000000000000\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "0 0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "0 \r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "\r\n0\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "0\r\nX: y\n\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "0\r\n X: y\r\n\r\n" + hidden},
		{"Transfer-Encoding: chunked", "0\r\n\r" + hidden},
		// A field that hides another.
		{"X: y\r\n\x0bTransfer-Encoding: chunked", chunks},
		{"X: y\r\n\r\rTransfer-Encoding: chunked", chunks},
		{"X: y\x00\r\nTransfer-Encoding: chunked", chunks},
		{"X:\nTransfer-Encoding: chunked", chunks},
		{"X: y\n\n" + hidden, ""},
		{"X: y\n\r\n" + hidden, ""},
		{"Host: evil", hidden},
		{"host: evil", hidden},
	},
		// Both, in every disguise of the second.
		te("Transfer-Encoding: chunked"),
		te("transfer-encoding:chunked"),
		te("Transfer-Encoding: Chunked"),
		te("Transfer-Encoding:\tchunked"),
		te("Transfer-Encoding: chunked "),
		te("Transfer-Encoding : chunked"),
		te("Transfer-Encoding\t: chunked"),
		te(" Transfer-Encoding: chunked"),
		te("\tTransfer-Encoding: chunked"),
		te("Transfer-Encoding: xchunked"),
		te("Transfer-Encoding: chunkedx"),
		te("Transfer-Encoding: x chunked"),
		te("Transfer-Encoding: chunked\x0b"),
		te("Transfer-Encoding: \x0bchunked"),
		te("Transfer-Encoding: \x00chunked"),
		te("Transfer-Encoding: chunked\xa0"),
		te("Transfer-Encoding: \"chunked\""),
		te("Transfer-Encoding: 'chunked'"),
		te("Transfer-Encoding: chunked;a=b"),
		te("Transfer-Encoding: chunked,"),
		te("Transfer-Encoding: ,chunked"),
		te("Transfer-Encoding: identity, chunked"),
		te("Transfer-Encoding: chunked, identity"),
		te("Transfer-Encoding: cow, chunked"),
		te("Transfer-Encoding: chunked, cow"),
		te("Transfer-Encoding: chunked, chunked"),
		te("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
		te("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
		te("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
		te("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
		te("Transfer-Encoding:\r\n chunked"),
		te("Transfer-Encoding:\n chunked"),
		te("Transfer-Encoding:"),
		te("Transfer-Encoding"),
		te("Transfer-Encoding chunked"),
		te("Transfer-Encoding;: chunked"),
		te("Transfer\x2dEncod\u0131ng: chunked"),
		te("Tran\u017ffer-Encoding: chunked"),
		te("Transfer_Encoding: chunked"),
		te("Transfer--Encoding: chunked"),
		te("Transfer-Encoding': chunked"),
		te("X: y\rTransfer-Encoding: chunked"),
		te("X: y\nTransfer-Encoding: chunked"),
		te("Connection: Content-Length\r\nX: y"),
		te("Connection: Content-Length, Transfer-Encoding\r\nTransfer-Encoding: chunked"),
	)
}

// Whatever net/http refuses is refused here, or leaves as something that it
// reads as exactly one request, whose body is the one that we saw; and nothing
// that strays goes unnoticed.
func TestSmugglingIsRefusedOrNormalised(t *testing.T) {
	all := attempts()
	if len(all) < 90 {
		t.Fatalf("only %d attempts", len(all))
	}
	refused := 0
	for _, version := range []string{"1.1", "1.0"} {
		for _, a := range all {
			src := "POST / HTTP/" + version + "\r\nHost: h\r\n" + a.head + "\r\n\r\n" + a.body
			_, r, _, err := understand([]byte(src))
			var e *h1.Error
			switch {
			case errors.As(err, &e):
				refused++
				continue
			case err != nil:
				t.Errorf("%q: %v", src, err)
			}
			if r.Class < wire.Ambiguous {
				t.Errorf("%q passes as %v", src, r.Class)
			}
			checkForward(t, []byte(src))
		}
	}
	t.Logf("%d of %d refused", refused, 2*len(all))
	if refused < 160 {
		t.Errorf("only %d of %d were refused", refused, 2*len(all))
	}
}

// The same in a request line, where nothing is ever normalised.
func TestRequestLineSmugglingIsRefused(t *testing.T) {
	for _, line := range []string{
		"GET / HTTP/1.1\r\n\r\n" + hidden,
		"GET /\r\nX: y HTTP/1.1", "GET /\nX: y HTTP/1.1", "GET /\rX: y HTTP/1.1", "GET /\x00 HTTP/1.1", "GET / HTTP/1.1\rX: y",
		"GET / HTTP/1.1\nX: y", "GET /a b HTTP/1.1", "GET\x0b/ HTTP/1.1", "GET /\x0bHTTP/1.1", "GET /\u2028 HTTP/1.1 HTTP/1.1",
		"GET / HTTP/1.1 HTTP/1.1", "GET /", "GET / HTTP/1.1\x00", "GET / HTTP/1.1\t", "GET /#\r\n HTTP/1.1", "G\x00ET / HTTP/1.1",
		"GET http://h:80@evil/ HTTP/1.1", "GET http://h/\r\nX: y HTTP/1.1", "GET http://h\\.evil/ HTTP/1.1", "GET h/../evil HTTP/1.1",
		"CONNECT evil:80 HTTP/1.1", "GET / HTTP/1.1\r\n: \r\n", "GET / HTTP/0.9", "GET / HTTP/1.01", "GET / HTTP/+1.1", "GET / HTTP /1.1",
	} {
		src := line + "\r\nHost: h\r\n\r\n"
		var r wire.Request
		if n, err := h1.ReadRequest(&r, []byte(src), nil); n != 0 || err == nil {
			t.Errorf("%q: %d, %v", strings.TrimSpace(src), n, err)
		}
	}
}
