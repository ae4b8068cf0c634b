package target_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// web2 is a target that speaks HTTP/2, with TLS if there is a config, and takes so
// many requests on each connection.
func web2(t *testing.T, config *tls.Config, streams int, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	server := &http.Server{
		Handler: h, Protocols: protocols, TLSConfig: config, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if config != nil {
			server.ServeTLS(l, "", "")
			return
		}
		server.Serve(l)
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

// speaking is a registry with one target that is asked over HTTP/2.
func speaking(t *testing.T, protocol albion.Protocol, at netip.AddrPort, delay time.Duration) (*target.Registry, *albion.TargetGroup) {
	t.Helper()
	g := &albion.TargetGroup{
		ARN: arn, Protocol: protocol, ProtocolVersion: albion.HTTP2, Attributes: albion.DefaultTargetGroupAttributes(),
		Targets: []albion.Target{{Host: at.Addr().String(), Port: at.Port()}},
	}
	g.Attributes.DeregistrationDelay = delay
	r := with(g)
	t.Cleanup(run(t, r))
	return r, g
}

// get makes a request and returns its status.
func get(ctx context.Context, live *target.Target) (int, error) {
	s, err := live.Stream(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Release()
	if err := s.WriteRequest(&h2.Request{Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte("a"), Path: []byte("/")}, true); err != nil {
		return 0, err
	}
	var head wire.Response
	if _, err := s.ReadHead(&head); err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, s)
	return head.Status, err
}

func TestHTTP2IsAgreedOnWithTLS(t *testing.T) {
	cert := certificate(t)
	yes := web2(t, &tls.Config{Certificates: []tls.Certificate{cert}}, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && r.TLS != nil {
			w.WriteHeader(204)
		}
	})
	r, _ := speaking(t, albion.HTTPS, yes, time.Minute)
	l := choose(t, r, plain())
	defer l.Release()
	if status, err := get(t.Context(), l.Target()); status != 204 || err != nil {
		t.Errorf("%d %v", status, err)
	}

	l2, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l2.Accept(); err == nil {
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l2.Close(); <-done })
	no, _ := speaking(t, albion.HTTPS, netip.MustParseAddrPort(l2.Addr().String()), time.Minute)
	other := choose(t, no, plain())
	defer other.Release()
	if _, err := get(t.Context(), other.Target()); !errors.Is(err, target.ErrNoALPN) {
		t.Errorf("a target without ALPN: %v", err)
	}
}

// When all connections are full another one is made, by one of those who wait.
func TestConnectionsAreMadeWhenAllAreFull(t *testing.T) {
	const limit, many = 5, 23
	var mu sync.Mutex
	perConn := map[string]int{}
	arrived, release := make(chan struct{}, many), make(chan struct{})
	at := web2(t, nil, limit, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		perConn[r.RemoteAddr]++
		mu.Unlock()
		arrived <- struct{}{}
		<-release
	})
	r, _ := speaking(t, albion.HTTP, at, time.Minute)
	l := choose(t, r, plain())
	defer l.Release()
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if status, err := get(t.Context(), l.Target()); status != 200 || err != nil {
				t.Errorf("%d %v", status, err)
			}
		})
	}
	for range many {
		<-arrived
	}
	mu.Lock()
	defer mu.Unlock()
	if want := (many + limit - 1) / limit; len(perConn) != want {
		t.Errorf("%d connections, want %d: %v", len(perConn), want, perConn)
	}
	close(release)
	all.Wait()
}

// The connections of a target that is taken out end with its last request, or
// with the deregistration delay.
func TestTheConnectionsOfADrainedTargetEnd(t *testing.T) {
	for name, delay := range map[string]time.Duration{"in time": time.Minute, "cut": 0} {
		t.Run(name, func(t *testing.T) {
			entered, release := make(chan struct{}, 1), make(chan struct{})
			at := web2(t, nil, 0, func(_ http.ResponseWriter, r *http.Request) {
				entered <- struct{}{}
				select {
				case <-release:
				case <-r.Context().Done():
				}
			})
			r, g := speaking(t, albion.HTTP, at, delay)
			l := choose(t, r, plain())
			ended := make(chan error, 1)
			go func() {
				_, err := get(t.Context(), l.Target())
				ended <- err
			}()
			<-entered
			gone := *g
			gone.Targets = nil
			r.Sync([]*albion.TargetGroup{&gone}, map[albion.ARN]bool{arn: true})
			if delay > 0 {
				close(release)
			}
			err := <-ended
			if cut := err != nil; cut != (delay == 0) || cut && !l.Target().Expired() {
				t.Errorf("the request ended with %v", err)
			}
			l.Release()
			if _, err := get(t.Context(), l.Target()); err == nil {
				t.Error("a request after the end")
			}
		})
	}
}
