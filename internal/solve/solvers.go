package solve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve"
)

// Config is what solvers share. Resolver is needed.
type Config struct {
	Resolver *resolve.Resolver
	Dir      string       // remembers what is to be undone, over restarts; made when needed
	Log      *slog.Logger // warnings; nil: silent

	Every    time.Duration // between looks at name servers; 0: 3 s
	Settle   time.Duration // after all of them show a record; 0: 5 s
	Patience time.Duration // with servers that do not show it; 0: 10 min
	Silence  time.Duration // with servers that do not answer at all; 0: 1 min
	Hook     time.Duration // longest run of a hook; 0: 5 min

	Listen     func(network, address string) (net.Listener, error) // nil: net.Listen
	HTTPPort   int                                                 // where CAs ask by HTTP; 0: 80
	Cloudflare string                                              // URL of its API; "": the real one
	Now        func() time.Time                                    // nil: time.Now
}

// Solvers makes the solvers of requests. It may be used by many at once.
type Solvers struct {
	cfg     Config
	notes   notes
	gate    *gate
	folders sync.Mutex // held by who makes or removes folders of a web server
}

// New makes Solvers.
func New(c Config) *Solvers {
	c.Every, c.Settle = cmp.Or(c.Every, 3*time.Second), cmp.Or(c.Settle, 5*time.Second)
	c.Patience, c.Silence = cmp.Or(c.Patience, 10*time.Minute), cmp.Or(c.Silence, time.Minute)
	c.Hook, c.HTTPPort = cmp.Or(c.Hook, 5*time.Minute), cmp.Or(c.HTTPPort, 80)
	c.Cloudflare = cmp.Or(c.Cloudflare, "https://api.cloudflare.com/client/v4")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Listen == nil {
		c.Listen = net.Listen
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Solvers{cfg: c, notes: notes{c.Dir}, gate: newGate(c)}
}

// For returns the solver of a request by its method, or what is wrong with the
// method's argument, such as a file with credentials. What the solver opens is
// closed when it has cleaned up, or when ctx ends. tell is called with what name
// servers show, whenever they have been asked.
func (s *Solvers) For(ctx context.Context, r *albion.Request, tell func([]albion.Wanted)) (acme.Solver, error) {
	w := &watch{cfg: s.cfg, tell: tell}
	var k keeper
	var err error
	switch r.Method {
	case albion.MethodManual:
		return &manual{w}, nil
	case albion.MethodExec:
		return newHooks(s, w, r)
	case albion.MethodWebroot:
		return newWebroot(s, r.Argument)
	case albion.MethodStandalone:
		return newStandalone(ctx, s), nil
	case albion.MethodRFC2136:
		k, err = newRFC2136(s.cfg.Resolver, r.Argument)
	case albion.MethodRoute53:
		k, err = newRoute53(ctx, s.cfg, r.Argument)
	case albion.MethodCloudflare:
		k, err = newCloudflare(s.cfg, r.Argument)
	default:
		return nil, fmt.Errorf("solve: the challenge %s is not presented here", r.Way())
	}
	var known *albion.Setback
	if err != nil && r.Method.TakesFile() && !errors.As(err, &known) {
		return nil, setback(plain(strings.TrimPrefix(err.Error(), "solve: ")), "mend the file, and request the certificate again; it is tried again by itself too", nil)
	}
	if err != nil {
		return nil, err
	}
	return &records{watch: w, keeper: k, way: r.Way()}, nil
}

// Check says what is wrong with the file, folder or program that a request names
// to prove names by, as For would; nil for methods that name none.
func (s *Solvers) Check(ctx context.Context, r *albion.Request) error {
	if !r.Method.TakesFile() {
		return nil
	}
	_, err := s.For(ctx, r, nil)
	return err
}

// Wait returns when everything that solvers opened is closed.
func (s *Solvers) Wait() { s.gate.live.Wait() }

// reason is what an operation on a file failed of, without the file, which the
// sentence names.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// setback is why a name cannot be proved, and what to do; err may be nil.
func setback(sentence, advice string, err error) *albion.Setback {
	s := &albion.Setback{Kind: albion.SetbackName, Sentence: sentence, Advice: advice}
	if err != nil {
		s.Words = plain(err.Error())
	}
	return s
}

// plain bounds words that came from outside and makes them one line.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return strings.TrimSpace(s)
}
