package sockjstest

import (
	"encoding/json"
	"fmt"
	"strings"
)

func xhrStreamingCases() []testCase {
	return []testCase{
		{"XHRStreaming/has a preflight", func(p *probe) {
			p.preflight(echoPath+"/abc/abc/xhr_streaming", "OPTIONS, POST")
		}},
		{"XHRStreaming/carries messages", xhrStreamingTransport},
		{"XHRStreaming/ends at the limit", xhrStreamingLimit},
	}
}

// xhrPrelude opens every xhr_streaming response.
func xhrPrelude() string { return strings.Repeat("h", 2048) + "\n" }

func xhrStreamingTransport(p *probe) {
	path := session(echoPath)
	a, w := p.open("POST", path+"/xhr_streaming")
	defer w.cut()
	p.status(a, 200)
	p.contentType(a, "application/javascript;charset=UTF-8")
	p.cors(a, "")
	p.notCached(a)
	w.expect(xhrPrelude() + "o\n")
	p.is(p.post(path+"/xhr_send", `["x"]`), 204, "")
	w.expect("a[\"x\"]\n")
}

func xhrStreamingLimit(p *probe) {
	path := session(echoPath)
	a, w := p.open("POST", path+"/xhr_streaming")
	p.status(a, 200)
	w.expect(xhrPrelude() + "o\n")
	msg := `["` + strings.Repeat("x", 128) + `"]`
	for range 31 {
		p.is(p.post(path+"/xhr_send", msg), 204, "")
		w.expect("a" + msg + "\n")
	}
	w.ended()
}

func eventSourceCases() []testCase {
	return []testCase{
		{"EventSource/carries messages", eventSourceTransport},
		{"EventSource/ends at the limit", func(p *probe) {
			streamLimit(p, "/eventsource", func(w *wire) { w.expect("\r\ndata: o\r\n\r\n") },
				func(msg string) string { return `data: a["` + msg + "\"]\r\n\r\n" })
		}},
	}
}

func eventSourceTransport(p *probe) {
	path := session(echoPath)
	a, w := p.open("GET", path+"/eventsource")
	defer w.cut()
	p.status(a, 200)
	p.contentType(a, "text/event-stream;charset=UTF-8")
	p.notCached(a)
	w.expect("\r\ndata: o\r\n\r\n")
	p.is(p.post(path+"/xhr_send", `["x"]`), 204, "")
	w.expect("data: a[\"x\"]\r\n\r\n")
	p.is(p.post(path+"/xhr_send", `["  \u0000\n\r "]`), 204, "")
	w.expect(`data: a["  \u0000\n\r "]` + "\r\n\r\n")
}

// streamLimit sends one message as long as the whole limit.
func streamLimit(p *probe, suffix string, begin func(*wire), frame func(msg string) string) {
	path := session(echoPath)
	a, w := p.open("GET", path+suffix)
	p.status(a, 200)
	begin(w)
	msg := strings.Repeat("x", responseLimit)
	p.is(p.post(path+"/xhr_send", `["`+msg+`"]`), 204, "")
	w.expect(frame(msg))
	w.ended()
}

// htmlHead is the beginning of an htmlfile, as the protocol gives it.
const htmlHead = `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.%s;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>`

// htmlFrame is a frame that needs nothing more than its quotes escaped.
func htmlFrame(frame string) string {
	return `<script>` + "\n" + `p("` + strings.ReplaceAll(frame, `"`, `\"`) + `");` + "\n</script>\r\n"
}

func htmlFileCases() []testCase {
	return []testCase{
		{"HTMLFile/carries messages", htmlFileTransport},
		{"HTMLFile/needs a callback", func(p *probe) {
			p.says(p.get(echoPath+"/a/a/htmlfile"), 500, `"callback" parameter required`)
		}},
		{"HTMLFile/ends at the limit", func(p *probe) {
			streamLimit(p, "/htmlfile?c=callback", func(w *wire) { w.readPast(htmlFrame("o")) },
				func(msg string) string { return htmlFrame(`a["` + msg + `"]`) })
		}},
	}
}

func htmlFileTransport(p *probe) {
	path := session(echoPath)
	a, w := p.open("GET", path+"/htmlfile?c=%63allback")
	defer w.cut()
	p.status(a, 200)
	p.contentType(a, "text/html;charset=UTF-8")
	p.notCached(a)
	head := w.readPast(htmlFrame("o"))
	p.equal("head", strings.TrimSpace(head), fmt.Sprintf(htmlHead, "callback"))
	if len(head) <= 1024 {
		p.t.Errorf("head is %d bytes; want more than 1024", len(head))
	}
	p.is(p.post(path+"/xhr_send", `["x"]`), 204, "")
	w.expect(htmlFrame(`a["x"]`))
}

func encodingCases() []testCase {
	return []testCase{
		{"Encoding/the server escapes what browsers mangle", serverEscapes},
		{"Encoding/the server understands every escape", serverUnescapes},
	}
}

func serverEscapes(p *probe) {
	var plain, escaped strings.Builder
	for r := rune(0xff); r <= 0xffff; r++ {
		switch {
		case r >= 0x200c && r <= 0x200f, r >= 0x2028 && r <= 0x202f, r >= 0x2060 && r <= 0x206f, r >= 0xfff0:
			plain.WriteRune(r)
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
	}
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	p.is(p.post(path+"/xhr_send", `["`+plain.String()+`"]`), 204, "")
	p.is(p.post(path+"/xhr", ""), 200, `a["`+escaped.String()+"\"]\n")
}

// serverUnescapes sends every UTF-16 code unit that stands for itself, a
// client's escapable characters among them, as an escape.
func serverUnescapes(p *probe) {
	var plain, escaped strings.Builder
	for r := rune(0); r <= 0xffff; r++ {
		if r < 0xd800 || r > 0xdfff {
			plain.WriteRune(r)
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
	}
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	p.is(p.post(path+"/xhr_send", `["`+escaped.String()+`"]`), 204, "")
	a := p.post(path+"/xhr", "")
	p.status(a, 200)
	var got []string
	frame, ok := strings.CutPrefix(strings.TrimSuffix(a.body, "\n"), "a")
	if err := json.Unmarshal([]byte(frame), &got); !ok || err != nil {
		p.t.Fatalf("frame %.100q: %v", a.body, err)
	}
	if len(got) != 1 || got[0] != plain.String() {
		p.t.Error("the message came back changed")
	}
}

func closeCases() []testCase {
	return []testCase{
		{"Close/the next receiver is told the same", closeFrame},
		{"Close/a second receiver is refused", func(p *probe) {
			_, w := openedStream(p)
			defer w.cut()
		}},
		{"Close/a cut stream ends the session", abortStreaming},
		{"Close/a cut poll ends the session", abortPolling},
	}
}

func closeFrame(p *probe) {
	path := session(closePath)
	_, w1 := p.open("POST", path+"/xhr_streaming")
	w1.expect(xhrPrelude() + "o\n" + goAway + "\n")
	_, w2 := p.open("POST", path+"/xhr_streaming")
	w2.expect(xhrPrelude() + goAway + "\n")
	w1.ended()
	w2.ended()
}

// openedStream opens a stream and checks that a second one is refused.
func openedStream(p *probe) (path string, w *wire) {
	p.t.Helper()
	path = session(echoPath)
	_, w = p.open("POST", path+"/xhr_streaming")
	w.expect(xhrPrelude() + "o\n")
	_, second := p.open("POST", path+"/xhr_streaming")
	second.expect(xhrPrelude() + stillOpen + "\n")
	second.ended()
	return path, w
}

// abortStreaming lets the server forget the session or say that it was
// interrupted.
func abortStreaming(p *probe) {
	path, w := openedStream(p)
	w.cut()
	_, next := p.open("POST", path+"/xhr_streaming")
	defer next.cut()
	next.expect(xhrPrelude())
	if first := next.read(1); first == "o" {
		next.expect("\n")
	} else {
		next.expect(strings.TrimPrefix(interrupted, first) + "\n")
	}
}

func abortPolling(p *probe) {
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	secondPoll(p, path).cut()
	a := p.post(path+"/xhr", "")
	p.status(a, 200)
	if a.body != "o\n" && a.body != interrupted+"\n" {
		p.t.Errorf("body %q; want a new session or %s", a.body, interrupted)
	}
}
