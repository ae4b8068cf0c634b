package chattest

import (
	"context"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/albion-lb/albion/examples/chat/room"
)

// Server is a chat server on a loopback port of its own.
type Server struct {
	URL     string // http://host:port
	Address string // of the chat: URL and prefix
	Stop    func() // ends it as a signal would; once or more
}

// Serve runs a chat until the test ends or Stop is called.
func Serve(t testing.TB, c room.Config) *Server {
	t.Helper()
	return ServeAt(t, "127.0.0.1:0", c)
}

// ServeAt is Serve at a given host:port, where another server has been.
func ServeAt(t testing.TB, at string, c room.Config) *Server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	chat, err := room.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	web := httptest.NewUnstartedServer(chat.Handler())
	must(t, web.Listener.Close()) // the one that it has opened by itself
	web.Listener = listener
	web.Start()
	ended := make(chan error, 1)
	go func() { ended <- chat.Run(ctx) }()
	s := &Server{URL: web.URL, Address: web.URL + "/chat"}
	if c.Prefix != "" {
		s.Address = web.URL + c.Prefix
	}
	s.Stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the chat ended: %v", err)
		}
		web.Close()
	})
	t.Cleanup(s.Stop)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
