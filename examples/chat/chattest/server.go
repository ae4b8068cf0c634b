package chattest

import (
	"context"
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
	chat, err := room.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	web := httptest.NewServer(chat.Handler())
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
