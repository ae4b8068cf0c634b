package sockjs_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion/sockjs"
)

// service is a server on the loopback whose sessions the test drives.
type service struct {
	*testing.T
	server   *sockjs.Server
	web      *httptest.Server
	sessions chan *sockjs.Session // in the order they begin
	leave    chan struct{}        // closed: the handlers return
}

// serve starts a service at /s. Its handlers do nothing until they are told
// to leave, or their session ends.
func serve(t *testing.T, o sockjs.Options) *service {
	s := &service{T: t, sessions: make(chan *sockjs.Session, 16), leave: make(chan struct{})}
	s.server = sockjs.New("/s", o, func(sess *sockjs.Session) {
		s.sessions <- sess
		select {
		case <-s.leave:
		case <-sess.Done():
		}
	})
	s.web = httptest.NewServer(s.server)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody waits for what the test has left unread
		_ = s.server.Shutdown(ctx)
		s.web.CloseClientConnections()
		s.web.Close()
	})
	return s
}

func (s *service) request(ctx context.Context, method, path, body string) *http.Response {
	s.Helper()
	r, err := http.NewRequestWithContext(ctx, method, s.web.URL+"/s"+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	resp, err := s.web.Client().Do(r)
	if err != nil {
		s.Fatal(err)
	}
	return resp
}

// do returns status and body in one string, "200 o\n".
func (s *service) do(method, path, body string) string {
	s.Helper()
	resp := s.request(s.Context(), method, path, body)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.Status[:3] + " " + string(b)
}

func (s *service) want(got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("got %.300q, want %.300q", got, want)
	}
}

// poll polls session key and checks the answer.
func (s *service) poll(key, want string) {
	s.Helper()
	s.want(s.do("POST", "/0/"+key+"/xhr", ""), "200 "+want+"\n")
}

func (s *service) session() *sockjs.Session {
	s.Helper()
	select {
	case sess := <-s.sessions:
		return sess
	case <-s.Context().Done():
		s.Fatal("no session began")
		return nil
	}
}

// stream opens a streaming response and reads its beginning; lines are what
// follows, and cut breaks it off.
func (s *service) stream(key string) (lines *bufio.Reader, cut func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	resp := s.request(ctx, "POST", "/0/"+key+"/xhr_streaming", "")
	s.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
	})
	lines = bufio.NewReader(resp.Body)
	s.line(lines, strings.Repeat("h", 2048))
	return lines, cancel
}

func (s *service) line(lines *bufio.Reader, want string) {
	s.Helper()
	got, err := lines.ReadString('\n')
	if err != nil {
		s.Fatalf("read: %v; want %q", err, want)
	}
	s.want(got, want+"\n")
}

func TestACutStreamEndsItsSessionAtOnce(t *testing.T) {
	// No other end is near: what ends the session is the cut.
	s := serve(t, sockjs.Options{DisconnectDelay: time.Hour, HeartbeatDelay: time.Hour})
	lines, cut := s.stream("a")
	s.line(lines, "o")
	sess := s.session()
	cut()
	<-sess.Done()
	s.poll("a", `c[1002,"Connection interrupted"]`)
	s.want(s.do("POST", "/0/a/xhr_send", `["late"]`), "204 ")
	if _, err := sess.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Recv: %v; want io.EOF", err)
	}
}

func TestACutPollEndsItsSessionAtOnce(t *testing.T) {
	s := serve(t, sockjs.Options{DisconnectDelay: time.Hour, HeartbeatDelay: time.Hour})
	s.poll("a", "o")
	sess := s.session()
	type poll struct {
		cut  context.CancelFunc
		body string
		err  error
	}
	answered := make(chan *poll)
	polls := map[*poll]bool{}
	for range 2 {
		ctx, cut := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", s.web.URL+"/s/0/a/xhr", strings.NewReader("a body, too"))
		if err != nil {
			t.Fatal(err)
		}
		p := &poll{cut: cut}
		polls[p] = true
		go func() {
			resp, err := s.web.Client().Do(r)
			if p.err = err; err == nil {
				var b []byte
				b, p.err = io.ReadAll(resp.Body)
				p.body = string(b)
			}
			answered <- p
		}()
	}
	// The one that comes second is refused, so the other has been seen.
	refused := <-answered
	refused.cut()
	s.want(refused.body, `c[2010,"Another connection still open"]`+"\n")
	delete(polls, refused)
	for p := range polls {
		p.cut()
	}
	if p := <-answered; !errors.Is(p.err, context.Canceled) {
		t.Errorf("the other poll: %q, %v; want that it was cut", p.body, p.err)
	}
	<-sess.Done()
	s.poll("a", `c[1002,"Connection interrupted"]`)
}

func TestTheNextReceiverTakesOverWhenTheLastOneLeaves(t *testing.T) {
	s := serve(t, sockjs.Options{ResponseLimit: 1})
	lines, _ := s.stream("a")
	s.line(lines, "o") // and that is the limit
	sess := s.session()
	if err := sess.Send("x"); err != nil {
		t.Fatal(err)
	}
	lines, _ = s.stream("a")
	s.line(lines, `a["x"]`)
}

func TestCloseComesAfterWhatWasSent(t *testing.T) {
	s := serve(t, sockjs.Options{})
	s.poll("a", "o")
	sess := s.session()
	for _, msg := range []string{"x", "y"} {
		if err := sess.Send(msg); err != nil {
			t.Fatal(err)
		}
	}
	if err := sess.Close(4000, `say "bye"`); err != nil {
		t.Fatal(err)
	}
	if err := sess.Close(4001, "again"); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("second Close: %v; want ErrClosed", err)
	}
	if err := sess.Send("z"); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("Send after Close: %v; want ErrClosed", err)
	}
	<-sess.Done()
	s.poll("a", `a["x","y"]`)
	s.poll("a", `c[4000,"say \"bye\""]`)
	s.poll("a", `c[4000,"say \"bye\""]`)
}

func TestRecvReturnsWhatCameBeforeTheEnd(t *testing.T) {
	s := serve(t, sockjs.Options{})
	s.poll("a", "o")
	sess := s.session()
	s.want(s.do("POST", "/0/a/xhr_send", `["x","y"]`), "204 ")
	if err := sess.Close(3000, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"x", "y"} {
		if got, err := sess.Recv(t.Context()); got != want || err != nil {
			t.Errorf("Recv = %q, %v; want %q", got, err, want)
		}
	}
	if _, err := sess.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Recv: %v; want io.EOF", err)
	}
}

func TestRecvEndsWithItsContext(t *testing.T) {
	s := serve(t, sockjs.Options{})
	s.poll("a", "o")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.session().Recv(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Recv: %v; want context.Canceled", err)
	}
}

func TestSendRefusesWhatASlowClientWouldPileUp(t *testing.T) {
	const queue = 1000
	s := serve(t, sockjs.Options{MaxQueue: queue})
	s.poll("a", "o")
	sess := s.session()
	sent, err := 0, error(nil)
	for ; err == nil; sent++ {
		err = sess.Send("x")
	}
	if !errors.Is(err, sockjs.ErrSlow) || sent > queue/64+1 || sent < 2 {
		t.Fatalf("Send %d: %v; want ErrSlow within %d bytes", sent, err, queue)
	}
	s.poll("a", "a["+strings.TrimSuffix(strings.Repeat(`"x",`, sent-1), ",")+"]")
	if err := sess.Send(strings.Repeat("y", 2*queue)); err != nil {
		t.Errorf("Send of a long message on its own: %v", err)
	}
	if err := sess.Send("z"); !errors.Is(err, sockjs.ErrSlow) {
		t.Errorf("Send behind it: %v; want ErrSlow", err)
	}
}

func TestAFastClientWaitsForTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := make(chan *sockjs.Session, 1)
		server := sockjs.New("", sockjs.Options{MaxQueue: 100, DisconnectDelay: time.Hour}, func(s *sockjs.Session) {
			sessions <- s
			<-s.Done()
		})
		post := func(path, body string) int {
			w := httptest.NewRecorder()
			server.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
			return w.Code
		}
		post("/0/a/xhr", "")
		sess := <-sessions
		recv := func(want string) {
			t.Helper()
			if got, err := sess.Recv(t.Context()); got != want || err != nil {
				t.Fatalf("Recv = %q, %v; want %q", got, err, want)
			}
		}
		if code := post("/0/a/xhr_send", `["1","2"]`); code != http.StatusNoContent { // more than the queue already
			t.Errorf("first send: status %d", code)
		}
		answered := make(chan int, 1)
		go func() { answered <- post("/0/a/xhr_send", `["3"]`) }()
		time.Sleep(time.Minute) // of the bubble
		if len(answered) > 0 {
			t.Error("the second send did not wait for room")
		}
		recv("1")
		recv("2")
		recv("3")
		if code := <-answered; code != http.StatusNoContent {
			t.Errorf("second send: status %d", code)
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTheHandlersReturnClosesTheSession(t *testing.T) {
	s := serve(t, sockjs.Options{})
	s.poll("a", "o")
	sess := s.session()
	close(s.leave)
	<-sess.Done()
	s.poll("a", `c[3000,"Go away!"]`)
}

func TestSessionsDoNotKnowTheirKey(t *testing.T) {
	s := serve(t, sockjs.Options{})
	s.poll("secret", "o")
	a := s.session()
	s.poll("other", "o")
	b := s.session()
	if a.ID() == b.ID() || strings.Contains(a.ID()+b.ID(), "secret") {
		t.Errorf("ids are %q and %q", a.ID(), b.ID())
	}
	r := a.Request()
	if r.Method != "POST" || r.RemoteAddr == "" || r.Context().Err() != nil {
		t.Errorf("request %s from %q with context %v", r.Method, r.RemoteAddr, r.Context().Err())
	}
}

func TestShutdownTellsEverybody(t *testing.T) {
	s := serve(t, sockjs.Options{})
	lines, _ := s.stream("streaming")
	s.line(lines, "o")
	streaming := s.session()
	s.poll("polling", "o")
	polling := s.session()
	if err := polling.Send("last words"); err != nil {
		t.Fatal(err)
	}
	down := make(chan error)
	go func() { down <- s.server.Shutdown(t.Context()) }()
	s.line(lines, `c[3000,"Go away!"]`)
	<-streaming.Done()
	<-polling.Done()
	s.poll("polling", `a["last words"]`) // what Shutdown waits for
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	s.poll("polling", `c[3000,"Go away!"]`)
	s.poll("new", `c[3000,"Go away!"]`)
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	stay := make(chan struct{})
	server := sockjs.New("/s", sockjs.Options{}, func(*sockjs.Session) { <-stay })
	w := httptest.NewRecorder()
	server.ServeHTTP(w, httptest.NewRequest("POST", "/s/0/a/xhr", nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v; want context.Canceled", err)
	}
	close(stay)
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown when the handler has returned: %v", err)
	}
}

func TestNoMoreSessionsThanAllowed(t *testing.T) {
	s := serve(t, sockjs.Options{MaxSessions: 2, DisconnectDelay: 10 * time.Millisecond})
	lines, _ := s.stream("a")
	s.line(lines, "o")
	s.session()
	other, cut := s.stream("b")
	s.line(other, "o")
	b := s.session()
	s.want(s.do("POST", "/0/c/xhr", ""), "503 Too many sessions.\n")
	s.want(dialError(t, s.web.URL+"/s/websocket"), "503")
	cut()
	<-b.Done()
	// The place is free as soon as the session is forgotten.
	for s.do("POST", "/0/c/xhr", "") != "200 o\n" {
		if t.Context().Err() != nil {
			t.Fatal("no place became free")
		}
	}
}

func TestLongBodiesAreRefused(t *testing.T) {
	s := serve(t, sockjs.Options{MaxMessage: 10})
	s.poll("a", "o")
	s.want(s.do("POST", "/0/a/xhr_send", `["123456"]`), "204 ")
	s.want(s.do("POST", "/0/a/xhr_send", `["1234567"]`), "413 Payload too large.\n")
	s.want(s.do("POST", "/0/a/xhr", "12345678901"), "413 Payload too large.\n")
}

func TestHeartbeatsKeepAStreamAlive(t *testing.T) {
	s := serve(t, sockjs.Options{HeartbeatDelay: time.Millisecond})
	lines, _ := s.stream("a")
	s.line(lines, "o")
	s.line(lines, "h")
	s.line(lines, "h")
	s.poll("b", "o")
	s.poll("b", "h")
}

// In a bubble with its own clock, what happens at 5 and 25 seconds happens
// then and not before.
func TestTheDelaysOfTheProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sockjs.New("", sockjs.Options{}, func(s *sockjs.Session) { <-s.Done() })
		poll := func(want string) {
			t.Helper()
			w := httptest.NewRecorder()
			server.ServeHTTP(w, httptest.NewRequest("POST", "/0/a/xhr", nil))
			if got := w.Body.String(); got != want+"\n" {
				t.Errorf("poll: %q; want %q", got, want)
			}
		}
		poll("o")
		begin := time.Now()
		poll("h")
		if waited := time.Since(begin); waited != 25*time.Second {
			t.Errorf("heartbeat after %v; want 25s", waited)
		}
		time.Sleep(5*time.Second - time.Nanosecond)
		poll("h") // the session is still there
		time.Sleep(5*time.Second + time.Nanosecond)
		poll("o") // and now there is a new one
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAClosedSessionSaysSoForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sockjs.New("", sockjs.Options{}, func(s *sockjs.Session) {})
		poll := func(want string) {
			t.Helper()
			w := httptest.NewRecorder()
			server.ServeHTTP(w, httptest.NewRequest("POST", "/0/a/xhr", nil))
			if got := w.Body.String(); got != want+"\n" {
				t.Errorf("poll: %q; want %q", got, want)
			}
		}
		poll("o")
		time.Sleep(3 * time.Second)
		poll(`c[3000,"Go away!"]`)
		time.Sleep(1999 * time.Millisecond)
		poll(`c[3000,"Go away!"]`)
		time.Sleep(2 * time.Millisecond)
		poll("o")
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
