package edge_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/edge"
)

// From a State to a call: a listener with a certificate, a group that is checked,
// a server and a client of grpc-go.
func TestAStateWithGRPCIsServed(t *testing.T) {
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, grpchealth.NewServer())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })

	w, port := newWorld(t, edge.Config{}), freePort(t)
	state := func(change func(*albion.LoadBalancer)) {
		w.apply(func(d *albion.Draft) {
			balancer(d, change)
			certificate(t, d, "chat", "chat.test")
			if _, there := d.TargetGroups.Get(string(groupARN("calls"))); !there {
				group(d, "calls", time.Second, l.Addr().String())
				g, _ := d.TargetGroups.Get(string(groupARN("calls")))
				g.ProtocolVersion, g.HealthCheck = albion.GRPC, albion.GRPC.DefaultHealthCheck()
			}
			secure(d, "https", port, forward("calls"), "chat")
		})
	}
	state(nil)
	w.await("target health changed")
	call := func() error {
		conn, err := grpc.NewClient("passthrough:///"+at(port), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{ServerName: "chat.test", InsecureSkipVerify: true})))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	for _, seen := range w.edge.Seen().Targets {
		if seen.Health.State != albion.Healthy {
			t.Errorf("%+v", seen)
		}
	}
	// routing.http2.enabled: without it TLS agrees on HTTP/1.1 only.
	state(func(lb *albion.LoadBalancer) { lb.Attributes.NoHTTP2 = true })
	if err := call(); status.Code(err) != codes.Unavailable {
		t.Errorf("a call without HTTP/2: %v", err)
	}
	conn, err := tls.Dial("tcp", at(port), &tls.Config{ServerName: "chat.test", InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("agreed on %q", got)
	}
}
