package solve_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
	"github.com/albion-lb/albion/internal/solve"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The CA's validator has no end.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// world is a tree of name servers and solvers that ask it.
type world struct {
	t       *testing.T
	net     *resolvetest.Network
	resolve *resolve.Resolver
	cfg     solve.Config

	mu     sync.Mutex // guards told
	told   []albion.Wanted
	onTell func([]albion.Wanted)
}

func newWorld(t *testing.T, zones ...resolvetest.Zone) *world {
	t.Helper()
	w := &world{t: t, net: resolvetest.New(t, zones...)}
	var err error
	if w.resolve, err = resolve.New(resolve.Config{Servers: []string{w.net.Recursive}, Port: w.net.Port, Timeout: time.Second, Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	w.cfg = solve.Config{
		Resolver: w.resolve, Dir: filepath.Join(t.TempDir(), "notes"), Log: slog.New(slog.DiscardHandler),
		Every: 50 * time.Millisecond, Settle: time.Millisecond,
	}
	return w
}

// solver is the solver for a method.
func (w *world) solver(method albion.Method, argument string) acme.Solver {
	w.t.Helper()
	s, err := solve.New(w.cfg).For(w.t.Context(), &albion.Request{Method: method, Argument: argument}, w.tell)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) tell(all []albion.Wanted) {
	w.mu.Lock()
	w.told = all
	hook := w.onTell
	w.mu.Unlock()
	if hook != nil {
		hook(all)
	}
}

// values are those that an authoritative server has for a TXT record, sorted.
func (w *world) values(name string) []string {
	w.t.Helper()
	said, err := w.resolve.Everywhere(w.t.Context(), name, "TXT")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := said[0].Err; err != nil && !errors.Is(err, resolve.NXDOMAIN) && !errors.Is(err, resolve.NoData) {
		w.t.Fatal(err)
	}
	got := said[0].Answer.Of("TXT")
	slices.Sort(got)
	return got
}

func (w *world) expect(name string, want ...string) {
	w.t.Helper()
	if got := w.values(name); !slices.Equal(got, want) {
		w.t.Errorf("%s has %q; want %q", name, got, want)
	}
}

// update adds or removes a record by hand, as a person or a provider does.
func (w *world) update(zone, name, value string, add bool) {
	w.t.Helper()
	u := resolve.Update{
		Server: w.net.Server(0), Zone: zone, Name: name, Value: value, TTL: time.Minute,
		Key: resolve.Key{Name: resolvetest.KeyName, Algorithm: resolvetest.KeyAlgorithm, Secret: resolvetest.KeySecret},
	}
	do := w.resolve.RemoveTXT
	if add {
		do = w.resolve.AddTXT
	}
	if err := do(w.t.Context(), u); err != nil {
		w.t.Error(err)
	}
}

// rfc2136 writes credentials for the tree's key.
func (w *world) rfc2136() string {
	host, port, _ := strings.Cut(w.net.Server(0), ":")
	return secretFile(w.t, "# made by hand\ndns_rfc2136_server = "+host+"\ndns_rfc2136_port = "+port+
		"\ndns_rfc2136_name = "+resolvetest.KeyName+".\ndns_rfc2136_secret = "+resolvetest.KeySecret+"\ndns_rfc2136_algorithm = HMAC-SHA256\n")
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials.ini")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// txt is what proves a domain by a TXT record.
func txt(domain, value string) acme.Presentation {
	return acme.Presentation{Domain: domain, Challenge: albion.ChallengeDNS, Name: albion.ChallengeName(domain), Value: value}
}

// file is what proves a domain by a file.
func file(domain, token string) acme.Presentation {
	return acme.Presentation{Domain: domain, Challenge: albion.ChallengeHTTP, Token: token, Proof: token + ".thumbprint"}
}

func present(t *testing.T, s acme.Solver, all ...acme.Presentation) {
	t.Helper()
	if err := s.Present(t.Context(), all); err != nil {
		t.Fatalf("present: %v", err)
	}
}

func cleanUp(t *testing.T, s acme.Solver, all ...acme.Presentation) {
	t.Helper()
	if err := s.CleanUp(t.Context(), all); err != nil {
		t.Fatalf("clean up: %v", err)
	}
}

// refused checks that an error is a setback whose text has all of these words.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	var s *albion.Setback
	if !errors.As(err, &s) || s.Advice == "" {
		t.Errorf("not a setback with advice: %v", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(s.Sentence+" | "+s.Advice+" | "+s.Words, word) {
			t.Errorf("%q is not in: %s | %s | %s", word, s.Sentence, s.Advice, s.Words)
		}
	}
}

var errEnough = errors.New("enough")

func contextWithCancel(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, func() { cancel(errEnough) }
}
