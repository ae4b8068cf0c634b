package solve

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// standalone proves names by a listener of its own on port 80, for as long as it
// takes.
type standalone struct {
	gate *gate
	ctx  context.Context // the proofs end with it
}

func newStandalone(ctx context.Context, s *Solvers) *standalone { return &standalone{s.gate, ctx} }

// Prepare looks whether the port is free.
func (s *standalone) Prepare(context.Context, []string) error { return s.gate.try() }

// Present opens the listener, unless another order has, and lets it answer.
func (s *standalone) Present(_ context.Context, all []acme.Presentation) error {
	for _, p := range all {
		if !isToken(p.Token) || p.Challenge != albion.ChallengeHTTP {
			return setback("the CA sent a token that is no file name", "use another CA, or another method", nil)
		}
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if err := s.gate.open(all); err != nil {
		return err
	}
	context.AfterFunc(s.ctx, func() { s.gate.close(all) })
	return nil
}

// CleanUp closes the listener after the last proof.
func (s *standalone) CleanUp(_ context.Context, all []acme.Presentation) error {
	s.gate.close(all)
	return nil
}

// gate is a listener that answers live tokens, and exists while there are any.
type gate struct {
	listen func(network, address string) (net.Listener, error)
	port   int
	live   sync.WaitGroup // what serves

	mu     sync.Mutex // guards what follows, and is held while the socket opens
	server *http.Server
	proofs map[string]string // by token
}

func newGate(c Config) *gate {
	return &gate{listen: c.Listen, port: c.HTTPPort, proofs: map[string]string{}}
}

// try says why the listener could not be opened.
func (g *gate) try() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		return nil
	}
	l, err := g.socket()
	if err != nil {
		return err
	}
	return l.Close()
}

func (g *gate) socket() (net.Listener, error) {
	l, err := g.listen("tcp", net.JoinHostPort("", strconv.Itoa(g.port)))
	port := "port " + strconv.Itoa(g.port)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, setback(port+" is taken", "when a listener of Albion has it, use the method http; when another web server has, use webroot=DIR with its folder, or stop it while names are proved", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, setback("Albion may not listen on "+port, "give it the capability CAP_NET_BIND_SERVICE, or start it as root", err)
	}
	return nil, setback(port+" cannot be listened on", "free it, or use another method", err)
}

// open adds proofs, and opens the listener before the first.
func (g *gate) open(all []acme.Presentation) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server == nil {
		l, err := g.socket()
		if err != nil {
			return err
		}
		server := &http.Server{
			Handler: http.HandlerFunc(g.answer), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
			IdleTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10,
		}
		g.server = server
		g.live.Go(func() { _ = server.Serve(l) }) // it ends by Close, which is no error
	}
	for _, p := range all {
		g.proofs[p.Token] = p.Proof
	}
	return nil
}

// close takes proofs away, and the listener with the last.
func (g *gate) close(all []acme.Presentation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range all {
		delete(g.proofs, p.Token)
	}
	if len(g.proofs) == 0 && g.server != nil {
		_ = g.server.Close()
		g.server = nil
	}
}

func (g *gate) answer(w http.ResponseWriter, r *http.Request) {
	token, asked := strings.CutPrefix(r.URL.Path, "/"+challengePath+"/")
	g.mu.Lock()
	proof, live := g.proofs[token]
	g.mu.Unlock()
	if !asked || !live {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(proof)) // whoever went away does not read it
}
