// Package sockjs serves the SockJS protocol, version 0.3.3: a channel of
// text messages between a browser and a server that works like a WebSocket,
// over a WebSocket where there is one and over plain HTTP where there is not.
//
// A [Server] is an [net/http.Handler] for everything below one prefix, the
// address that a page gives to sockjs-client:
//
//	echo := sockjs.New("/echo", sockjs.Options{}, func(s *sockjs.Session) {
//		for {
//			msg, err := s.Recv(context.Background())
//			if err != nil {
//				return // the client has gone, or the server shuts down
//			}
//			if err := s.Send(msg); err != nil {
//				return // closed, or too slow to be worth waiting for
//			}
//		}
//	})
//	web := &http.Server{Addr: ":8080", Handler: echo}
//
// It owns all that the protocol says about a session: the greeting, the info
// document and the iframe page; the transports websocket, raw websocket, xhr,
// xhr_streaming, eventsource, htmlfile and jsonp; framing, escaping,
// heartbeats, cookies and CORS; the open and close frames and what a client
// is told when it returns to a session that is gone. WebSockets are spoken in
// the version of RFC 6455, its drafts 7 and 8, and the older Hixie-76.
//
// Everything that a client can make grow is bounded: see [Options]. A client
// that reads too slowly makes [Session.Send] return [ErrSlow], never wait.
//
// It does not open sockets, set the limits of the [net/http.Server] around
// it, authenticate anybody, or share sessions between processes: a balancer
// in front of several servers has to send the requests of one session to one
// of them, by the session's part of the path. A mux that rewrites paths, as
// [net/http.ServeMux] does with doubled slashes, answers those itself.
package sockjs
