// Package park holds connections that wait, without a goroutine and without a
// buffer: idle clients, and WebSocket tunnels.
//
//	lot := park.NewLot()
//	go lot.Run(ctx)                      // its goroutines are a few, one for each processor
//	ticket := lot.Wait(socket, …)        // an idle client, until it says something
//	lot.Tunnel(park.Tunnel{…})           // bytes both ways, until one side ends it
//
// A Socket is a TCP connection that can be parked. A parked one belongs to the
// lot's own epoll set. What TLS reads from there is an error of net.Error's kind
// Temporary when nothing has come: crypto/tls then keeps the part of a record
// that it has, and may be asked again.
//
// Where there is no epoll (anywhere but on Linux) a lot takes nobody in. Its
// callers keep their goroutines then, which is as correct and takes more memory.
package park
