package h2_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// A malformed request resets its stream (RFC 9113 §8.1.1) and the connection
// goes on.
func TestMalformedHeadsAreReset(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	long := strings.Repeat("x", 17<<10)
	for i, pairs := range [][]string{
		{":method", "GET", ":scheme", "https", ":authority", "localhost"},
		{":method", "GET", ":scheme", "https", ":path", "/"},
		{":method", "GET", ":authority", "localhost", ":path", "/"},
		{":scheme", "https", ":authority", "localhost", ":path", "/"},
		head("get", "/"),
		head("G T", "/"),
		head("", "/"),
		head("GET", ""),
		head("GET", "x"),
		head("GET", "*"),
		head("GET", "/a b"),
		head("GET", "/#a"),
		head("GET", "/\x00"),
		head("GET", "https://localhost/"),
		head("GET", "/", ":path", "/"),
		head("GET", "/", "a", "b", ":path", "/"),
		head("GET", "/", ":status", "200"),
		head("GET", "/", ":protocol", "websocket"),
		head("GET", "/", "Accept", "x"),
		head("GET", "/", "a b", "x"),
		head("GET", "/", "a:", "x"),
		head("GET", "/", "", "x"),
		head("GET", "/", "a", "x\r\ny: z"),
		head("GET", "/", "a", "x\x00"),
		head("GET", "/", "a", " x"),
		head("GET", "/", "a", "x\t"),
		head("GET", "/", "connection", "close"),
		head("GET", "/", "keep-alive", "x"),
		head("GET", "/", "proxy-connection", "x"),
		head("GET", "/", "transfer-encoding", "chunked"),
		head("GET", "/", "upgrade", "h2c"),
		head("GET", "/", "te", "gzip"),
		head("GET", "/", "host", "elsewhere"),
		head("GET", "/", "host", "localhost", "host", "localhost"),
		head("GET", "/", "content-length", "1"),
		head("POST", "/", "content-length", "x"),
		head("POST", "/", "content-length", "-1"),
		head("POST", "/", "content-length", "0", "content-length", "0"),
		head("CONNECT", "/"),
		head("CONNECT", "/", ":protocol", "websocket", "content-length", "0"),
		{":method", "GET", ":scheme", "ftp", ":authority", "localhost", ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", "user@localhost", ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", "", ":path", "/"},
		{":method", long, ":scheme", "https", ":authority", "localhost", ":path", "/"},
	} {
		id := uint32(2*i + 1)
		block := p.pack(pairs...)
		p.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, EndStream: true, EndHeaders: len(block) <= 16384, BlockFragment: block[:min(len(block), 16384)],
		})
		if len(block) > 16384 {
			p.WriteContinuation(id, true, block[16384:])
		}
		p.flush()
		p.waitReset(id, http2.ErrCodeProtocol)
	}
	p.request(9001, true, head("GET", "/")...)
	if status, body := p.waitAnswer(9001); status != "200" || body != "hello" {
		t.Errorf("afterwards: %s %q", status, body)
	}
}

// What is well-formed but not served gets an answer, and the table of fields
// stays in step.
func TestRefusedHeadsAreAnswered(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	p := dial(t, s)
	var many []string
	for i := range 257 {
		many = append(many, fmt.Sprintf("a%d", i), "x")
	}
	kilo := strings.Repeat("y", 15<<10)
	for i, c := range []struct {
		status string
		pairs  []string
	}{
		{"405", head("TRACE", "/")},
		{"405", []string{":method", "CONNECT", ":authority", "localhost:443"}},
		{"501", head("CONNECT", "/", ":protocol", "connect-udp")},
		{"417", head("POST", "/", "expect", "miracles")},
		{"414", head("GET", "/"+strings.Repeat("x", 17<<10))},
		{"414", head("GET", "/"+strings.Repeat("x", 16<<10-10))},
		{"413", head("GET", "/", "a", strings.Repeat("x", 17<<10))},
		{"413", head("GET", "/", "a", kilo, "b", kilo, "c", kilo, "d", kilo, "e", kilo)},
		{"413", head("GET", "/", many...)},
		{"200", head("GET", "/", many[:512]...)},
		{"200", head("GET", "/", "a", kilo, "b", kilo, "c", kilo, "d", kilo)},
		{"200", head("OPTIONS", "*")},
		{"200", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "localhost"}},
		{"200", head("GET", "/", "te", "trailers", "host", "LOCALHOST")},
	} {
		id := uint32(2*i + 1)
		rest := p.pack(c.pairs...)
		piece := rest[:min(len(rest), 16384)]
		rest = rest[len(piece):]
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: len(rest) == 0, BlockFragment: piece})
		for len(rest) > 0 {
			piece = rest[:min(len(rest), 16384)]
			rest = rest[len(piece):]
			p.WriteContinuation(id, len(rest) == 0, piece)
		}
		p.flush()
		if status, _ := p.waitAnswer(id); status != c.status {
			t.Errorf("case %d: %s, want %s", i, status, c.status)
		}
	}
}

// seen is what a handler was told of a request.
func seen(t testing.TB, end bool, pairs ...string) wire.Request {
	t.Helper()
	got := make(chan wire.Request, 1)
	client, _, ended := pipe(h2.Config{Handler: func(s *h2.Stream) {
		r := *s.Request()
		r.Fields = nil
		for _, f := range s.Request().Fields {
			f.Name, f.Value = bytes.Clone(f.Name), bytes.Clone(f.Value)
			r.Fields = append(r.Fields, f)
		}
		r.Method, r.Target, r.Host = bytes.Clone(r.Method), bytes.Clone(r.Target), bytes.Clone(r.Host)
		r.Path, r.Query, r.Upgrade = bytes.Clone(r.Path), bytes.Clone(r.Query), bytes.Clone(r.Upgrade)
		got <- r
	}})
	p := newPeer(t, client, false)
	p.request(1, end, pairs...)
	r := <-got
	client.Close()
	<-ended
	return r
}

func TestHeadsBecomeRequests(t *testing.T) {
	r := seen(t, true, head("GET", "/a/b?c=d", "cookie", "a=1", "x-y", "z", "cookie", "b=2", "te", "trailers", "cookie", "c=3")...)
	if r.Major != 2 || string(r.Method) != "GET" || string(r.Target) != "/a/b?c=d" || string(r.Host) != "localhost" ||
		string(r.Path) != "/a/b" || string(r.Query) != "c=d" || r.Framing != wire.NoBody || r.Class != wire.Compliant {
		t.Errorf("%+v", r)
	}
	if cookie := r.Get(wire.Cookie); string(cookie) != "a=1; b=2; c=3" {
		t.Errorf("cookie %q", cookie)
	}
	if len(r.Fields) != 3 || !r.Fields[2].Hop {
		t.Errorf("fields %v", r.Fields)
	}
	for _, c := range []struct {
		name    string
		end     bool
		pairs   []string
		framing wire.Framing
		length  int64
		class   wire.Class
		expect  bool
	}{
		{"POST without a length", false, head("POST", "/"), wire.Chunked, 0, wire.Compliant, false},
		{"POST with a length", false, head("POST", "/", "content-length", "7"), wire.Sized, 7, wire.Compliant, false},
		{"POST of nothing", true, head("POST", "/", "content-length", "0"), wire.Sized, 0, wire.Compliant, false},
		{"POST that waits", false, head("POST", "/", "expect", "100-Continue"), wire.Chunked, 0, wire.Compliant, true},
		{"POST that need not wait", true, head("POST", "/", "expect", "100-continue"), wire.NoBody, 0, wire.Compliant, false},
		{"GET with content", false, head("GET", "/", "content-length", "7"), wire.Sized, 7, wire.Ambiguous, false},
		{"GET with no content", true, head("GET", "/", "content-length", "0"), wire.Sized, 0, wire.Acceptable, false},
		{"a disguise", true, head("GET", "/", "content_length", "7"), wire.NoBody, 0, wire.Ambiguous, false},
		{"another", true, head("GET", "/", "transfer.encoding", "chunked"), wire.NoBody, 0, wire.Ambiguous, false},
		{"no disguise", true, head("GET", "/", "x-transfer-encoding-of-mine", "chunked"), wire.NoBody, 0, wire.Compliant, false},
	} {
		r := seen(t, c.end, c.pairs...)
		if r.Framing != c.framing || r.Length != c.length || r.Class != c.class || r.Expect != c.expect {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	ws := seen(t, false, head("CONNECT", "/chat", ":protocol", "websocket", "sec-websocket-version", "13")...)
	if string(ws.Method) != "GET" || string(ws.Upgrade) != "websocket" || ws.Framing != wire.NoBody || string(ws.Path) != "/chat" {
		t.Errorf("extended CONNECT: %+v", ws)
	}
	disguise := seen(t, false, head("CONNECT", "/chat", ":protocol", "websocket", "content_length", "5")...)
	if disguise.Class != wire.Ambiguous || disguise.Reason != "SuspiciousHeader" {
		t.Errorf("extended CONNECT with a disguised length: %+v", disguise)
	}
}

// Every status arrives, before and after the client changes the size of its
// table, which the server has to confirm first thing (RFC 7541 §4.2).
func TestStatusesArrive(t *testing.T) {
	s := serve(t, h2.Config{Handler: func(s *h2.Stream) {
		status := 0
		for _, digit := range s.Request().Query {
			status = 10*status + int(digit-'0')
		}
		answer(s, status, "", field("X-Long", strings.Repeat("x", 200)))
	}})
	p := dial(t, s)
	id := uint32(1)
	for _, size := range []uint32{4096, 0, 100, 4096, 1 << 20} {
		p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
		for _, status := range []string{"200", "204", "206", "304", "400", "404", "500", "201", "503", "999"} {
			p.request(id, true, head("GET", "/?"+status)...)
			if got, _ := p.waitAnswer(id); got != status {
				t.Fatalf("%q arrived as %q (table %d)", status, got, size)
			}
			id += 2
		}
	}
}

// A WebSocket through extended CONNECT (RFC 8441) is content both ways, with an
// end of its own in either direction.
func TestTunnelThroughExtendedConnect(t *testing.T) {
	s := serve(t, h2.Config{Handler: echo})
	p := dial(t, s)
	p.wait("SETTINGS", func(s said) bool { return s.Type == http2.FrameSettings })
	p.request(1, false, head("CONNECT", "/chat", ":protocol", "websocket")...)
	for _, word := range []string{"ping", "pong"} {
		p.WriteData(1, false, []byte(word))
		p.flush()
		if got := p.wait("an echo", func(s said) bool { return s.Type == http2.FrameData }); string(got.data) != word {
			t.Fatalf("%q came back as %q", word, got.data)
		}
	}
	p.WriteData(1, true, []byte("bye"))
	p.flush()
	if _, rest := p.waitAnswer(1); rest != "bye" {
		t.Errorf("the last word came back as %q", rest)
	}
}

// Whatever fields a client sends: what a handler is told can be written as the
// head of one HTTP/1.1 request.
func TestPropertyHeadsAreSafe(t *testing.T) {
	name := rapid.OneOf(
		rapid.SampledFrom([]string{":path", ":method", ":authority", ":scheme", ":protocol", "host", "cookie", "content-length", "te", "expect", "connection"}),
		rapid.StringMatching(`[a-z-]{1,12}`), rapid.String(),
	)
	value := rapid.OneOf(rapid.SampledFrom([]string{"/", "GET", "https", "localhost", "0", "7", "websocket", "CONNECT"}), rapid.StringMatching(`[ -~]{0,20}`), rapid.String())
	rapid.Check(t, func(r *rapid.T) {
		pairs := []string{}
		if rapid.Bool().Draw(r, "sound") {
			pairs = head("POST", "/")
		}
		for range rapid.IntRange(0, 8).Draw(r, "fields") {
			pairs = append(pairs, name.Draw(r, "name"), value.Draw(r, "value"))
		}
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for i := 0; i < len(pairs); i += 2 {
			enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		var input bytes.Buffer
		framer := http2.NewFramer(&input, nil)
		framer.WriteSettings()
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: rapid.Bool().Draw(r, "end"), BlockFragment: block.Bytes()})
		feed(input.Bytes(), func(s *h2.Stream) {
			if status, _ := s.Refused(); status == 0 {
				if err := sound(s.Request()); err != "" {
					r.Errorf("%s: %q became %+v", err, pairs, s.Request())
				}
			}
		})
	})
}

// sound says what would go wrong if this head were written down.
func sound(r *wire.Request) string {
	if !wire.MethodChar.All(r.Method) || !wire.TargetChar.All(r.Target) {
		return "request line"
	}
	if r.Path[0] != '/' && string(r.Path) != "*" {
		return "path"
	}
	if _, _, ok := wire.SplitAuthority(r.Host); !ok {
		return "authority"
	}
	lengths, hosts, cookies := 0, 0, 0
	for _, f := range r.Fields {
		if !wire.TokenChar.All(f.Name) || bytes.ToLower(f.Name)[0] != f.Name[0] || len(f.Value) > 0 && !wire.ValueChar.All(f.Value) {
			return "field " + string(f.Name)
		}
		if f.ID != wire.NameOf(f.Name) {
			return "identity of " + string(f.Name)
		}
		switch f.ID {
		case wire.ContentLength:
			lengths++
		case wire.Host:
			hosts++
		case wire.Cookie:
			cookies++
		case wire.TransferEncoding, wire.Connection, wire.Upgrade, wire.KeepAlive:
			return "hop"
		}
	}
	if lengths > 1 || hosts > 1 || cookies > 1 || (lengths == 1) != (r.Framing == wire.Sized) {
		return "framing"
	}
	return ""
}
