package sockjs

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// handledTimeout is how long the answer to a send request waits for the
// handler to deal with the messages. It need not wait at all, but then the
// client's next poll often comes too early for the handler's answers, or
// gets half of them.
const handledTimeout = 250 * time.Millisecond

// serveXHRSend takes a JSON array of messages. Its answer has a type although
// it has no body, because Firefox takes it for XML otherwise.
func (s *Server) serveXHRSend(w http.ResponseWriter, r *http.Request, key string) {
	asIs := func(body []byte) []byte { return body }
	if !s.accept(w, r, key, asIs) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(http.StatusNoContent)
}

// serveJSONPSend takes the same as the field d of a form, or as the body.
// Its answer has a body, because Konqueror does not understand one without.
func (s *Server) serveJSONPSend(w http.ResponseWriter, r *http.Request, key string) {
	payload := func(body []byte) []byte {
		return formPayload(r.Header.Get("Content-Type"), body)
	}
	if !s.accept(w, r, key, payload) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	setLength(h, len("ok"))
	_, _ = io.WriteString(w, "ok") // the messages are in, whether or not the client hears of it
}

// formPayload finds the messages in the body of a jsonp_send request.
func formPayload(contentType string, body []byte) []byte {
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind != "application/x-www-form-urlencoded" {
		return body
	}
	form, _ := url.ParseQuery(string(body)) // what cannot be read is left out
	return []byte(form.Get("d"))
}

// accept delivers the messages in the request's body, or answers why not.
// The messages of a session that has just ended are dropped without a word,
// as a WebSocket does after its close frame: the close frame tells more than
// an error could.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, key string, payload func([]byte) []byte) bool {
	s.sessionHeaders(w, r)
	body, err := s.readBody(w, r)
	if err != nil {
		refuseBody(w, err)
		return false
	}
	sess := s.find(key)
	if sess == nil {
		http.NotFound(w, r)
		return false
	}
	msgs, err := decodeMessages(payload(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return false
	}
	if len(msgs) == 0 {
		return true
	}
	handled := make(chan struct{})
	if err := sess.deliver(r.Context(), msgs, handled); err != nil {
		return errors.Is(err, ErrClosed)
	}
	sess.await(r.Context(), handled)
	return true
}

// await waits a little for the handler to come back for more.
func (s *Session) await(ctx context.Context, handled <-chan struct{}) {
	patience := time.NewTimer(handledTimeout)
	defer patience.Stop()
	select {
	case <-handled:
	case <-s.done:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// readBody reads the whole body, within the limits of size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // as good as the server around allows
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.opts.MaxMessage)))
	// A server's own deadline for reading would cut a response that waits
	// for messages.
	_ = control.SetReadDeadline(time.Time{})
	return body, err
}

func refuseBody(w http.ResponseWriter, err error) {
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		http.Error(w, "Payload too large.", http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "Payload incomplete.", http.StatusBadRequest)
}

func setLength(h http.Header, n int) { h.Set("Content-Length", strconv.Itoa(n)) }
