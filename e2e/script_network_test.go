package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdFreePort finds ports that nobody uses now, each another.
func cmdFreePort(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "freeport NAME…")
	for _, name := range args {
		l, err := listenLow()
		ts.Check(err)
		defer l.Close() // after the others, so that none is given twice
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}

func cmdOccupy(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "occupy PORT")
	l, err := net.Listen("tcp", ":"+args[0])
	ts.Check(err)
	worldOf(ts).occupied[args[0]] = l.Close
}

func cmdVacate(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "vacate PORT")
	w := worldOf(ts)
	ts.Check(get(ts, w.occupied, args[0])())
	delete(w.occupied, args[0])
}

// backend is a plain-HTTP server that does as the script says.
type backend struct {
	name   string
	server *http.Server
	health atomic.Int64
	held   chan struct{} // receives when a request begins to wait at /slow
	goOn   chan struct{} // closed by release
	once   sync.Once
	stop   context.CancelFunc
}

func cmdBackend(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "backend NAME")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	b := &backend{name: args[0], held: make(chan struct{}, 16), goOn: make(chan struct{}), stop: stop}
	b.health.Store(http.StatusOK)
	b.server = &http.Server{Handler: b.handler(), ReadHeaderTimeout: patience, BaseContext: func(net.Listener) context.Context { return ctx }}
	w := worldOf(ts)
	w.backends[args[0]] = b
	w.wait.Go(func() { b.server.Serve(l) })
	ts.Setenv(args[0], l.Addr().String())
}

func (b *backend) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s proto=%s\n", b.name, r.URL.Path, r.Header.Get("X-Forwarded-Proto"))
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(b.health.Load())) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		b.held <- struct{}{}
		select {
		case <-b.goOn:
			fmt.Fprintln(w, "slow and done")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/ws", b.echo)
	return mux
}

// echo sends every message back.
func (b *backend) echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, text, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, text) != nil {
			return
		}
	}
}

func (b *backend) close() {
	b.stop()
	b.server.Close()
}

func cmdHealth(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "health NAME STATUS")
	status, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	get(ts, worldOf(ts).backends, args[0]).health.Store(status)
}

func cmdRelease(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "release NAME")
	b := get(ts, worldOf(ts).backends, args[0])
	b.once.Do(func() { close(b.goOn) })
}

func cmdHeld(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "held NAME")
	select {
	case <-get(ts, worldOf(ts).backends, args[0]).held:
	case <-time.After(patience):
		ts.Fatalf("no request came to %s/slow", args[0])
	}
}

// client is somebody who keeps one connection open.
type client struct{ transport *http.Transport }

func newClient() *client {
	// Who is at the other end is for curl and openssl to check.
	return &client{&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxConnsPerHost: 1}}
}

// answer is what a request led to.
type answer struct {
	status string
	body   []byte
	reused bool // the connection was there before
	err    error
}

func (c *client) get(url string) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { a.reused = i.Reused }})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	a.status = strconv.Itoa(res.StatusCode)
	a.body, a.err = io.ReadAll(res.Body)
	return a
}

func cmdRequest(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "request NAME URL")
	w, c, done := worldOf(ts), newClient(), make(chan answer, 1)
	w.requests[args[0]] = done
	w.wait.Go(func() {
		done <- c.get(args[1])
		c.transport.CloseIdleConnections()
	})
}

func cmdAnswered(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "answered NAME STATUS REGEXP")
	select {
	case a := <-get(ts, worldOf(ts).requests, args[0]):
		ts.Check(a.err)
		if a.status != args[1] {
			ts.Fatalf("%s was answered %s: %s", args[0], a.status, a.body)
		}
		ts.Check(matches("the answer", a.body, args[2]))
	case <-time.After(patience):
		ts.Fatalf("%s has no answer yet", args[0])
	}
}

func cmdClient(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "client NAME URL REGEXP")
	w := worldOf(ts)
	c, known := w.clients[args[0]]
	if !known {
		c = newClient()
		w.clients[args[0]] = c
	}
	a := c.get(args[1])
	ts.Check(a.err)
	if known && !a.reused {
		ts.Fatalf("%s had to connect again: its connection was cut", args[0])
	}
	ts.Check(matches("the answer", a.body, args[2]))
}

// socket is an open WebSocket. It must be read for its end to be noticed.
type socket struct {
	conn     *websocket.Conn
	messages chan string // closed at the end
}

func cmdWS(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "ws NAME URL")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	conn, _, err := websocket.Dial(ctx, args[1], &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	ts.Check(err)
	s := &socket{conn: conn, messages: make(chan string, 16)}
	w := worldOf(ts)
	w.sockets[args[0]] = s
	w.wait.Go(func() {
		defer close(s.messages)
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				return
			}
			s.messages <- string(text)
		}
	})
}

func cmdWSEcho(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "ws-echo NAME TEXT")
	s := get(ts, worldOf(ts).sockets, args[0])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ts.Check(s.conn.Write(ctx, websocket.MessageText, []byte(args[1])))
	select {
	case text, open := <-s.messages:
		if !open || text != args[1] {
			ts.Fatalf("%s says %q (open: %t)", args[0], text, open)
		}
	case <-ctx.Done():
		ts.Fatalf("%s says nothing", args[0])
	}
}

func cmdWSEnded(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "ws-ended NAME")
	select {
	case text, open := <-get(ts, worldOf(ts).sockets, args[0]).messages:
		if open {
			ts.Fatalf("%s says %q", args[0], text)
		}
	case <-time.After(patience):
		ts.Fatalf("%s has not ended", args[0])
	}
}
