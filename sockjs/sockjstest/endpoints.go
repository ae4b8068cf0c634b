package sockjstest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/albion-lb/albion/sockjs"
)

// responseLimit is the limit of a streaming response that the cases expect.
const responseLimit = 4096

// Service serves what the cases need. It is no [http.ServeMux] because the
// cases ask for paths that a mux would rewrite.
type Service struct {
	servers map[string]*sockjs.Server
}

// Endpoints returns a service at /echo, /disabled_websocket_echo and
// /cookie_needed_echo, which send back what they get, and /close, which ends
// every session at once.
func Endpoints() *Service {
	s := &Service{servers: map[string]*sockjs.Server{}}
	add := func(name string, o sockjs.Options, handle func(*sockjs.Session)) {
		o.ResponseLimit = responseLimit
		s.servers[name] = sockjs.New(name, o, handle)
	}
	add("echo", sockjs.Options{}, echo)
	add("disabled_websocket_echo", sockjs.Options{DisableWebSocket: true}, echo)
	add("cookie_needed_echo", sockjs.Options{Cookie: true}, echo)
	add("close", sockjs.Options{}, func(*sockjs.Session) {})
	return s
}

func echo(s *sockjs.Session) {
	for {
		msg, err := s.Recv(s.Request().Context())
		if err != nil || s.Send(msg) != nil {
			return
		}
	}
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if server, ok := s.servers[name]; ok {
		server.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// Shutdown ends all sessions and waits for their handlers.
func (s *Service) Shutdown(ctx context.Context) error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
