package sockjstest

import (
	"net/http"
	"strings"

	"github.com/albion-lb/albion/sockjs"
)

// responseLimit is the limit of a streaming response that the cases expect.
const responseLimit = 4096

// Endpoints serves what the cases need: /echo, /disabled_websocket_echo and
// /cookie_needed_echo send back what they get, /close ends every session at
// once. It is no ServeMux because the cases ask for paths that a mux would
// rewrite.
func Endpoints() http.Handler {
	o := sockjs.Options{ResponseLimit: responseLimit}
	return endpoints{
		"echo":                    sockjs.New("/echo", o, echo),
		"close":                   sockjs.New("/close", o, func(*sockjs.Session) {}),
		"disabled_websocket_echo": sockjs.New("/disabled_websocket_echo", sockjs.Options{ResponseLimit: responseLimit, DisableWebSocket: true}, echo),
		"cookie_needed_echo":      sockjs.New("/cookie_needed_echo", sockjs.Options{ResponseLimit: responseLimit, Cookie: true}, echo),
	}
}

func echo(s *sockjs.Session) {
	for {
		msg, err := s.Recv(s.Request().Context())
		if err != nil || s.Send(msg) != nil {
			return
		}
	}
}

type endpoints map[string]http.Handler

func (e endpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if h, ok := e[name]; ok {
		h.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}
