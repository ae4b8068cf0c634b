// Package proxy carries one exchange from the request's first byte to its log
// line: it reads a head, asks the rules, takes a lease on a target, passes both
// bodies along as they come, and tunnels WebSockets.
//
// It owns client connections from after the TLS handshake until they close:
//
//	listener := proxy.NewListener(shared)
//	listener.Set(view)                // what applies from the next request on
//	listener.Serve(proxy.Client{…})   // blocks while the connection needs a goroutine
//	listener.Drain(ctx)               // no more requests; returns when all have ended
//
// A request over HTTP/2 is an exchange like any other: its stream stands in for
// the connection, and stream.go has what is different. From there on a target of
// HTTP/2 or gRPC is asked by forward_h2.go.
//
// One goroutine serves a connection. A second one exists only while a request
// body is still arriving, and while a target keeps its client waiting (somebody
// has to notice that the client went away). Idle clients and tunnels are parked
// and need none, where Shared.Run can park them; otherwise a tunnel has two.
//
// It opens no listening socket, knows no TLS and no configuration file, and
// decides nothing that route or target can decide.
package proxy
