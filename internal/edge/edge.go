package edge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/health"
	"github.com/albion-lb/albion/internal/keyring"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/target"
)

// Config is what an Edge needs of its process. Log is required.
type Config struct {
	Log            *slog.Logger
	StickinessKey  []byte        // 32 bytes that seal stickiness cookies
	Stdout         io.Writer     // for access logs that go to "stdout"
	Grace          time.Duration // for requests and tunnels in flight when Run ends; 0: 30 s
	MaxConnections int           // clients at the same time, all listeners together; 0: 100,000
	Beacon         proxy.Beacon  // answers tokens of this process at the CA's place; nil: none
	Retry          time.Duration // between attempts to open a socket that could not be opened; 0: 2 s
}

// Edge is the data plane of one process.
type Edge struct {
	cfg     Config
	targets *target.Registry
	checker *health.Checker
	keys    *keyring.Keyring
	shared  *proxy.Shared
	clients atomic.Int64

	hard  context.Context // ends when Grace is over
	cut   context.CancelFunc
	tasks sync.WaitGroup // goroutines of ports and drains

	mu       sync.Mutex // guards what follows; held while a State is applied
	stopped  bool
	state    *albion.State
	ports    map[albion.ARN]*port
	retiring map[*port]struct{} // whose listener is gone, with connections left
	logs     map[string]*logFile
}

// New makes an Edge that does nothing yet.
func New(cfg Config) *Edge {
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 100_000
	}
	if cfg.Retry == 0 {
		cfg.Retry = 2 * time.Second
	}
	if cfg.Stdout == nil {
		cfg.Stdout = io.Discard
	}
	e := &Edge{
		cfg:      cfg,
		targets:  target.New(target.Config{StickinessKey: cfg.StickinessKey, Log: cfg.Log}),
		keys:     keyring.New(keyring.Config{Protocols: []string{http2, http1}}),
		shared:   proxy.NewShared(cfg.Log),
		state:    &albion.State{},
		ports:    map[albion.ARN]*port{},
		retiring: map[*port]struct{}{},
		logs:     map[string]*logFile{},
	}
	e.hard, e.cut = context.WithCancel(context.Background())
	e.checker = health.New(health.Config{Report: e.targets.Report, Log: cfg.Log})
	return e
}

// Run serves until ctx ends, then drains: no new connections, and Grace for what
// is in flight. It returns when all has ended.
func (e *Edge) Run(ctx context.Context) error {
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var parts sync.WaitGroup
	failed := make(chan error, 4)
	for name, run := range map[string]func(context.Context) error{
		"targets": e.targets.Run, "health checks": e.checker.Run, "keyring": e.keys.Run,
		"idle connections": e.shared.Run,
	} {
		parts.Go(func() {
			if err := run(live); err != nil && live.Err() == nil {
				failed <- fmt.Errorf("edge: %s: %w", name, err)
			}
		})
	}
	retry := time.NewTicker(e.cfg.Retry)
	defer retry.Stop()
	var err error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case err = <-failed:
			running = false
		case <-retry.C:
			e.reopen()
		}
	}
	e.drain()
	stop()
	parts.Wait()
	return err
}

// drain ends every listener within Grace, then the logs that their last lines
// went to.
func (e *Edge) drain() {
	e.mu.Lock()
	e.stopped = true
	for arn, p := range e.ports {
		e.retire(p, e.cfg.Grace)
		delete(e.ports, arn)
	}
	e.mu.Unlock()
	// Listeners that went earlier may have been given more time than Grace.
	over := time.AfterFunc(e.cfg.Grace, e.cut)
	defer over.Stop()
	e.tasks.Wait()
	e.cut()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLogs()
}

// Apply makes s what is served. An error says that s could not be compiled, and
// nothing has changed; a State that albion.Validate accepts always compiles.
func (e *Edge) Apply(s *albion.State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return net.ErrClosed
	}
	// The groups of the old State stay until nothing forwards to them any more, so
	// that no request in between finds its group empty.
	groups, used := groupsOf(s), usedGroups(s)
	e.targets.Sync(append(groupsOf(s), missingFrom(s, e.state)...), union(used, usedGroups(e.state)))
	plan := logPlan{}
	next, err := e.compile(s, plan)
	if err != nil {
		e.targets.Sync(groupsOf(e.state), usedGroups(e.state))
		return fmt.Errorf("edge: %w", err)
	}
	e.swap(next)
	e.state = s
	e.targets.Sync(groups, used)
	e.checker.Sync(inUse(groups, used))
	e.beginLogs(plan)
	return nil
}

// swap replaces what each listener does, and where; all that is closed is closed
// before anything is opened, since one listener may take another's port.
func (e *Edge) swap(next map[albion.ARN]*compiled) {
	for arn, p := range e.ports {
		if c, ok := next[arn]; !ok || c.listener.Protocol != p.now.Load().listener.Protocol {
			e.retire(p, drainTime(e.state, arn))
			delete(e.ports, arn)
		}
	}
	for arn, c := range next {
		p := e.ports[arn]
		if p == nil {
			p = newPort(e)
			e.ports[arn] = p
		}
		p.set(c)
	}
	for _, p := range e.ports {
		p.listen()
	}
}

// reopen tries the sockets that could not be opened before.
func (e *Edge) reopen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.ports {
		p.listen()
	}
}

// retire closes a port's sockets at once and ends its connections in the
// background.
func (e *Edge) retire(p *port, grace time.Duration) {
	p.close()
	e.retiring[p] = struct{}{}
	e.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(e.hard, grace)
		defer cancel()
		p.live.Drain(ctx)
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.retiring, p)
		e.endLogs()
	})
}

// drainTime is how long the connections of a listener that is gone may go on:
// as long as the slowest of its groups would have given a target.
func drainTime(s *albion.State, listener albion.ARN) time.Duration {
	longest := time.Duration(0)
	for arn := range groupsOfListener(s, listener) {
		if g, ok := s.TargetGroups.Get(string(arn)); ok {
			longest = max(longest, g.Attributes.DeregistrationDelay)
		}
	}
	return longest
}
