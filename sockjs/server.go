package sockjs

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says how a Server behaves; the zero value works. Sizes are in
// bytes. A value that is zero or less stands for its default.
type Options struct {
	// DisableWebSocket makes /info say so, and the WebSocket addresses
	// answer 404.
	DisableWebSocket bool
	// Cookie sets the cookie JSESSIONID on every answer of a session, for
	// balancers that stick to it, and makes /info say cookie_needed.
	Cookie bool
	// HeartbeatDelay is how long a connection may be silent before a
	// heartbeat goes out: 25 s.
	HeartbeatDelay time.Duration
	// DisconnectDelay is how long a session over HTTP waits for its client's
	// next request, and how long a closed one tells why: 5 s.
	DisconnectDelay time.Duration
	// ResponseLimit is how much one streaming response carries before it
	// ends and the client asks for the next, because browsers keep all of
	// it in memory: 128 KiB.
	ResponseLimit int
	// MaxMessage bounds what a client sends at once, one request body or
	// one WebSocket message: 1 MiB. More is answered with status 413, or
	// ends the WebSocket with code 1009.
	MaxMessage int
	// MaxQueue bounds what waits in a session, for each direction: 1 MiB,
	// each message counting 64 bytes more than it has. A client that sends
	// faster than the handler receives is made to wait; for the other
	// direction see Session.Send.
	MaxQueue int
	// MaxSessions bounds the sessions at one time: 65,536. One more is
	// answered with status 503.
	MaxSessions int
	// ClientURL is the address of the sockjs-client script that the iframe
	// page loads; it has to be of the version that the outer page uses. It
	// begins with / or with http. The default is the newest version 1 on a
	// public CDN.
	ClientURL string
	// CheckOrigin decides, by the Origin header as a rule, whether a page
	// may use the server; refused requests are answered with status 403. It
	// must not block. When it is nil every origin may. When it is set, the
	// iframe page and the transports htmlfile and jsonp, with which a
	// browser names no origin, are not served (404).
	CheckOrigin func(*http.Request) bool
}

func (o Options) withDefaults() Options {
	positive(&o.HeartbeatDelay, 25*time.Second)
	positive(&o.DisconnectDelay, 5*time.Second)
	positive(&o.ResponseLimit, 128<<10)
	positive(&o.MaxMessage, 1<<20)
	positive(&o.MaxQueue, 1<<20)
	positive(&o.MaxSessions, 1<<16)
	if o.ClientURL == "" {
		o.ClientURL = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
	}
	return o
}

func positive[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// Server answers all requests below its prefix.
type Server struct {
	prefix string
	opts   Options
	handle func(*Session)
	iframe page

	// mu guards what follows. A session's own lock may be taken under it,
	// never the other way round.
	mu    sync.Mutex
	byKey map[string]*Session // sessions over HTTP, by their part of the path
	live  map[*Session]int    // how many of handler and client hold it
	down  bool                // Shutdown has begun
}

// New returns a server for the addresses prefix and prefix/…, such as
// "/chat"; "" or "/" stands for the whole host. handle is called for every
// session, on a goroutine of its own; when it returns the session is closed
// with 3000 "Go away!". It should return when the session is done, which
// Session.Recv tells too, because until then the session takes a place of
// Options.MaxSessions. Its panics are not recovered.
func New(prefix string, o Options, handle func(*Session)) *Server {
	o = o.withDefaults()
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix = "/" + prefix
	}
	return &Server{
		prefix: prefix,
		opts:   o,
		handle: handle,
		iframe: iframePage(o.ClientURL),
		byKey:  map[string]*Session{},
		live:   map[*Session]int{},
	}
}

// endpoint is what is served at one place.
type endpoint struct {
	method string
	page   bool // HEAD is fine too
	cors   bool // pages elsewhere may use it: it has a preflight
	serve  func(w http.ResponseWriter, r *http.Request, key string)
}

// ServeHTTP answers one request; for a streaming transport or a WebSocket it
// returns when that has ended.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	where, ok := route(s.prefix, r.URL.EscapedPath())
	if !ok {
		http.NotFound(w, r)
		return
	}
	e, ok := s.endpoint(where)
	switch {
	case !ok:
		http.NotFound(w, r)
	case s.opts.CheckOrigin != nil && !s.opts.CheckOrigin(withOrigin(r)):
		http.Error(w, "Origin not allowed.", http.StatusForbidden)
	case e.cors && r.Method == http.MethodOptions:
		preflight(w, r, e.method)
	case r.Method != e.method && !(e.page && r.Method == http.MethodHead):
		refuseMethod(w, e)
	default:
		if e.cors {
			allowOrigin(w.Header(), r)
		}
		e.serve(w, r, where.session)
	}
}

// withOrigin lets a WebSocket of drafts 7 and 8, which names its origin in a
// header of its own, be judged like the others.
func withOrigin(r *http.Request) *http.Request {
	drafts := r.Header.Get("Sec-WebSocket-Origin")
	if drafts == "" || r.Header.Get("Origin") != "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Origin", drafts)
	return r
}

// endpoint is the table of SockJS 0.3.3's addresses.
func (s *Server) endpoint(p place) (endpoint, bool) {
	if p.session == "" {
		switch p.name {
		case "greeting":
			return endpoint{method: "GET", page: true, serve: serveGreeting}, true
		case "info":
			return endpoint{method: "GET", page: true, cors: true, serve: s.serveInfo}, true
		case "iframe":
			return endpoint{method: "GET", page: true, serve: s.iframe.serve}, !s.namesOrigins()
		case "websocket":
			return endpoint{method: "GET", serve: s.serveRawWebSocket}, !s.opts.DisableWebSocket
		}
		return endpoint{}, false
	}
	switch p.name {
	case "websocket":
		return endpoint{method: "GET", serve: s.serveWebSocket}, !s.opts.DisableWebSocket
	case "xhr":
		return endpoint{method: "POST", cors: true, serve: s.receive(xhr())}, true
	case "xhr_streaming":
		return endpoint{method: "POST", cors: true, serve: s.receive(xhrStreaming())}, true
	case "eventsource":
		return endpoint{method: "GET", cors: true, serve: s.receive(eventSource())}, true
	case "htmlfile":
		return endpoint{method: "GET", serve: s.receive(htmlFile())}, !s.namesOrigins()
	case "jsonp":
		return endpoint{method: "GET", serve: s.receive(jsonp())}, !s.namesOrigins()
	case "xhr_send":
		return endpoint{method: "POST", cors: true, serve: s.serveXHRSend}, true
	case "jsonp_send":
		return endpoint{method: "POST", serve: s.serveJSONPSend}, !s.namesOrigins()
	}
	return endpoint{}, false
}

// namesOrigins reports that only some origins may use the server, which
// rules out what a browser asks for without naming one.
func (s *Server) namesOrigins() bool { return s.opts.CheckOrigin != nil }

// Why no new session begins.
var (
	errDown = errors.New("sockjs: shutting down")
	errFull = errors.New("sockjs: too many sessions")
)

// resume finds the session over HTTP with that key, or begins one; then the
// caller is its receiver already, so that nobody else writes the open frame.
func (s *Server) resume(r *http.Request, key string) (*Session, *receiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.byKey[key]; sess != nil {
		return sess, nil, nil
	}
	sess := newSession(r, s.opts.MaxQueue)
	sess.delay = s.opts.DisconnectDelay
	sess.forget = func() { s.forget(key, sess) }
	rc, err := s.begin(sess)
	if err != nil {
		return nil, nil, err
	}
	s.byKey[key] = sess
	return sess, rc, nil
}

// connect begins a session over a WebSocket. It is in no table: its address
// may be used twice (SockJS 0.3.3, "WebSocket protocols").
func (s *Server) connect(r *http.Request) (*Session, *receiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := newSession(r, s.opts.MaxQueue)
	sess.forget = func() { s.forget("", sess) }
	rc, err := s.begin(sess)
	return sess, rc, err
}

// begin, under mu, starts the handler. Its goroutine ends when handle
// returns, and Shutdown waits for it.
func (s *Server) begin(sess *Session) (*receiver, error) {
	if err := s.room(); err != nil {
		return nil, err
	}
	rc, _ := sess.attach()
	s.live[sess] = 2 // its handler and its client
	go s.run(sess)
	return rc, nil
}

// room, under mu, says why there can be no further session, if so.
func (s *Server) room() error {
	if s.down {
		return errDown
	}
	if len(s.live) >= s.opts.MaxSessions {
		return errFull
	}
	return nil
}

func (s *Server) run(sess *Session) {
	s.handle(sess)
	sess.finish(goAway(), false)
	close(sess.finished)
	s.release(sess)
}

// find returns the session over HTTP with that key, or nil.
func (s *Server) find(key string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[key]
}

// forget is called once for each session, when its client can reach it no
// more.
func (s *Server) forget(key string, sess *Session) {
	s.mu.Lock()
	if s.byKey[key] == sess {
		delete(s.byKey, key)
	}
	s.mu.Unlock()
	s.release(sess)
}

func (s *Server) release(sess *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[sess]--; s.live[sess] == 0 {
		delete(s.live, sess)
	}
}

// Shutdown closes every session with 3000 "Go away!" and begins no other. It
// returns nil when every handler has returned and every client has been told,
// or, between two of its requests, has not come back in time; it returns
// ctx's error when ctx ends first, and what is left then ends by itself.
func (s *Server) Shutdown(ctx context.Context) error {
	sessions := s.stop()
	for _, sess := range sessions {
		sess.finish(goAway(), false)
	}
	defer func() {
		for _, sess := range sessions {
			sess.dismiss()
		}
	}()
	for _, sess := range sessions {
		for _, c := range []<-chan struct{}{sess.finished, sess.settled} {
			select {
			case <-c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func (s *Server) stop() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	sessions := make([]*Session, 0, len(s.live))
	for sess := range s.live {
		sessions = append(sessions, sess)
	}
	return sessions
}
