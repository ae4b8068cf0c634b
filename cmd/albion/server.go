package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/dns"
	"github.com/albion-lb/albion/internal/edge"
	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/solve"
	"github.com/albion-lb/albion/internal/store"
)

// server is one running Albion: the store, the two planes, and the operator's
// way in. It is the only place that knows them all.
type server struct {
	dataDir  string
	log      *slog.Logger
	level    *slog.LevelVar
	store    *store.Store
	edge     *edge.Edge
	names    *dns.Server
	service  *admin.Service
	manager  *acm.Manager                  // of certificates that CAs issue
	resolver *resolve.Resolver             // asks the name servers of others
	solvers  *solve.Solvers                // present what our own listeners and zones do not answer
	served   served                        // which State the data plane serves
	refusal  atomic.Pointer[admin.Refusal] // of the last edit of the watched file; nil: it is in force
	unread   atomic.Pointer[admin.Refusal] // while the watched file cannot be read
	volatile bool                          // the data folder may be in memory
	socket   net.Listener                  // the operator's
	public   net.Listener                  // metrics, health and status; nil: none
	ending   func(clients int)             // called when the end begins; may be nil
}

// serverOptions is what the commands that serve have in common.
type serverOptions struct {
	dataDir   string
	admin     string // HOST:PORT; "" or "off": none
	grace     time.Duration
	volatile  bool // the data folder may be in memory
	logFormat string
	verbose   bool
	quiet     bool // log only what goes wrong
	solve     solveOptions
}

const socketName = "albion.sock"

// openServer opens everything but the listeners, and undoes it when one part
// fails.
func openServer(ctx context.Context, o serverOptions, s streams) (_ *server, err error) {
	var undo []func() error
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	level := new(slog.LevelVar)
	log, err := newLogger(o, level, s.err)
	if err != nil {
		return nil, err
	}
	state, err := openStore(o.dataDir)
	if err != nil {
		return nil, err
	}
	undo = append(undo, state.Close)
	key, err := stickinessKey(ctx, state)
	if err != nil {
		return nil, err
	}
	srv := &server{dataDir: o.dataDir, log: log, level: level, store: state, volatile: o.volatile}
	light, err := newBeacon()
	if err != nil {
		return nil, err
	}
	srv.edge = edge.New(edge.Config{Log: log, Beacon: light.answer, StickinessKey: key, Stdout: s.out, Grace: o.grace})
	srv.names = dns.New(dns.Config{Log: log, Seen: srv.edge.Seen, Addresses: ownAddresses})
	srv.manager = srv.newManager()
	if err := srv.openSolvers(o.solve); err != nil {
		return nil, err
	}
	srv.service = admin.New(admin.Config{Store: state, Seen: srv.seen, Metrics: srv.metrics, Beacon: light.token, Wanted: srv.manager.Wanted, Refused: srv.refused, Provable: srv.solvers.Check, Version: version()})
	if srv.socket, err = listenSocket(o.dataDir); err != nil {
		return nil, err
	}
	undo = append(undo, srv.socket.Close)
	if o.admin != "" && o.admin != "off" {
		if srv.public, err = net.Listen("tcp", o.admin); err != nil {
			return nil, fmt.Errorf("the admin address %s cannot be opened: %w: choose another with --admin, or none with --admin off", o.admin, err)
		}
	}
	return srv, nil
}

// listenSocket opens the operator's socket. One that is left from a process that
// was killed is in the way and is replaced: the store's lock proves that nobody
// serves it.
func listenSocket(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("the name of the operator's socket, %s, is longer than this system allows: choose a shorter folder with --data", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the operator's socket cannot be opened: %w", err)
	}
	// The folder has mode 0700 already; this holds should somebody open it up.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// stickinessKey returns the key that seals stickiness cookies, made at the first
// start, so that clients keep their targets over a restart.
func stickinessKey(ctx context.Context, s *store.Store) ([]byte, error) {
	if key, ok := s.State().Keys.Get(albion.StickinessKey); ok {
		return key.Secret, nil
	}
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(rand.Reader, fresh); err != nil {
		return nil, err
	}
	_, err := s.Update(ctx, func(d *albion.Draft) error {
		albion.Put(d, &albion.Key{Name: albion.StickinessKey, Secret: fresh})
		return nil
	})
	return fresh, err
}

// run serves until ctx ends, drains, and closes everything. during runs once the
// State as it was at the start is live; its context ends when serving does, and
// its error ends serving. The operator's ways in are the last to close.
func (s *server) run(ctx context.Context, during func(context.Context) error) error {
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Who drains wants to be watched: the operator's ways in outlive the rest.
	drained, last := context.WithCancel(context.WithoutCancel(ctx))
	defer last()
	// It is said who is waited for before they are sent away.
	serving, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	var parts, waysIn sync.WaitGroup
	start := func(group *sync.WaitGroup, until context.Context, name string, part func(context.Context) error) {
		group.Go(func() {
			if err := part(until); err != nil && until.Err() == nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	state := s.store.State()
	if err := errors.Join(s.edge.Apply(state), s.names.Apply(state)); err != nil {
		return errors.Join(err, s.closeUnused())
	}
	start(&parts, serving, "edge", s.edge.Run)
	start(&parts, serving, "name server", s.names.Run)
	start(&parts, work, "state", s.follow)
	start(&parts, work, "memory", tidy)
	start(&parts, work, "renewals", s.renew)
	start(&parts, work, "certificates", s.issue)
	start(&parts, work, "witness", s.witness)
	start(&parts, work, "hooks", s.herald)
	start(&parts, work, "deliveries", s.deliver)
	start(&waysIn, drained, "operations", func(ctx context.Context) error { return serveHTTP(ctx, s.socket, s.service.Operations()) })
	if s.public != nil {
		start(&waysIn, drained, "admin address", func(ctx context.Context) error { return serveHTTP(ctx, s.public, s.service.Public()) })
	}
	if err := during(work); err != nil {
		stop(err)
	}
	<-work.Done()
	if ctx.Err() != nil && s.ending != nil {
		s.ending(s.clients())
	}
	drain()
	parts.Wait()
	last()
	waysIn.Wait()
	err := context.Cause(work)
	if ctx.Err() != nil {
		err = nil // asked to end
	}
	return errors.Join(err, s.close())
}

func (s *server) close() error { return s.store.Close() }

// clients is how many are connected.
func (s *server) clients() int {
	n := 0
	for _, l := range s.service.Status().Listeners {
		n += l.Connections
	}
	return n
}

// follow makes every new State live, and keeps the local CA's certificate where
// clients can be pointed to.
func (s *server) follow(ctx context.Context) error {
	shown := ""
	for state := range s.store.Watch(ctx) {
		if chain, ok := acm.Authority(state); ok && chain != shown {
			shown = chain
			if _, err := writeAuthority(s); err != nil {
				s.log.Error("the CA certificate cannot be written", "error", err.Error())
			}
		}
		if err := errors.Join(s.edge.Apply(state), s.names.Apply(state)); err != nil && ctx.Err() == nil {
			s.log.Error("a change cannot be made live", "version", state.Version, "error", err.Error())
			continue
		}
		s.served.set(state.Version)
	}
	return nil
}

// renew keeps the local certificates fresh.
func (s *server) renew(ctx context.Context) error {
	changed, end := s.changes(ctx)
	defer end()
	renewer := acm.Renewer{
		State: s.store.State, Changed: changed, Now: time.Now, After: time.After, Rand: rand.Reader, Log: s.log,
		Update: func(ctx context.Context, change func(*albion.Draft) error) error {
			_, err := s.store.Update(ctx, change)
			return err
		},
	}
	return renewer.Run(ctx)
}

// problems is what keeps listeners from serving, one sentence each.
func (s *server) problems() error {
	var all []error
	for _, l := range s.service.Status().Listeners {
		if l.Problem != "" {
			all = append(all, fmt.Errorf("listener %s: %s", l.Name, l.Problem))
		}
	}
	for _, n := range s.names.Seen() {
		if n.Problem != "" {
			all = append(all, fmt.Errorf("name server %s: %s", n.Address, n.Problem))
		}
	}
	return errors.Join(all...)
}

// serveHTTP serves the operator, with limits, until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// silent is above every level that is logged.
const silent slog.Level = 100

func newLogger(o serverOptions, level *slog.LevelVar, w io.Writer) (*slog.Logger, error) {
	switch {
	case o.verbose:
		level.Set(slog.LevelDebug)
	case o.quiet:
		level.Set(slog.LevelWarn)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q: expected json or text", o.logFormat)
}
