package h1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

func TestAnswerHasItsParts(t *testing.T) {
	var r wire.Response
	n, err := h1.ReadResponse(&r, []byte(ordinaryAnswer), []byte("GET"), nil)
	if err != nil || n != len(ordinaryAnswer) {
		t.Fatal(n, err)
	}
	if r.Status != 200 || string(r.Reason) != "OK" || r.Major != 1 || r.Minor != 1 || len(r.Fields) != 6 {
		t.Errorf("%d %q HTTP/%d.%d, %d fields", r.Status, r.Reason, r.Major, r.Minor, len(r.Fields))
	}
	if r.Framing != wire.Sized || r.Length != 79 || r.Close || r.Upgrade != nil {
		t.Errorf("framing %d, length %d, close %v, upgrade %q", r.Framing, r.Length, r.Close, r.Upgrade)
	}
	if got := string(r.Get(wire.SetCookie)); got != "session=5f3c1d; Path=/; HttpOnly" {
		t.Errorf("Set-Cookie: %q", got)
	}
}

func TestAnswersAreFramed(t *testing.T) {
	for _, c := range []struct {
		method, in string
		framing    wire.Framing
		length     int64
		close      bool
	}{
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5", wire.Sized, 5, false},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", wire.Sized, 5, false},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5", wire.Sized, 5, false},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", wire.Sized, 5, true},
		{"GET", "HTTP/1.1 200\r\nContent-Length : 5", wire.Sized, 5, false},
		{"GET", "HTTP/1.1 200 \r\nContent-Length\t: 5", wire.Sized, 5, false},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", wire.Chunked, 0, false},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding : Chunked", wire.Chunked, 0, false},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity", wire.UntilClose, 0, true},
		{"GET", "HTTP/1.1 200 OK\r\nX: y", wire.UntilClose, 0, true},
		{"GET", "HTTP/1.0 200 OK\r\nX: y", wire.UntilClose, 0, true},
		{"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3", wire.Sized, 3, false},
		{"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive", wire.UntilClose, 0, true},
		{"GET", "HTTP/1.0 200 OK\r\nContent-Length: 3", wire.Sized, 3, true},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5", wire.NoBody, 0, false},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", wire.NoBody, 0, false},
		{"HEAD", "HTTP/1.1 200 OK\r\nX: y", wire.NoBody, 0, false},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5", wire.NoBody, 0, false},
		{"GET", "HTTP/1.1 204 No Content\r\nX: y", wire.NoBody, 0, false},
		{"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0", wire.NoBody, 0, false},
		{"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5", wire.NoBody, 0, true},
		{"GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked", wire.NoBody, 0, true},
		{"GET", "HTTP/1.1 100 Continue\r\nX: y", wire.NoBody, 0, false},
		{"GET", "HTTP/1.1 103 Early Hints\r\nLink: y", wire.NoBody, 0, false},
		{"GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0", wire.Sized, 0, false},
		{"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket", wire.NoBody, 0, false},
		{"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5", wire.NoBody, 0, false},
		{"CONNECT", "HTTP/1.1 407 No\r\nContent-Length: 5", wire.Sized, 5, false},
		{"GET", "HTTP/1.1 999 Denied\r\nContent-Length: 1", wire.Sized, 1, false},
		{"GET", "HTTP/1.1 200 caf\u00e9\tau lait\r\nContent-Length: 1", wire.Sized, 1, false},
	} {
		in := c.in + "\r\n\r\n"
		var r wire.Response
		n, err := h1.ReadResponse(&r, []byte(in), []byte(c.method), nil)
		if err != nil || n != len(in) {
			t.Errorf("%s %q: %d, %v", c.method, in, n, err)
			continue
		}
		if r.Framing != c.framing || r.Length != c.length || r.Close != c.close {
			t.Errorf("%s %q: framing %d, length %d, close %v", c.method, in, r.Framing, r.Length, r.Close)
		}
		if (r.Status == 101) != (string(r.Upgrade) == "websocket") {
			t.Errorf("%q: upgrade %q", in, r.Upgrade)
		}
		for _, f := range r.Fields {
			if strings.ContainsAny(string(f.Name), " \t") {
				t.Errorf("%q: name %q", in, f.Name)
			}
			if f.ID == wire.ContentLength && !f.Hop && (r.Status == 204 || r.Status/100 == 1) {
				t.Errorf("%q: Content-Length would be forwarded", in)
			}
		}
	}
}

func TestAnswersThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\rX",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
		"HTTP/1.1 200 OK\r\n X: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX y: a\r\n\r\n",
		"HTTP/1.1 200 O\x00K\r\n\r\n",
		"HTTP/1.1 200 O\rK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1\r\n\r\n",
		"HTTP/1.2 200 OK\r\n\r\n",
		"HTTP/2 200 OK\r\n\r\n",
		"http/1.1 200 OK\r\n\r\n",
		"ICY 200 OK\r\n\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: " + strings.Repeat("a,", 65) + "\r\n\r\n",
		"HTTP/1.1 200 " + strings.Repeat("a", 16<<10),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 16<<10),
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 8<<10)+"\r\n", 4) + "\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: a\r\n", 257) + "\r\n",
	} {
		var r wire.Response
		n, err := h1.ReadResponse(&r, []byte(in), []byte("GET"), nil)
		var e *h1.Error
		if n != 0 || !errors.As(err, &e) || e.Status != 502 {
			t.Errorf("%.100q: %d, %v, want 502", in, n, err)
		}
	}
}

func TestAnswerNamesItsHopFields(t *testing.T) {
	in := "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop, Set-Cookie\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nSet-Cookie: a\r\nX: 2\r\nContent-Length: 0\r\n\r\n"
	var r wire.Response
	if _, err := h1.ReadResponse(&r, []byte(in), []byte("GET"), nil); err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, f := range r.Fields {
		if !f.Hop {
			kept = append(kept, string(f.Name))
		}
	}
	if got := strings.Join(kept, " "); got != "Set-Cookie X Content-Length" {
		t.Errorf("kept: %s", got)
	}
}

func TestAnswersKeepInvalidNames(t *testing.T) {
	in := "HTTP/1.1 200 OK\r\nX_Y: 1\r\nContent-Length: 0\r\n\r\n"
	var r wire.Response
	n, err := h1.ReadResponse(&r, []byte(in), []byte("GET"), &h1.Limits{DropInvalid: true})
	if n != len(in) || err != nil || len(r.Fields) != 2 {
		t.Errorf("%d, %v, %d fields", n, err, len(r.Fields))
	}
}
