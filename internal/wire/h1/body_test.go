package h1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// drain reads a body that arrives in pieces of the given size, and returns its
// payload, what is left of src and the error.
func drain(b *h1.Body, src []byte, piece int) (payload string, rest []byte, err error) {
	var out strings.Builder
	held := 0 // bytes of src that have arrived
	for !b.Done() && err == nil {
		if held == 0 {
			if len(src) == 0 {
				return out.String(), nil, b.EOF()
			}
			held = min(piece, len(src))
		}
		var part []byte
		var n int
		part, n, err = b.Next(src[:held:held])
		out.Write(part)
		src = src[n:]
		held -= n
	}
	return out.String(), src, err
}

func chunked(lim *h1.Limits) *h1.Body {
	var b h1.Body
	b.Reset(wire.Chunked, 0, lim)
	return &b
}

func TestChunkedBodies(t *testing.T) {
	for in, want := range map[string]string{
		"0\r\n\r\n":                                             "",
		"5\r\nhello\r\n0\r\n\r\n":                               "hello",
		"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n":                "hello world",
		"A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n":      "01234567890123456789",
		"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n": "hello",
		"5;a\r\nhello\r\n0;b=c;d=\"e f\"\r\n\r\n":               "hello",
		"5 \t;a=\"b\tc\"\r\nhello\r\n0\r\n\r\n":                 "hello",
		"5;\xe9\r\n\r\n\r\n\r\r\n0\r\n\r\n":                     "\r\n\r\n\r",
		"1\r\na\r\n0\r\nX: y\r\n\r\n":                           "a",
	} {
		for _, piece := range []int{1, 2, 3, 7, len(in) + 9} {
			src := []byte(in + "GET / NEXT")
			got, rest, err := drain(chunked(nil), src, piece)
			if err != nil || got != want || string(rest) != "GET / NEXT" {
				t.Errorf("%q by %d: %q, then %q, %v", in, piece, got, rest, err)
			}
		}
	}
}

func TestChunkedBodiesAreStrict(t *testing.T) {
	for _, in := range []string{
		"\r\n", ";a\r\n", " 5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\n", "0x5\r\nhello\r\n", "5h\r\nhello\r\n",
		"g\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5 5\r\nhello\r\n", "5\nhello\r\n0\r\n\r\n", "5\rhello", "5\r\rhello",
		"5;a\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n", "5;\x00\r\nhello\r\n", "5;a\x7f\r\nhello\r\n",
		"5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n",
		"10000000000000000\r\n", "00000000000000005\r\n", "8000000000000000\r\n", "ffffffffffffffff\r\n",
		"0\r\nX: y\n\r\n", "0\r\n\n", "0\n\r\n", "0\r\n folded: y\r\n\r\n", "0\r\nX : y\r\n\r\n", "0\r\nX\r\n\r\n", "0\r\n: y\r\n\r\n",
		"0\r\nX: \x00\r\n\r\n", "0\r\nX: a\rb\r\n\r\n", "0\r\n\rX\r\n\r\n",
		"5;" + strings.Repeat("a", 16<<10) + "\r\nhello\r\n0\r\n\r\n",
		strings.Repeat("1;"+strings.Repeat("a", 1024)+"\r\nx\r\n", 17) + "0\r\n\r\n",
	} {
		for _, piece := range []int{1, len(in)} {
			b := chunked(nil)
			_, _, err := drain(b, []byte(in), piece)
			var e *h1.Error
			if !errors.As(err, &e) || e.Status != 400 || e.Reason != "BadTransferEncoding" && e.Reason != "BadHeader" {
				t.Errorf("%.80q by %d: %v", in, piece, err)
				continue
			}
			if b.Done() {
				t.Errorf("%.80q: done after an error", in)
			}
			if _, n, again := b.Next([]byte("0\r\n\r\n")); n != 0 || !errors.Is(again, err) || !errors.Is(b.EOF(), err) {
				t.Errorf("%.80q: the error was forgotten: %v", in, again)
			}
		}
	}
}

func TestTrailers(t *testing.T) {
	in := "1\r\na\r\n0\r\nDigest: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nCookie: a\r\n" +
		"X-Forwarded-For: 1.2.3.4\r\nAuthorization: b\r\nConnection: close\r\ngrpc-status:  0 \r\n\r\n"
	for _, piece := range []int{1, 5, len(in)} {
		b := chunked(nil)
		src := []byte(in)
		if _, _, err := drain(b, src, piece); err != nil {
			t.Fatal(err)
		}
		for i := range src {
			src[i] = '!' // trailers are copies
		}
		var got []string
		for _, f := range b.Trailers() {
			got = append(got, string(f.Name)+"="+string(f.Value))
		}
		if s := strings.Join(got, " "); s != "Digest=x grpc-status=0" {
			t.Errorf("by %d: %s", piece, s)
		}
	}
	b := chunked(nil)
	if b.Trailers() != nil {
		t.Error("trailers before the end")
	}
}

func TestTrailersAreBounded(t *testing.T) {
	lim := &h1.Limits{Field: 64, Fields: 3}
	for in, status := range map[string]int{
		"0\r\nA: " + strings.Repeat("a", 59) + "\r\n\r\n": 0,
		"0\r\nA: " + strings.Repeat("a", 60) + "\r\n\r\n": 413,
		"0\r\nA: " + strings.Repeat("a", 500):             413,
		"0\r\nA:\r\nB:\r\nC:\r\n\r\n":                     0,
		"0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n":               413,
	} {
		_, _, err := drain(chunked(lim), []byte(in), 1)
		var e *h1.Error
		if status == 0 && err != nil || status != 0 && (!errors.As(err, &e) || e.Status != status) {
			t.Errorf("%q: %v, want %d", in, err, status)
		}
	}
}

func TestOtherBodies(t *testing.T) {
	var b h1.Body
	if !b.Done() || b.EOF() != nil {
		t.Error("the zero body is not empty")
	}
	b.Reset(wire.NoBody, 9, nil)
	if p, n, err := b.Next([]byte("next")); !b.Done() || len(p) != 0 || n != 0 || err != nil {
		t.Error("no body, yet something was read:", p, n, err)
	}
	b.Reset(wire.Sized, 0, nil)
	if !b.Done() {
		t.Error("a body of length 0 is not done")
	}
	b.Reset(wire.Sized, -1, nil)
	if !b.Done() {
		t.Error("a body of negative length is not done")
	}
	b.Reset(wire.Sized, 5, nil)
	got, rest, err := drain(&b, []byte("helloGET"), 2)
	if got != "hello" || string(rest) != "GET" || err != nil || b.EOF() != nil {
		t.Errorf("%q, then %q, %v", got, rest, err)
	}
	b.Reset(wire.UntilClose, 0, nil)
	got, _, err = drain(&b, []byte("hello"), 2)
	if got != "hello" || err != nil || !b.Done() {
		t.Errorf("%q, %v, done %v", got, err, b.Done())
	}
	if p, n, _ := b.Next([]byte("more")); len(p) != 0 || n != 0 {
		t.Error("bytes after the close")
	}
}

func TestAClosedPeerTruncates(t *testing.T) {
	for _, in := range []string{"", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nX: y\r\n"} {
		b := chunked(nil)
		_, _, err := drain(b, []byte(in), 3)
		var e *h1.Error
		if !errors.As(err, &e) || e.Reason != "TruncatedBody" {
			t.Errorf("%q: %v", in, err)
		}
	}
	var b h1.Body
	b.Reset(wire.Sized, 5, nil)
	if _, _, err := drain(&b, []byte("hell"), 9); err == nil {
		t.Error("four of five bytes were enough")
	}
}

func TestALoneLFInATrailerIsNoticedAtOnce(t *testing.T) {
	for _, in := range []string{"0\r\nX: y\n", "0\r\n\n", "0\r\nX: y\r\nZ\n"} {
		_, n, err := chunked(nil).Next([]byte(in))
		if err == nil || n != len(in)-1 {
			t.Errorf("%q: %d, %v", in, n, err)
		}
	}
}
