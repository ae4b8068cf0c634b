// Package admin is the operator's way in: applying a file, importing and
// exporting certificates, looking at how things stand, measuring.
//
//	service := admin.New(admin.Config{Store: store, Seen: edge.Seen, …})
//	http.Serve(socket, service.Operations())   // a unix socket of mode 0600
//	http.Serve(listener, service.Public())     // loopback: metrics, health, status
//	client := admin.Dial(path)                 // what the commands use
//	client := admin.Direct(service)            // the same without a running server
//
// Whatever changes something goes through Operations, which only the owner of
// the socket can reach; Public shows and changes nothing, and shows no secret.
package admin
