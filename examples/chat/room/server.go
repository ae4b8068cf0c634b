package room

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion/examples/chat/page"
	"github.com/albion-lb/albion/sockjs"
)

const (
	heartbeat   = 5 * time.Second  // a server says that it lives
	silence     = 15 * time.Second // a server that did not is taken for dead
	sweep       = time.Second      // rows of sessions that are gone are looked for
	patience    = 5 * time.Second  // for one answer of the log or the table
	sweepAtOnce = 100              // rows given up in one sweep
	maxHistory  = 1000
)

// Config says what a Server is like. The zero value is a chat at /chat that
// stands alone.
type Config struct {
	Prefix      string        // of the SockJS endpoint; "/chat"
	Instance    string        // what /healthz and the page call this server; "chat"
	History     int           // messages kept per room; 50, at most 1,000
	Linger      time.Duration // how long a lost session keeps its name; 6 s
	PostRate    float64       // messages per second and session, four seconds' worth at once; 5
	MaxSessions int           // 10,000
	MaxRooms    int           // 1,000
	MaxPeople   int           // in one room; 500
	MaxJoined   int           // rooms that one session may be in; 8

	// ClientOrigin is one more origin, such as https://cdn.example.com, that
	// the page may load another SockJS client from. Empty: none but its own.
	ClientOrigin string

	SockJS sockjs.Options   // its Cookie, heartbeat and limits; MaxMessage 32 KiB unless set
	Log    Log              // shared messages; in memory when nil
	Table  Table            // shared names; in memory when nil
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // time.Now when nil
}

// Server is a chat server. Its Handler answers as soon as Run runs.
type Server struct {
	c     Config
	life  string // this run's own mark among all servers, never used again
	sock  *sockjs.Server
	pages http.Handler
	ready chan struct{} // closed when log and table have delivered what they had

	behind atomic.Int32 // of log and table, how many have not

	mu       sync.Mutex // guards all below
	state    *state
	clients  map[string]*client
	seats    map[string]map[*client]*seat // joined ones, by room
	draining bool
}

// New builds a server; it fails when the Config makes no sense.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	if !strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") || strings.ContainsAny(c.Prefix, "?#%{} \t") {
		return nil, fmt.Errorf("room: prefix %q: want a path such as /chat", c.Prefix)
	}
	if c.History < 1 || c.History > maxHistory {
		return nil, fmt.Errorf("room: history of %d messages: want 1 to %d", c.History, maxHistory)
	}
	if c.Linger < 0 || c.PostRate < 0 || c.MaxSessions < 0 || c.MaxRooms < 0 || c.MaxPeople < 0 || c.MaxJoined < 0 {
		return nil, errors.New("room: a limit is negative")
	}
	pages, err := page.New(page.Config{Prefix: c.Prefix, ClientOrigin: c.ClientOrigin})
	if err != nil {
		return nil, fmt.Errorf("room: %w", err)
	}
	s := &Server{
		c: c, life: rand.Text(), pages: pages,
		ready:   make(chan struct{}),
		state:   newState(c.History, c.MaxRooms, c.SockJS.MaxQueue/4*3),
		clients: make(map[string]*client),
		seats:   make(map[string]map[*client]*seat),
	}
	s.behind.Store(2)
	s.sock = sockjs.New(c.Prefix, c.SockJS, func(session *sockjs.Session) { s.serve(session) })
	return s, nil
}

func (c Config) withDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "/chat")
	c.Instance = cmp.Or(c.Instance, "chat")
	c.History = cmp.Or(c.History, 50)
	c.Linger = cmp.Or(c.Linger, 6*time.Second)
	c.PostRate = cmp.Or(c.PostRate, 5)
	c.MaxSessions = cmp.Or(c.MaxSessions, 10_000)
	c.MaxRooms = cmp.Or(c.MaxRooms, 1000)
	c.MaxPeople = cmp.Or(c.MaxPeople, 500)
	c.MaxJoined = cmp.Or(c.MaxJoined, 8)
	c.SockJS.MaxQueue = cmp.Or(max(c.SockJS.MaxQueue, 0), 1<<20)
	c.SockJS.MaxMessage = cmp.Or(c.SockJS.MaxMessage, 32<<10)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = NewMemoryLog(c.Now)
	}
	if c.Table == nil {
		c.Table = NewMemoryTable()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Handler answers the SockJS endpoint, /healthz and the page. It takes paths
// as they come: a mux would answer odd ones with redirects that no SockJS
// client follows.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == s.c.Prefix || strings.HasPrefix(path, s.c.Prefix+"/"):
			s.sock.ServeHTTP(w, r)
		case path == "/healthz":
			s.health(w, r)
		default:
			s.pages.ServeHTTP(w, r)
		}
	})
}

// health answers 200 while the server takes sessions and 503 before and after.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The health can only be read.", http.StatusMethodNotAllowed)
		return
	}
	h := struct {
		Status   string `json:"status"` // "ok", "starting", "draining"
		Instance string `json:"instance"`
		Sessions int    `json:"sessions"`
		Rooms    int    `json:"rooms"`
	}{Status: "ok", Instance: s.c.Instance}
	s.mu.Lock()
	h.Sessions, h.Rooms = len(s.clients), len(s.state.rooms)
	draining := s.draining
	s.mu.Unlock()
	code := http.StatusOK
	if draining {
		h.Status, code = "draining", http.StatusServiceUnavailable
	} else if !closed(s.ready) {
		h.Status, code = "starting", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// The client may be gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(h)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Run follows the log and the table until ctx ends, or one of them fails for
// good. Then it closes every session with 3000, so that clients connect
// elsewhere, and returns when all have gone. It runs once.
func (s *Server) Run(ctx context.Context) error {
	inner, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var parts sync.WaitGroup
	part := func(f func(context.Context) error) {
		parts.Go(func() {
			if err := f(inner); err != nil && inner.Err() == nil {
				stop(err)
			}
		})
	}
	part(func(ctx context.Context) error {
		return s.c.Log.Follow(ctx, s.hearEntry, sync.OnceFunc(s.caughtUp))
	})
	part(func(ctx context.Context) error {
		return s.c.Table.Follow(ctx, s.hearRow, sync.OnceFunc(s.caughtUp))
	})
	part(s.keep)
	select {
	case <-ctx.Done():
	case <-inner.Done():
	}
	s.drain(context.WithoutCancel(ctx))
	stop(nil)
	parts.Wait()
	if cause := context.Cause(inner); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("room: %w", cause)
	}
	return nil
}

// caughtUp is called by the log and by the table, once each.
func (s *Server) caughtUp() {
	if s.behind.Add(-1) == 0 {
		close(s.ready)
	}
}

// drain ends all sessions and waits until they have gone. Their rows stay:
// whoever comes back within Linger, here or elsewhere, has never been away.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.mu.Lock()
	s.draining = true
	sessions := len(s.clients)
	s.mu.Unlock()
	s.c.Logger.Info("chat is closing its sessions", "sessions", sessions)
	if err := s.sock.Shutdown(ctx); err != nil {
		s.c.Logger.Warn("chat left sessions behind", "error", err)
	}
	s.farewell(ctx)
}

// keep tells the other servers that this one lives, and gives up the names of
// those who have gone, until ctx ends.
func (s *Server) keep(ctx context.Context) error {
	beats := time.NewTicker(heartbeat)
	defer beats.Stop()
	sweeps := time.NewTicker(sweep)
	defer sweeps.Stop()
	s.beat(ctx)
	for {
		select {
		case <-beats.C:
			s.beat(ctx)
		case <-sweeps.C:
			s.sweep(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// beat renews this server's row. A beat that fails is not the end: the next
// one comes before the others take this server for dead.
func (s *Server) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	row := s.ownRow()
	row.Data = []byte(s.c.Instance)
	stands, err := s.c.Table.Put(ctx, row)
	if errors.Is(err, ErrConflict) { // seen late here; nobody else writes it
		row.Rev = stands.Rev
		_, err = s.c.Table.Put(ctx, row)
	}
	if err != nil && !closed(ctx.Done()) {
		s.c.Logger.Warn("chat could not renew its row", "error", err)
	}
}

// farewell takes this server's row away, so that the others need not wait
// until they miss it.
func (s *Server) farewell(ctx context.Context) {
	if _, err := s.c.Table.Put(ctx, s.ownRow()); err != nil && !errors.Is(err, ErrConflict) {
		s.c.Logger.Warn("chat could not remove its row", "error", err)
	}
}

func (s *Server) ownRow() Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Row{Key: instancePrefix + s.life, Rev: s.state.instances[s.life].rev}
}

func (s *Server) sweep(ctx context.Context) {
	s.mu.Lock()
	rows := s.state.expired(s.c.Now(), s.life, s.c.Linger, s.alive)
	s.mu.Unlock()
	for _, r := range rows[:min(len(rows), sweepAtOnce)] {
		if !s.remove(ctx, r) {
			return
		}
	}
}

// remove deletes a row as it was seen. One that has changed since is another's
// business; one that could not be deleted, false, comes up in the next sweep.
func (s *Server) remove(ctx context.Context, r Row) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.Data = nil
	if _, err := s.c.Table.Put(ctx, r); err != nil && !errors.Is(err, ErrConflict) {
		s.c.Logger.Warn("chat could not give up a name", "error", err)
		return false
	}
	return true
}
