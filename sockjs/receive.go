package sockjs

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

const (
	// writeTimeout is how long a client may take to accept one frame.
	writeTimeout = 30 * time.Second
	// bodyTimeout is how long a client may take to send one body.
	bodyTimeout = 30 * time.Second
	// maxCallback bounds the name of a JavaScript function, in bytes.
	maxCallback = 128
)

// transport is one way to carry frames in HTTP responses.
type transport struct {
	contentType string
	// streaming: a response carries frames up to the limit, not one.
	streaming bool
	// callback: frames are calls of a function that the query names.
	callback bool
	// prelude opens a streaming response.
	prelude func(callback string) string
	frame   func(callback, frame string) string
}

func xhr() transport {
	return transport{
		contentType: "application/javascript; charset=UTF-8",
		frame:       func(_, frame string) string { return frame + "\n" },
	}
}

func xhrStreaming() transport {
	t := xhr()
	t.streaming = true
	// Browsers show nothing of a response before its first 2 KiB.
	t.prelude = func(string) string { return strings.Repeat("h", 2048) + "\n" }
	return t
}

func eventSource() transport {
	return transport{
		contentType: "text/event-stream; charset=UTF-8",
		streaming:   true,
		// Opera needs a new line first.
		prelude: func(string) string { return "\r\n" },
		frame:   func(_, frame string) string { return "data: " + frame + "\r\n\r\n" },
	}
}

// htmlHead begins the document of the htmlfile transport; the protocol gives
// it to the letter, with the callback between the halves.
const (
	htmlHead1 = `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.`
	htmlHead2 = `;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
`
)

func htmlFile() transport {
	return transport{
		contentType: "text/html; charset=UTF-8",
		streaming:   true,
		callback:    true,
		prelude: func(callback string) string {
			head := htmlHead1 + callback + htmlHead2
			// Browsers show nothing of a document before its first KiB.
			return head + strings.Repeat(" ", max(0, 1024-len(head))) + "\r\n"
		},
		frame: func(_, frame string) string {
			b := append(make([]byte, 0, len(frame)+64), "<script>\np("...)
			return string(append(appendScript(b, frame), ");\n</script>\r\n"...))
		},
	}
}

func jsonp() transport {
	return transport{
		contentType: "application/javascript; charset=UTF-8",
		callback:    true,
		frame: func(callback, frame string) string {
			b := append(make([]byte, 0, len(frame)+64), callback+"("...)
			return string(append(appendScript(b, frame), ");\r\n"...))
		},
	}
}

// callbackName reports whether name may stand in a script.
func callbackName(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '.', c == '$', c == '-':
		default:
			return false
		}
	}
	return name != "" && len(name) <= maxCallback
}

// receive serves the client's side of the session that listens.
func (s *Server) receive(t transport) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, key string) {
		s.sessionHeaders(w, r)
		callback := r.URL.Query().Get("c")
		if t.callback && callback == "" {
			http.Error(w, `"callback" parameter required`, http.StatusInternalServerError)
			return
		}
		if t.callback && !callbackName(callback) {
			http.Error(w, `invalid "callback" parameter`, http.StatusInternalServerError)
			return
		}
		// Only a request that has been read to its end can be seen to be cut.
		if _, err := s.readBody(w, r); err != nil {
			refuseBody(w, err)
			return
		}
		sess, rc, err := s.resume(r, key)
		if errors.Is(err, errFull) {
			http.Error(w, "Too many sessions.", http.StatusServiceUnavailable)
			return
		}
		s.feed(r.Context(), newResponse(w, t, callback, s.opts.ResponseLimit), sess, rc)
	}
}

// feed writes the frames of sess, which is nil when the server shuts down.
// rc is set when the session begins with this request.
func (s *Server) feed(ctx context.Context, out *response, sess *Session, rc *receiver) {
	begun := rc != nil
	err := out.begin()
	if sess == nil {
		_ = out.frame(goAway().frame()) // whether it arrives changes nothing
		return
	}
	if !begun {
		if err != nil {
			return // gone before anything was taken from the session
		}
		if rc = sess.join(ctx); rc == nil {
			_ = out.frame(stillOpen().frame()) // whether it arrives changes nothing
			return
		}
	}
	defer sess.leave(rc)
	if err == nil && begun {
		err = out.frame(openFrame)
	}
	if err == nil {
		err = s.pump(ctx, out, sess, rc)
	}
	if err != nil {
		sess.cut(rc)
	}
}

// pump writes frames until the response is full, the session has ended or
// the client is gone; the error is about the last.
func (s *Server) pump(ctx context.Context, out *response, sess *Session, rc *receiver) error {
	beat := time.NewTimer(s.opts.HeartbeatDelay)
	defer beat.Stop()
	for !out.full() {
		if err := ctx.Err(); err != nil {
			return err // before it takes messages to the grave
		}
		msgs, end := sess.next(rc)
		if end != nil {
			return out.frame(end.frame())
		}
		frame := heartbeatFrame
		if msgs != nil {
			frame = messageFrame(msgs)
		} else {
			select {
			case <-sess.outReady:
				continue
			case <-ctx.Done():
				return ctx.Err()
			case <-beat.C:
			}
		}
		if err := out.frame(frame); err != nil {
			return err
		}
		beat.Reset(s.opts.HeartbeatDelay)
	}
	return nil
}

// response is an HTTP response that carries frames.
type response struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	t        transport
	callback string
	limit    int // bytes left
}

func newResponse(w http.ResponseWriter, t transport, callback string, limit int) *response {
	if !t.streaming {
		limit = 1 // one frame, whatever its size
	}
	return &response{w, http.NewResponseController(w), t, callback, limit}
}

func (o *response) begin() error {
	h := o.w.Header()
	h.Set("Content-Type", o.t.contentType)
	if !o.t.streaming {
		return nil
	}
	h.Set("X-Accel-Buffering", "no") // nginx in between must not collect frames
	return o.write(o.t.prelude(o.callback))
}

func (o *response) full() bool { return o.limit <= 0 }

func (o *response) frame(frame string) error {
	text := o.t.frame(o.callback, frame)
	o.limit -= len(text)
	if !o.t.streaming {
		setLength(o.w.Header(), len(text))
	}
	return o.write(text)
}

// write sends text at once. Deadlines and flushing are as good as the
// server around makes them: without them frames go when it sees fit.
func (o *response) write(text string) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	// Write, where WriteString would split what is longer than net/http's
	// buffer: a frame should be one chunk.
	_, err := o.w.Write([]byte(text))
	if err != nil {
		return err
	}
	err = o.control.Flush()
	_ = o.control.SetWriteDeadline(time.Time{})
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
