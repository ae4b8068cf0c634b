package h1_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"unsafe"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// tight limits let short inputs reach them.
func tight() *h1.Limits { return &h1.Limits{Line: 200, Field: 120, Head: 300, Answer: 250, Fields: 12} }

// inside reports whether view is a part of buf, or empty.
func inside(view, buf []byte) bool {
	if len(view) == 0 {
		return true
	}
	start, first := uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&view[0]))
	return first >= start && first+uintptr(len(view)) <= start+uintptr(len(buf))
}

// checkViews proves that fields are sound views into the head they come from.
func checkViews(t failer, fields []wire.Field, head []byte) {
	t.Helper()
	for _, f := range fields {
		if !inside(f.Name, head) || !inside(f.Value, head) {
			t.Fatalf("a field of %q lies outside of it", head)
		}
		if !wire.TokenChar.All(f.Name) || bytes.ContainsAny(f.Value, "\r\n\x00") || len(bytes.Trim(f.Value, " \t")) != len(f.Value) {
			t.Fatalf("field %q: %q", f.Name, f.Value)
		}
		if f.ID != wire.NameOf(f.Name) {
			t.Fatalf("field %q is taken for %d", f.Name, f.ID)
		}
	}
}

// sameError compares what a client would be told.
func sameError(a, b error) bool {
	var x, y *h1.Error
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return errors.Is(a, b)
	}
	return *x == *y
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(browserRequest))
	f.Add([]byte("\r\nPOST http://a:1/?b HTTP/1.0\r\nHost: c\r\nConnection: keep-alive, X\r\nX: y\r\nContent-Length: 2, 2\r\n\r\nab"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: [::1]\r\nUpgrade: a\r\nConnection: upgrade\r\nExpect: 100-continue\r\n\r\n"))
	for i, a := range attempts() {
		if i%5 == 0 {
			f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\n" + a.head + "\r\n\r\n" + a.body))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 2000 {
			return
		}
		for _, lim := range []*h1.Limits{nil, tight()} {
			checkRequest(t, src, lim)
		}
		checkForward(t, src)
	})
}

func checkRequest(t failer, src []byte, lim *h1.Limits) {
	var whole wire.Request
	n, err := h1.ReadRequest(&whole, src, lim)
	if n < 0 || n > len(src) || n > 0 && err != nil {
		t.Fatalf("n = %d, err = %v", n, err)
	}
	if n > 0 {
		checkViews(t, whole.Fields, src[:n])
		for _, view := range [][]byte{whole.Method, whole.Target, whole.Scheme, whole.Host, whole.Query, whole.Upgrade} {
			if !inside(view, src[:n]) {
				t.Fatalf("%q lies outside of %q", view, src[:n])
			}
		}
		if len(whole.Path) == 0 || whole.Path[0] != '/' && string(whole.Path) != "*" {
			t.Fatalf("path %q", whole.Path)
		}
	}
	// Nothing behind the head counts: neither its bytes nor their absence.
	var part wire.Request
	var p h1.Parser
	decided := false
	for i := range len(src) + 1 {
		cut := src[:i:i]
		k, e := h1.ReadRequest(&part, cut, lim)
		switch {
		case k == 0 && e == nil:
			if n > 0 && i >= n {
				t.Fatalf("%q is a head in %q, but not alone", src[:n], src)
			}
		case k != n || !sameError(e, err):
			t.Fatalf("%q: %d, %v; all of %q: %d, %v", cut, k, e, src, n, err)
		case e == nil && !reflect.DeepEqual(part, whole):
			t.Fatalf("%q is read in two ways", src[:n])
		}
		if decided {
			continue
		}
		k, e = p.ReadRequest(&part, cut, lim)
		decided = k > 0 || e != nil
		if decided && (k != n || !sameError(e, err)) {
			t.Fatalf("%q in pieces: %d, %v; whole: %d, %v", src, k, e, n, err)
		}
		if n > 0 && i >= n && !decided {
			t.Fatalf("%q in pieces has no end", src[:n])
		}
	}
}

func FuzzReadResponse(f *testing.F) {
	f.Add([]byte(ordinaryAnswer), true)
	f.Add([]byte("HTTP/1.0 200\r\nContent-Length : 5\r\nConnection: keep-alive\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00"), true)
	f.Add([]byte("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX: \xff\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, src []byte, get bool) {
		if len(src) > 2000 {
			return
		}
		method := []byte("HEAD")
		if get {
			method = []byte("GET")
		}
		for _, lim := range []*h1.Limits{nil, tight()} {
			checkResponse(t, src, method, lim)
		}
	})
}

func checkResponse(t *testing.T, src, method []byte, lim *h1.Limits) {
	var whole wire.Response
	n, err := h1.ReadResponse(&whole, src, method, lim)
	if n < 0 || n > len(src) || n > 0 && err != nil {
		t.Fatalf("n = %d, err = %v", n, err)
	}
	if n > 0 {
		checkViews(t, whole.Fields, src[:n])
		if !inside(whole.Reason, src[:n]) || !inside(whole.Upgrade, src[:n]) || whole.Status < 100 || whole.Status > 999 {
			t.Fatalf("%q: %d %q", src[:n], whole.Status, whole.Reason)
		}
		if whole.Framing == wire.UntilClose && !whole.Close {
			t.Fatalf("%q ends with the connection, which stays", src[:n])
		}
	}
	var part wire.Response
	var p h1.Parser
	decided := false
	for i := range len(src) + 1 {
		cut := src[:i:i]
		k, e := h1.ReadResponse(&part, cut, method, lim)
		switch {
		case k == 0 && e == nil:
			if n > 0 && i >= n {
				t.Fatalf("%q is a head in %q, but not alone", src[:n], src)
			}
		case k != n || !sameError(e, err):
			t.Fatalf("%q: %d, %v; all of %q: %d, %v", cut, k, e, src, n, err)
		case e == nil && !reflect.DeepEqual(part, whole):
			t.Fatalf("%q is read in two ways", src[:n])
		}
		if decided {
			continue
		}
		k, e = p.ReadResponse(&part, cut, method, lim)
		decided = k > 0 || e != nil
		if decided && (k != n || !sameError(e, err)) {
			t.Fatalf("%q in pieces: %d, %v; whole: %d, %v", src, k, e, n, err)
		}
		if n > 0 && i >= n && !decided {
			t.Fatalf("%q in pieces has no end", src[:n])
		}
	}
}

// FuzzBody reads a body whole, byte by byte and in pieces: each way has to give
// the same payload, end and error.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		chunkedBody, "5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\nHost: c\r\n\r\nGET", "0\r\n\r\n", "5\nhello", "fffffffffffffff\r\n", "0\r\n: \r\n\r\n",
	} {
		f.Add([]byte(s), uint8(wire.Chunked), int64(0), uint8(3))
	}
	f.Add([]byte("hello"), uint8(wire.Sized), int64(3), uint8(2))
	f.Add([]byte("hello"), uint8(wire.UntilClose), int64(0), uint8(2))
	f.Fuzz(func(t *testing.T, src []byte, framing uint8, length int64, piece uint8) {
		kind := wire.Framing(framing % 4)
		var want string
		var wantRest []byte
		var wantErr error
		var wantTrailers []wire.Field
		for i, size := range []int{len(src) + 1, 1, int(piece) + 1} {
			var b h1.Body
			b.Reset(kind, length, tight())
			got, rest, err := drain(&b, src, size)
			if i == 0 {
				want, wantRest, wantErr, wantTrailers = got, rest, err, b.Trailers()
				for _, f := range wantTrailers {
					if f.Hop || !f.InTrailer() || bytes.ContainsAny(f.Value, "\r\n\x00") {
						t.Fatalf("trailer %q: %q", f.Name, f.Value)
					}
				}
				continue
			}
			if got != want || !bytes.Equal(rest, wantRest) || !sameError(err, wantErr) || !reflect.DeepEqual(b.Trailers(), wantTrailers) {
				t.Fatalf("%q by %d: %q, then %q, %v; whole: %q, then %q, %v", src, size, got, rest, err, want, wantRest, wantErr)
			}
		}
		if len(want)+len(wantRest) > len(src) {
			t.Fatalf("%q gave %q and left %q", src, want, wantRest)
		}
	})
}
