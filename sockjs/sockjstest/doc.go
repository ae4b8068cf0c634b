// Package sockjstest holds the cases that a server of the SockJS protocol
// 0.3.3 has to pass, and the service that they ask. The cases are written anew,
// after the 68 of the public suite, sockjs-protocol. They speak HTTP and
// WebSocket over plain sockets, so that nothing between them and the server
// repairs what it sends:
//
//	func TestProtocol(t *testing.T) {
//		service := sockjstest.Endpoints()
//		web := httptest.NewServer(service)
//		defer web.Close()
//		sockjstest.Run(t, web.URL)
//	}
//
// Between the cases and the service may stand a balancer: they look at bytes,
// not at where the chunks of a response begin.
//
// Some cases use fixed session ids, so the same service can be asked again
// only after 5 seconds.
package sockjstest
