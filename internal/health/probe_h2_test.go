package health_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/health"
)

// verdictOf probes one target of a group of this version until it is healthy or
// unhealthy.
func verdictOf(t *testing.T, version albion.ProtocolVersion, target albion.Target, hc albion.HealthCheck) string {
	t.Helper()
	found := make(chan albion.Health, 10)
	c := health.New(health.Config{Report: func(_ albion.ARN, _ albion.Target, h albion.Health) { found <- h }})
	g := group(hc, target)
	g.ProtocolVersion = version
	c.Sync([]*albion.TargetGroup{g})
	end := begin(t, c)
	defer end()
	<-found
	h := <-found
	return string(h.State) + " " + string(h.Reason) + " " + h.Description
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestProbesOfGRPC(t *testing.T) {
	service := grpchealth.NewServer()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, service)
	l := listen(t)
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
	target := at(t, l.Addr().String())

	check := func(path, matcher string) string {
		hc := albion.GRPC.DefaultHealthCheck()
		hc.Unhealthy = 1
		if path != "" {
			hc.Path, hc.Matcher = path, matcher
		}
		return verdictOf(t, albion.GRPC, target, hc)
	}
	const healthy = "healthy  "
	if got := check("", ""); got != healthy {
		t.Errorf("ALB's own method, which nobody has: %s", got)
	}
	if got := check("/grpc.health.v1.Health/Check", "0"); got != healthy {
		t.Errorf("a server that serves: %s", got)
	}
	if got := check("/grpc.health.v1.Health/Check", "1-99"); got != "unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [0]" {
		t.Errorf("a code that is not wanted: %s", got)
	}
	if got := check("/nobody.Has/This", "0"); got != "unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [12]" {
		t.Errorf("no such method: %s", got)
	}
	service.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	if got := check("/grpc.health.v1.Health/Check", "0"); got != "unhealthy Target.FailedHealthChecks The target's health service does not say SERVING" {
		t.Errorf("a server that does not serve: %s", got)
	}
}

func TestProbesOverHTTP2(t *testing.T) {
	l := listen(t)
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor != 2 || r.Method != http.MethodGet || r.UserAgent() != "ELB-HealthChecker/2.0":
			w.WriteHeader(418)
		case r.URL.Path == "/sick":
			w.WriteHeader(503)
		case r.URL.Path == "/long":
			w.Write(make([]byte, 1<<20))
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	target := at(t, l.Addr().String())
	for path, want := range map[string]string{
		"/": "healthy  ", "/long": "healthy  ",
		"/sick": "unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [503]",
	} {
		hc := quick()
		hc.Path = path
		if got := verdictOf(t, albion.HTTP2, target, hc); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// What a target of HTTP/2 can do wrong ends in time and is a failure.
func TestProbesOfBadHTTP2(t *testing.T) {
	for name, script := range map[string]func(net.Conn){
		"HTTP/1":    func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) },
		"nothing":   func(net.Conn) {},
		"no answer": func(c net.Conn) { http2.NewFramer(c, nil).WriteSettings() },
		"garbage":   func(c net.Conn) { c.Write([]byte(strings.Repeat("\x00\xff", 4096))) },
		"no new streams": func(c net.Conn) {
			f := http2.NewFramer(c, nil)
			f.WriteSettings()
			f.WriteGoAway(0, http2.ErrCodeNo, nil)
		},
		"no streams": func(c net.Conn) {
			http2.NewFramer(c, nil).WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		},
	} {
		l := listen(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				script(conn)
				conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				for buf := make([]byte, 1024); ; {
					if _, err := conn.Read(buf); err != nil {
						break
					}
				}
				conn.Close()
			}
		}()
		hc := albion.GRPC.DefaultHealthCheck()
		hc.Unhealthy, hc.Timeout = 1, 200*time.Millisecond
		if got := verdictOf(t, albion.GRPC, at(t, l.Addr().String()), hc); !strings.HasPrefix(got, "unhealthy Target.FailedHealthChecks") && !strings.HasPrefix(got, "unhealthy Target.Timeout") {
			t.Errorf("%s: %s", name, got)
		}
		l.Close()
		<-done
	}
}
