package dns

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// Config is what a Server needs of its process. Log is required.
type Config struct {
	Log       *slog.Logger
	Seen      func() albion.Seen  // how the targets of load balancers fare; nil: all are well
	Addresses func() []netip.Addr // where clients reach this machine; nil: nowhere
	Limit     Limit
	Retry     time.Duration // between attempts to open a socket that could not be opened; 0: 2 s
	Look      time.Duration // between looks at the health of targets; 0: 1 s
}

// Server is the name server of one process.
type Server struct {
	cfg     Config
	started time.Time
	table   atomic.Pointer[table]
	limiter *limiter
	counts  counts
	tasks   sync.WaitGroup // the goroutines of sockets and connections

	tcp connections

	mu      sync.Mutex // guards what follows; held while a State is applied
	stopped bool
	state   *albion.State
	own     []netip.Addr // where clients reached this machine when it was compiled
	sockets map[netip.AddrPort]*socket
}

// counts is what is measured.
type counts struct {
	rcodes    [24]atomic.Uint64 // by code; the last is of all that are higher
	dropped   atomic.Uint64
	truncated atomic.Uint64 // instead of dropped
	ignored   atomic.Uint64 // messages that are not answered at all
	refused   atomic.Uint64 // connections
}

// New makes a Server that does nothing yet.
func New(cfg Config) *Server {
	cfg.Retry = cmp.Or(cfg.Retry, 2*time.Second)
	cfg.Look = cmp.Or(cfg.Look, time.Second)
	s := &Server{cfg: cfg, started: time.Now(), limiter: newLimiter(cfg.Limit), state: &albion.State{}, sockets: map[netip.AddrPort]*socket{}}
	s.table.Store(&table{})
	return s
}

// Run opens again what could not be opened, and follows the health of what
// aliases point to, until ctx ends. Then it closes every socket, and returns
// when the last question is answered.
func (s *Server) Run(ctx context.Context) error {
	retry, look := time.NewTicker(s.cfg.Retry), time.NewTicker(s.cfg.Look)
	defer retry.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			s.stop()
			return nil
		case <-retry.C:
			s.again()
		case <-look.C:
			s.look()
		}
	}
}

func (s *Server) stop() {
	s.mu.Lock()
	s.stopped = true
	for at, k := range s.sockets {
		k.close()
		delete(s.sockets, at)
	}
	s.mu.Unlock()
	s.tcp.close()
	s.tasks.Wait()
}

// Apply makes a State what is answered. An error says that it could not be
// compiled, and nothing has changed; a State that albion.Validate accepts always
// compiles. A socket that cannot be opened is no error: Seen tells.
func (s *Server) Apply(state *albion.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return net.ErrClosed
	}
	if err := s.compile(state); err != nil {
		return err
	}
	s.state = state
	s.open()
	return nil
}

// compile replaces the table. The caller holds mu.
func (s *Server) compile(state *albion.State) error {
	own := s.addresses()
	next, err := compile(state, own, s.table.Load())
	if err != nil {
		return err
	}
	next.down = s.ill(state, next)
	s.own = own
	s.table.Store(next)
	return nil
}

func (s *Server) addresses() []netip.Addr {
	if s.cfg.Addresses == nil {
		return nil
	}
	return s.cfg.Addresses()
}

// ill asks which load balancers cannot be reached, if anybody wants to know.
func (s *Server) ill(state *albion.State, t *table) map[albion.ARN]bool {
	wanted := t.watched()
	if len(wanted) == 0 || s.cfg.Seen == nil {
		return nil
	}
	return unreachable(state, s.cfg.Seen(), wanted)
}

// look swaps the table when the health of something has changed.
func (s *Server) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table.Load()
	down := s.ill(s.state, now)
	same := len(down) == len(now.down)
	for arn := range down {
		same = same && now.down[arn]
	}
	if same {
		return
	}
	s.table.Store(&table{zones: now.zones, down: down})
	s.cfg.Log.Info("alias records follow the health of their load balancers", "without_targets", len(down))
}

// again opens the sockets that could not be opened, and answers with the
// addresses that the machine has by now.
func (s *Server) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	if slices.Equal(s.own, s.addresses()) {
		return
	}
	if err := s.compile(s.state); err != nil {
		s.cfg.Log.Error("zones cannot be compiled", "error", err.Error())
	}
}

// open closes and opens sockets as the State says. The caller holds mu.
func (s *Server) open() {
	wanted := map[netip.AddrPort]bool{}
	if service, ok := s.state.NameServices.Get(albion.NameServiceID); ok {
		for _, text := range service.Listen {
			if at, err := albion.ParseListen(text); err == nil {
				wanted[at] = true
			}
		}
	}
	for at, k := range s.sockets {
		if !wanted[at] {
			k.close()
			delete(s.sockets, at)
		}
	}
	for at := range wanted {
		if s.sockets[at] == nil {
			s.sockets[at] = &socket{server: s, at: at}
		}
		s.sockets[at].open()
	}
}

// answer is what is sent in answer to a message, in buf, or nil.
func (s *Server) answer(query, buf []byte, client netip.Addr, tcp bool) []byte {
	r := s.table.Load().respond(query, buf, tcp, rand.Float64())
	if r.message == nil {
		s.counts.ignored.Add(1)
		return nil
	}
	s.counts.rcodes[min(r.rcode, len(s.counts.rcodes)-1)].Add(1)
	if tcp {
		return r.message
	}
	switch s.limiter.judge(&r, client, time.Since(s.started)) {
	case drop:
		s.counts.dropped.Add(1)
		return nil
	case truncate:
		s.counts.truncated.Add(1)
		return slip(r.message)
	}
	return r.message
}

// Seen tells how the sockets fare.
func (s *Server) Seen() []albion.NameServerSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []albion.NameServerSeen{}
	for _, k := range s.sockets {
		seen := albion.NameServerSeen{Address: place(k.at), Serving: k.problem == nil}
		if k.problem != nil {
			seen.Problem = k.problem.Error()
		}
		all = append(all, seen)
	}
	slices.SortFunc(all, func(a, b albion.NameServerSeen) int { return cmp.Compare(a.Address, b.Address) })
	return all
}

// Metrics measures what is counted, by the names of Prometheus' conventions.
func (s *Server) Metrics() []albion.Metric {
	var all []albion.Metric
	count := func(name, help string, value uint64, labels ...albion.Label) {
		all = append(all, albion.Metric{Name: name, Help: help, Kind: albion.Counter, Value: float64(value), Labels: labels})
	}
	for code := range s.counts.rcodes {
		n, name := s.counts.rcodes[code].Load(), dns.RcodeToString[code]
		if n > 0 || code == dns.RcodeSuccess {
			count("albion_dns_queries_total", "Questions that the name server answered (DNSQueries).", n,
				albion.Label{Name: "rcode", Value: cmp.Or(name, "OTHER")})
		}
	}
	count("albion_dns_rate_limited_total", "Answers that were not sent because there were too many like them.", s.counts.dropped.Load(), albion.Label{Name: "action", Value: "drop"})
	count("albion_dns_rate_limited_total", "Answers that were not sent because there were too many like them.", s.counts.truncated.Load(), albion.Label{Name: "action", Value: "truncate"})
	count("albion_dns_ignored_total", "Messages that were no questions and not answered.", s.counts.ignored.Load())
	count("albion_dns_connections_refused_total", "TCP connections refused for their number.", s.counts.refused.Load())
	return append(all, albion.Metric{
		Name: "albion_dns_connections_active", Help: "TCP connections to the name server now.", Kind: albion.Gauge, Value: float64(s.tcp.count()),
	})
}
