package h1_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// errIncomplete says that a message has not ended yet.
var errIncomplete = errors.New("incomplete")

// message is one request as it was understood.
type message struct {
	method, target, host string
	fields               []string // "Name: value" of what is end to end, lower-case names, in order
	body                 string
	trailers             []string
}

// understand reads the first request in src, body included.
func understand(src []byte) (m message, r wire.Request, rest []byte, err error) {
	n, err := h1.ReadRequest(&r, src, nil)
	if err != nil {
		return m, r, nil, err
	}
	if n == 0 {
		return m, r, nil, errIncomplete
	}
	m = message{
		method: string(r.Method), host: string(r.Host),
		target: string(h1.AppendTarget(nil, r.Path, r.Query)),
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if !f.Hop && f.ID != wire.Host && f.ID != wire.ContentLength && f.ID != wire.Expect {
			m.fields = append(m.fields, strings.ToLower(string(f.Name))+": "+string(f.Value))
		}
	}
	var b h1.Body
	b.Reset(r.Framing, r.Length, nil)
	for src = src[n:]; !b.Done(); {
		if len(src) == 0 {
			return m, r, nil, errIncomplete
		}
		payload, used, err := b.Next(src)
		if err != nil {
			return m, r, nil, err
		}
		m.body += string(payload)
		src = src[used:]
	}
	for _, f := range b.Trailers() {
		m.trailers = append(m.trailers, strings.ToLower(string(f.Name))+": "+string(f.Value))
	}
	return m, r, src, nil
}

// forward writes a request as a proxy does: its own request line and Host, what
// is end to end, the framing it decided on, and the body anew.
func forward(r *wire.Request, m *message) []byte {
	out := h1.AppendRequestLine(nil, r.Method, h1.AppendTarget(nil, r.Path, r.Query))
	out = h1.AppendField(out, []byte("Host"), r.Host)
	for i := range r.Fields {
		f := &r.Fields[i]
		if !f.Hop && f.ID != wire.Host && f.ID != wire.ContentLength && f.ID != wire.Expect {
			out = h1.AppendField(out, f.Name, f.Value)
		}
	}
	body := []byte(m.body)
	switch r.Framing {
	case wire.Sized:
		out = append(h1.AppendContentLength(out, r.Length), "\r\n"...)
		return append(out, body...)
	case wire.Chunked:
		out = append(h1.AppendField(out, []byte("Transfer-Encoding"), []byte("chunked")), "\r\n"...)
		half := len(body) / 2
		out = h1.AppendChunk(h1.AppendChunk(out, body[:half]), body[half:])
		return h1.AppendLastChunk(out, nil)
	}
	return append(out, "\r\n"...)
}

// another reads one request as net/http understands it, and what is left over.
func another(src []byte) (m message, rest []byte, err error) {
	reader := bufio.NewReader(bytes.NewReader(src))
	r, err := http.ReadRequest(reader)
	if err != nil {
		return m, nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return m, nil, err
	}
	rest, err = io.ReadAll(reader)
	m = message{method: r.Method, target: r.RequestURI, host: r.Host, body: string(body)}
	for name, values := range r.Header {
		for _, v := range values {
			m.fields = append(m.fields, strings.ToLower(name)+": "+v)
		}
	}
	slices.Sort(m.fields)
	return m, rest, err
}

// badEscape reports whether net/url refuses the target although RFC 9112 gives
// a proxy no reason to: where a request ends does not hang on it.
func badEscape(err error) bool {
	return strings.Contains(err.Error(), "invalid URL escape") || strings.Contains(err.Error(), "invalid URI for request")
}

// failer is what tests, fuzz tests and properties have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkForward proves that net/http reads what we forward as the one request
// that we understood.
func checkForward(t failer, src []byte) {
	t.Helper()
	m, r, _, err := understand(src)
	if err != nil || len(r.Host) == 0 && r.Minor == 0 {
		return
	}
	out := forward(&r, &m)
	got, rest, err := another(out)
	if err != nil && badEscape(err) {
		r.Path, r.Query, m.target = []byte("/"), nil, "/"
		out = forward(&r, &m)
		got, rest, err = another(out)
	}
	if err != nil || len(rest) > 0 {
		t.Fatalf("%q was forwarded as %q, which leaves %q, %v", src, out, rest, err)
	}
	// What frames the body is compared by the body; and net/http moves Trailer away
	// from Header and adds Cache-Control for an old Pragma.
	want := slices.DeleteFunc(slices.Clone(m.fields), movedByNetHTTP)
	slices.Sort(want)
	have := slices.DeleteFunc(got.fields, movedByNetHTTP)
	if got.method != m.method || got.target != m.target || got.host != m.host || got.body != m.body || !slices.Equal(have, want) {
		t.Fatalf("%q\nwas forwarded as %q\nread here as  %q\nread there as %q", src, out, m, got)
	}
	again, _, rest, err := understand(out)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%q was forwarded as %q, which we would not accept: %v", src, out, err)
	}
	if again.target != m.target || again.body != m.body || !slices.Equal(again.fields, m.fields) {
		t.Fatalf("%q changes when it is forwarded twice: %q", src, out)
	}
}

func movedByNetHTTP(field string) bool {
	for _, name := range []string{"content-length: ", "trailer: ", "cache-control: ", "pragma: "} {
		if strings.HasPrefix(field, name) {
			return true
		}
	}
	return false
}

func TestWhatIsForwardedIsOneRequest(t *testing.T) {
	const hello = "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for _, src := range []string{
		browserRequest,
		head("Content-Length: 5") + "hello",
		head("Content-Length: 5, 5") + "hello",
		head("Content-Length: 5", "Content-Length: 005") + "hello",
		head("Content-Length: 0"),
		head("Transfer-Encoding: chunked") + hello[4:],
		head("Transfer-Encoding: chunked", "Content-Length: 3") + hello[4:],
		head("Transfer-Encoding: identity", "Content-Length: 5") + "hello",
		head("Transfer-Encoding: identity"),
		head("Transfer-Encoding: chunked", "Trailer: X") + "5;ext=1\r\nhello\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n",
		head("Connection: X, Content-Length", "X: y", "Content-Length: 5") + "hello",
		head("Connection: close, Host", "Upgrade: h2c", "TE: trailers", "Keep-Alive: 1"),
		head("Content_Length: 5", "Transfer_Encoding: chunked"),
		head("X: \u00e9\xff", "Empty:", "Same: 1", "same: 2"),
		head("Expect: 100-continue", "Content-Length: 5") + "hello",
		"GET http://other.example/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://other.example?b HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET https://[::1]:8443 HTTP/1.1\r\nHost: h\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //double//slash? HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /%zz?% HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /стран HTTP/1.1\r\nHost: h\r\n\r\n",
		"\r\n\r\nDELETE / HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
	} {
		if _, _, rest, err := understand([]byte(src)); err != nil || len(rest) > 0 {
			t.Errorf("%q: %v, %q left", src, err, rest)
		}
		checkForward(t, []byte(src))
	}
}
