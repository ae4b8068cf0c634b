// Package health probes targets and decides which of them are well, by ALB's
// rules: GET a path every interval, so many successes or failures in a row.
//
//	checker := health.New(health.Config{Report: targets.Report, Log: log})
//	go checker.Run(ctx) // joined by the caller
//	checker.Sync(groups)
//
// It decides nothing about requests; whoever is given to Report does.
package health

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// Config is what a Checker needs; its zero value works, and tells nobody.
type Config struct {
	// Report is told what every probe has come to, and the state before the first
	// one. Reports of one target come one after the other, of several at once. It
	// must not block.
	Report func(group albion.ARN, t albion.Target, h albion.Health)
	Now    func() time.Time // nil: time.Now
	// Dial opens a connection; nil: a net.Dialer. It has to give up when ctx is
	// done.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger // nil: none
}

// Checker probes every target of the groups that it was last given.
type Checker struct {
	cfg   Config
	slot  chan struct{} // one for each probe under way
	http2 *h2.Shared

	running sync.WaitGroup // the goroutines of probes; waited for by Run

	mu     sync.Mutex // guards what follows
	ctx    context.Context
	checks map[identity]*check
	ended  bool
}

// maxProbes is how many probes may be under way at once, so that a thousand
// targets make no burst.
const maxProbes = 64

// identity is what keeps its state when anything else changes.
type identity struct {
	group  albion.ARN
	target albion.Target
}

// check is the probing of one target.
type check struct {
	id      identity
	changed chan struct{}      // tells the goroutine of new settings
	stop    context.CancelFunc // nil before it is started

	mu       sync.Mutex // guards settings
	settings settings
}

// settings is how a target is probed.
type settings struct {
	albion.HealthCheck
	version albion.ProtocolVersion
}

// New returns a Checker that probes nothing yet.
func New(cfg Config) *Checker {
	if cfg.Report == nil {
		cfg.Report = func(albion.ARN, albion.Target, albion.Health) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Checker{cfg: cfg, slot: make(chan struct{}, maxProbes), http2: h2.NewShared(), checks: map[identity]*check{}}
}

// Run probes until ctx is done. Then it waits for every probe under way to end,
// which it does at once, and returns nil. A Checker runs once.
func (c *Checker) Run(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	for _, k := range c.checks {
		c.start(k)
	}
	c.mu.Unlock()

	<-ctx.Done()

	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// Sync makes the probed targets those of groups, before Run or during it. A
// target that was probed before keeps its state, also when the settings of its
// health check have changed: those take effect at once.
func (c *Checker) Sync(groups []*albion.TargetGroup) {
	wanted := map[identity]settings{}
	for _, tg := range groups {
		for _, t := range tg.Targets {
			if t.Port == 0 {
				t.Port = tg.Port
			}
			wanted[identity{tg.ARN, t}] = settings{tg.HealthCheck, tg.Version()}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.checks {
		if _, ok := wanted[id]; !ok {
			delete(c.checks, id)
			if k.stop != nil {
				k.stop()
			}
		}
	}
	for id, hc := range wanted {
		if k := c.checks[id]; k != nil {
			k.change(hc)
			continue
		}
		k := &check{id: id, settings: hc, changed: make(chan struct{}, 1)}
		c.checks[id] = k
		if c.ctx != nil && !c.ended {
			c.start(k)
		}
	}
}

// start runs a check in a goroutine that Run waits for. c.mu is held.
func (c *Checker) start(k *check) {
	ctx, cancel := context.WithCancel(c.ctx)
	k.stop = cancel
	c.running.Go(func() {
		defer cancel()
		c.watch(ctx, k)
	})
}

// change gives a check other settings, if they are others.
func (k *check) change(hc settings) {
	k.mu.Lock()
	same := k.settings == hc
	k.settings = hc
	k.mu.Unlock()
	if same {
		return
	}
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *check) current() settings {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settings
}

// watch probes one target, first at once and then every interval, and once more
// at once when settings change.
func (c *Checker) watch(ctx context.Context, k *check) {
	chance := k.chance(c.cfg.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	hc := k.current()
	state := Start(hc.HealthCheck, c.cfg.Now())
	c.report(ctx, k, State{}, state)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.changed:
		case <-timer.C:
		}
		hc = k.current()
		if hc.Disabled {
			timer.Stop()
			if state.Health.State != albion.Unavailable {
				state = c.report(ctx, k, state, Start(hc.HealthCheck, c.cfg.Now()))
			}
			continue
		}
		if !c.enter(ctx) {
			return
		}
		began := c.cfg.Now()
		result := c.probe(ctx, k.id.target, hc)
		<-c.slot
		state = c.report(ctx, k, state, state.Next(hc.HealthCheck, result))
		timer.Reset(jitter(hc.Interval, chance) - c.cfg.Now().Sub(began))
	}
}

// enter waits until one more probe may be under way, false when ctx is done.
func (c *Checker) enter(ctx context.Context) bool {
	select {
	case c.slot <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// report tells of a state, logs it when it is another one, and returns it. What
// a probe found that was cut short is not told.
func (c *Checker) report(ctx context.Context, k *check, before, after State) State {
	if ctx.Err() != nil {
		return before
	}
	c.cfg.Report(k.id.group, k.id.target, after.Health)
	if before.Health.State != after.Health.State && after.Health.State != albion.Initial {
		c.cfg.Log.Info("target health changed", "target_group", k.id.group, "target", k.id.target.String(),
			"from", before.Health.State, "to", after.Health.State, "reason", after.Health.Reason, "description", after.Health.Description)
	}
	return after
}

// chance is a check's own source of jitter.
func (k *check) chance(now time.Time) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(k.id.group))
	h.Write([]byte(k.id.target.String()))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano())))
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}

// minInterval is the shortest that a group may ask for; what is not set must not
// become a flood.
const minInterval = time.Second

// jitter is an interval give or take a tenth, so that targets which were
// registered together are not probed together for ever.
func jitter(interval time.Duration, chance *rand.Rand) time.Duration {
	interval = max(interval, minInterval)
	return interval + time.Duration((chance.Float64()-0.5)*0.2*float64(interval))
}
