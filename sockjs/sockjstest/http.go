package sockjstest

import (
	"strings"
)

const (
	keepAlive = "Connection: Keep-Alive"
	welcome   = "Welcome to SockJS!\n"
)

func http10Cases() []testCase {
	return []testCase{
		{"HTTP10/an answer of known length", http10Synchronous},
		{"HTTP10/a stream", http10Streaming},
	}
}

func http10Synchronous(p *probe) {
	w := p.dial()
	w.ask("GET", echoPath, "1.0", "", header{keepAlive})
	a := w.mustHead()
	p.status(a, 200)
	if a.proto != "1.0" && a.proto != "1.1" {
		p.t.Errorf("answer in HTTP/%s", a.proto)
	}
	p.absent(a, "Transfer-Encoding")
	if !a.has("Content-Length") {
		p.equal("Connection", strings.ToLower(a.get("Connection")), "close")
		w.expect(welcome)
		w.closed()
		return
	}
	p.equal("Content-Length", a.get("Content-Length"), "19")
	w.expect(welcome)
	switch connection := strings.ToLower(a.get("Connection")); connection {
	case "", "close":
		w.closed()
	default:
		p.equal("Connection", connection, "keep-alive")
		w.ask("GET", echoPath, "1.0", "", header{keepAlive})
		p.status(w.mustHead(), 200)
	}
}

func http10Streaming(p *probe) {
	w := p.dial()
	w.ask("POST", session(closePath)+"/xhr_streaming", "1.0", "", header{keepAlive})
	a := w.mustHead()
	p.status(a, 200)
	p.absent(a, "Transfer-Encoding", "Content-Length")
	w.expect(xhrPrelude() + "o\n" + goAway + "\n")
	w.closed()
}

func http11Cases() []testCase {
	return []testCase{
		{"HTTP11/an answer of known length", http11Synchronous},
		{"HTTP11/a stream", http11Streaming},
	}
}

func http11Synchronous(p *probe) {
	w := p.dial()
	w.ask("GET", echoPath, "1.1", "", header{keepAlive})
	a := w.mustHead()
	p.equal("version", a.proto, "1.1")
	if c := strings.ToLower(a.get("Connection")); c != "" && c != "keep-alive" {
		p.t.Fatalf("Connection is %q; want it to stay open", c)
	}
	if a.has("Content-Length") {
		p.equal("Content-Length", a.get("Content-Length"), "19")
		p.absent(a, "Transfer-Encoding")
		w.expect(welcome)
	} else {
		p.equal("Transfer-Encoding", strings.ToLower(a.get("Transfer-Encoding")), "chunked")
		w.expect(welcome)
		w.ended()
		w.expectWire("\r\n") // no trailers
	}
	w.ask("GET", echoPath, "1.1", "", header{keepAlive})
	p.status(w.mustHead(), 200)
}

func http11Streaming(p *probe) {
	w := p.dial()
	w.ask("POST", session(closePath)+"/xhr_streaming", "1.1", "", header{keepAlive})
	a := w.mustHead()
	p.status(a, 200)
	p.equal("Transfer-Encoding", strings.ToLower(a.get("Transfer-Encoding")), "chunked")
	p.absent(a, "Content-Length")
	w.expect(xhrPrelude() + "o\n" + goAway + "\n")
	w.ended()
}

// expectWire reads what the connection has to continue with, whatever the
// body is.
func (w *wire) expectWire(want string) {
	w.p.t.Helper()
	w.body = w.in
	w.expect(want)
}
