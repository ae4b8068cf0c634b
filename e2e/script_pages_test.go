package e2e_test

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/albion-lb/albion/examples/chat/room"
)

// cmdPages serves a folder over plain HTTP, as a host of pages does.
func cmdPages(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "pages NAME FOLDER")
	serveAs(ts, args[0], http.FileServer(http.Dir(ts.MkAbs(args[1]))), func() {})
}

// cmdChat is a chat server over plain HTTP, SockJS at /chat.
func cmdChat(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "chat NAME")
	chat, err := room.New(room.Config{})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	worldOf(ts).wait.Go(func() { chat.Run(ctx) })
	serveAs(ts, args[0], chat.Handler(), stop)
}

func cmdVanish(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "vanish NAME")
	get(ts, worldOf(ts).backends, args[0]).close()
}

// serveAs makes a handler a server of the script's world.
func serveAs(ts *testscript.TestScript, name string, h http.Handler, stop context.CancelFunc) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	w := worldOf(ts)
	b := &backend{name: name, server: &http.Server{Handler: h, ReadHeaderTimeout: patience}, stop: stop}
	w.backends[name] = b
	w.wait.Go(func() { b.server.Serve(l) })
	ts.Setenv(name, l.Addr().String())
	ts.Setenv(name+"_PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}
