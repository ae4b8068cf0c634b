package h2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// origin is an HTTP/2 server without TLS, of the standard library.
func origin(t testing.TB, handler http.HandlerFunc, streams int) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: handler, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return listener.Addr().String()
}

// ask connects to a target; the connection lives as long as the test.
func ask(t testing.TB, address string, cfg h2.ClientConfig) *h2.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return askOn(t, conn, cfg)
}

func askOn(t testing.TB, conn net.Conn, cfg h2.ClientConfig) *h2.Conn {
	t.Helper()
	c := h2.NewClient(conn, cfg, h2.NewShared())
	done := make(chan struct{})
	go func() { defer close(done); c.Serve() }()
	t.Cleanup(func() { c.Cut(); <-done })
	return c
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func awaited(t testing.TB, c *h2.Conn) *h2.Conn {
	t.Helper()
	if err := c.Await(soon(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

func request(method, path string, fields ...wire.Field) *h2.Request {
	return &h2.Request{Method: []byte(method), Scheme: []byte("http"), Authority: []byte("a.test"), Path: []byte(path), Fields: fields, Trailers: true}
}

func open(t testing.TB, c *h2.Conn) *h2.Stream {
	t.Helper()
	s, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fetch asks and returns the whole answer.
func fetch(t testing.TB, c *h2.Conn, r *h2.Request, body string) (status int, content string, head wire.Response, trailers string) {
	t.Helper()
	s := open(t, c)
	defer s.Release()
	if err := s.WriteRequest(r, body == ""); err != nil {
		t.Fatal(err)
	}
	if body != "" {
		if err := s.Finish([]byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ReadHead(&head); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Trailers() {
		trailers += fmt.Sprintf("%s=%s;", f.Name, f.Value)
	}
	return head.Status, string(data), head, trailers
}

func TestATargetIsAsked(t *testing.T) {
	address := origin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			w.Header().Set("Trailer", "Sum")
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Saw", r.Method+" "+r.Host+" "+r.Header.Get("X-Asked")+" "+r.Trailer.Get("More"))
			w.Write(body)
			w.Header().Set("Sum", strconv.Itoa(len(body)))
		case "/early":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(103)
			w.WriteHeader(201)
		case "/big":
			w.Write(make([]byte, 3<<20))
		}
	}, 100)
	c := awaited(t, ask(t, address, h2.ClientConfig{}))

	status, body, head, trailers := fetch(t, c, request("POST", "/echo", field("X-Asked", "yes")), "hello")
	if status != 200 || body != "hello" || trailers != "sum=5;" {
		t.Errorf("%d %q %q", status, body, trailers)
	}
	saw := ""
	for _, f := range head.Fields {
		if string(f.Name) == "x-saw" {
			saw = string(f.Value)
		}
	}
	if saw != "POST a.test yes" {
		t.Errorf("the target saw %q", saw)
	}
	if _, body, _, _ := fetch(t, c, request("GET", "/big"), ""); len(body) != 3<<20 {
		t.Errorf("%d bytes of 3 MiB", len(body))
	}
	big := strings.Repeat("0123456789abcdef", 1<<17)
	if _, body, _, _ := fetch(t, c, request("POST", "/echo"), big); body != big {
		t.Errorf("%d bytes came back of %d", len(body), len(big))
	}
	if status, _, _, _ := fetch(t, c, request("HEAD", "/big"), ""); status != 200 {
		t.Errorf("HEAD: %d", status)
	}

	s := open(t, c)
	defer s.Release()
	if err := s.WriteRequest(request("GET", "/early"), true); err != nil {
		t.Fatal(err)
	}
	var first, second wire.Response
	if ends, err := s.ReadHead(&first); err != nil || ends || first.Status != 103 {
		t.Errorf("%d %v %v", first.Status, ends, err)
	}
	if ends, err := s.ReadHead(&second); err != nil || !ends || second.Status != 201 || !s.Ended() {
		t.Errorf("%d %v %v", second.Status, ends, err)
	}
}

func TestManyStreamsAtOnceAndNoMoreThanAllowed(t *testing.T) {
	arrived, release := make(chan struct{}, 64), make(chan struct{})
	address := origin(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		io.WriteString(w, r.URL.Path)
	}, 7)
	c := awaited(t, ask(t, address, h2.ClientConfig{}))
	var all sync.WaitGroup
	for i := range 7 {
		s := open(t, c)
		all.Go(func() {
			defer s.Release()
			path := "/" + strconv.Itoa(i)
			var head wire.Response
			if err := s.WriteRequest(request("GET", path), true); err != nil {
				t.Error(err)
			}
			if _, err := s.ReadHead(&head); err != nil {
				t.Error(err)
			}
			if body, err := io.ReadAll(s); string(body) != path || err != nil {
				t.Errorf("%q %v", body, err)
			}
		})
	}
	for range 7 {
		<-arrived
	}
	if _, err := c.Open(); !errors.Is(err, h2.ErrFull) {
		t.Errorf("an eighth stream: %v", err)
	}
	if busy, room, usable := c.Load(); busy != 7 || room != 0 || !usable {
		t.Error(busy, room, usable)
	}
	close(release)
	all.Wait()
	open(t, c).Release()
}
