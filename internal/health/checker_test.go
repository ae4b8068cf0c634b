package health_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/health"
)

// quick finds a target unhealthy after one failure.
func quick() albion.HealthCheck {
	hc := albion.DefaultHealthCheck()
	hc.Unhealthy = 1
	return hc
}

func group(hc albion.HealthCheck, targets ...albion.Target) *albion.TargetGroup {
	return &albion.TargetGroup{ARN: "chat", HealthCheck: hc, Targets: targets}
}

func at(t *testing.T, address string) albion.Target {
	t.Helper()
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return albion.Target{Host: ap.Addr().String(), Port: ap.Port()}
}

// begin runs c; the returned function ends it and waits.
func begin(t *testing.T, c *health.Checker) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ran; err != nil {
			t.Fatal(err)
		}
	}
}

// verdict probes one target until it is healthy or unhealthy.
func verdict(t *testing.T, target albion.Target, hc albion.HealthCheck) albion.Health {
	t.Helper()
	found := make(chan albion.Health, 10)
	c := health.New(health.Config{Report: func(_ albion.ARN, _ albion.Target, h albion.Health) { found <- h }})
	c.Sync([]*albion.TargetGroup{group(hc, target)})
	end := begin(t, c)
	defer end()
	if first := <-found; first.State != albion.Initial {
		t.Fatalf("before the first probe: %+v", first)
	}
	return <-found
}

func TestProbesOfRealServers(t *testing.T) {
	codes := func(h albion.Health) string { return string(h.State) + " " + string(h.Reason) + " " + h.Description }
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		change  func(*albion.HealthCheck)
		want    string
	}{
		{"200", answer(200), nil, "healthy  "},
		{"503", answer(503), nil, "unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [503]"},
		{"redirect is not followed", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, nil,
			"unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [302]"},
		{"redirect is wanted", answer(301), func(hc *albion.HealthCheck) { hc.Matcher = "200,300-302" }, "healthy  "},
		{"interim answers", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) }, nil, "healthy  "},
		{"endless body", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, nil, "healthy  "},
		{"cut body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			panic(http.ErrAbortHandler)
		}, nil,
			"unhealthy Target.FailedHealthChecks Health checks failed"},
		{"hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(hc *albion.HealthCheck) { hc.Timeout = 50 * time.Millisecond },
			"unhealthy Target.Timeout Request timed out"},
		{"hang in the body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, func(hc *albion.HealthCheck) { hc.Timeout = 50 * time.Millisecond }, "unhealthy Target.Timeout Request timed out"},
		{"path that is none", answer(200), func(hc *albion.HealthCheck) { hc.Path = "/ HTTP/1.1\r\nX: y" }, "unhealthy Target.FailedHealthChecks Health checks failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.handler)
			defer s.Close()
			hc := quick()
			if tt.change != nil {
				tt.change(&hc)
			}
			if got := codes(verdict(t, at(t, s.Listener.Addr().String()), hc)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestProbesOfWhatIsNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var says atomic.Value
	says.Store("")
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			io.WriteString(c, says.Load().(string))
			c.Close()
		}
	})
	target := at(t, l.Addr().String())
	for _, answer := range []string{
		"", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\n", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20),
	} {
		says.Store(answer)
		if h := verdict(t, target, quick()); h.State != albion.Unhealthy || h.Reason != albion.ReasonFailed {
			t.Errorf("%.30q: %+v", answer, h)
		}
	}
	l.Close()
	wg.Wait()
	if h := verdict(t, target, quick()); h.State != albion.Unhealthy || h.Reason != albion.ReasonFailed {
		t.Errorf("refused: %+v", h)
	}
}

func TestTLSIsProbedWithoutTrust(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	defer s.Close()
	hc := quick()
	hc.Protocol = albion.HTTPS
	if h := verdict(t, at(t, s.Listener.Addr().String()), hc); h.State != albion.Healthy {
		t.Errorf("HTTPS: %+v", h)
	}
	hc.Protocol = albion.HTTP
	if h := verdict(t, at(t, s.Listener.Addr().String()), hc); h.Reason != albion.ReasonMismatch {
		t.Errorf("HTTP to an HTTPS port: %+v", h)
	}
	plain := httptest.NewServer(s.Config.Handler)
	defer plain.Close()
	hc.Protocol = albion.HTTPS
	if h := verdict(t, at(t, plain.Listener.Addr().String()), hc); h.Reason != albion.ReasonFailed {
		t.Errorf("HTTPS to an HTTP port: %+v", h)
	}
}

func TestProbeIsALBs(t *testing.T) {
	requests := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r }))
	defer s.Close()
	hc := quick()
	target := at(t, s.Listener.Addr().String())
	hc.Path, hc.Port = "/up?deep=1", target.Port
	target.Port = 1 // hc.Port overrides it
	if h := verdict(t, target, hc); h.State != albion.Healthy {
		t.Fatalf("%+v", h)
	}
	r := <-requests
	got := fmt.Sprintln(r.Method, r.RequestURI, r.Proto, r.Host, r.UserAgent(), r.Close, r.ContentLength)
	if want := fmt.Sprintln("GET /up?deep=1 HTTP/1.1", s.Listener.Addr(), "ELB-HealthChecker/2.0 true 0"); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// fleet is targets in memory. Each answers with its status, or never when it is 0.
type fleet struct {
	mu      sync.Mutex
	status  map[string]int
	probes  map[string]int
	current int
	most    int
}

func newFleet() *fleet { return &fleet{status: map[string]int{}, probes: map[string]int{}} }

func (f *fleet) set(address string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status[address] = status
}

func (f *fleet) count(address string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.probes[address]
}

func (f *fleet) dial(_ context.Context, _, address string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes[address]++
	f.current++
	f.most = max(f.most, f.current)
	status := f.status[address]
	near, far := net.Pipe()
	go func() {
		defer func() {
			f.mu.Lock()
			f.current--
			f.mu.Unlock()
		}()
		defer far.Close()
		far.Read(make([]byte, 4096))
		if status == 0 {
			far.Read(make([]byte, 1)) // until the probe gives up
			return
		}
		time.Sleep(100 * time.Millisecond)
		fmt.Fprintf(far, "HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n", status)
	}()
	return near, nil
}

// board is the last report of each target.
type board struct {
	mu   sync.Mutex
	last map[albion.Target]albion.Health
	all  []albion.HealthState
}

func (b *board) report(_ albion.ARN, t albion.Target, h albion.Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last = map[albion.Target]albion.Health{}
	}
	b.last[t] = h
	b.all = append(b.all, h.State)
}

func (b *board) state(t albion.Target) albion.HealthState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[t].State
}

var one = albion.Target{Host: "10.0.0.1", Port: 80}

func TestATargetFallsIllAndRecoversAndTheLogSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := newFleet(), &board{}
		var log bytes.Buffer
		c := health.New(health.Config{Report: b.report, Dial: f.dial, Log: slog.New(slog.NewTextHandler(&log, nil))})
		end := begin(t, c)
		f.set(one.String(), 200)
		c.Sync([]*albion.TargetGroup{group(albion.DefaultHealthCheck(), one)})
		for _, step := range []struct {
			status int
			wait   time.Duration
			want   albion.HealthState
		}{
			{200, time.Second, albion.Healthy},
			{503, 34 * time.Second, albion.Healthy},
			{503, 35 * time.Second, albion.Unhealthy},
			{0, 5 * time.Minute, albion.Unhealthy},
			{200, 100 * time.Second, albion.Unhealthy},
			{200, 100 * time.Second, albion.Healthy},
			{200, time.Hour, albion.Healthy},
		} {
			f.set(one.String(), step.status)
			time.Sleep(step.wait)
			if got := b.state(one); got != step.want {
				t.Fatalf("%v after %d: %s, want %s", step.wait, step.status, got, step.want)
			}
		}
		end()
		if n := strings.Count(log.String(), "target health changed"); n != 3 {
			t.Errorf("%d log lines, want 3:\n%s", n, log.String())
		}
		if n := f.count(one.String()); n < 120 || n > 155 {
			t.Errorf("%d probes in 70 minutes of 30 s", n)
		}
	})
}

func TestChangedSettingsTakeEffectAtOnceAndKeepTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := newFleet(), &board{}
		c := health.New(health.Config{Report: b.report, Dial: f.dial})
		hc := albion.DefaultHealthCheck()
		hc.Interval = 300 * time.Second
		f.set("10.0.0.1:80", 200)
		f.set("10.0.0.1:81", 200)
		c.Sync([]*albion.TargetGroup{group(hc, one)})
		end := begin(t, c)
		time.Sleep(time.Second)
		for range 5 { // the same again: nothing happens
			c.Sync([]*albion.TargetGroup{group(hc, one)})
			time.Sleep(time.Second)
		}
		if n := f.count("10.0.0.1:80"); n != 1 {
			t.Fatalf("%d probes, want 1", n)
		}
		hc.Port, hc.Interval = 81, 10*time.Second
		c.Sync([]*albion.TargetGroup{group(hc, one)})
		time.Sleep(35 * time.Second)
		if n := f.count("10.0.0.1:81"); n != 4 {
			t.Fatalf("%d probes of the new port in 35 s, want 4", n)
		}
		hc.Disabled = true
		c.Sync([]*albion.TargetGroup{group(hc, one)})
		time.Sleep(time.Hour)
		if n, s := f.count("10.0.0.1:81"), b.state(one); n != 4 || s != albion.Unavailable {
			t.Fatalf("disabled: %s, %d probes", s, n)
		}
		hc.Disabled = false
		c.Sync([]*albion.TargetGroup{group(hc, one)})
		time.Sleep(time.Second)
		if s := b.state(one); s != albion.Healthy {
			t.Fatalf("enabled again: %s", s)
		}
		end()
		want := "initial healthy healthy healthy healthy healthy unavailable healthy"
		if got := strings.Trim(fmt.Sprint(b.all), "[]"); got != want {
			t.Errorf("reports:\n got %s\nwant %s", got, want)
		}
	})
}

func TestAThousandTargetsMakeNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := newFleet(), &board{}
		c := health.New(health.Config{Report: b.report, Dial: f.dial})
		var targets []albion.Target
		for i := range 1_000 {
			target := albion.Target{Host: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Port: 80}
			f.set(target.String(), 200)
			targets = append(targets, target)
		}
		c.Sync([]*albion.TargetGroup{group(albion.DefaultHealthCheck(), targets...)})
		end := begin(t, c)
		time.Sleep(5 * time.Second)
		for _, target := range targets {
			if s := b.state(target); s != albion.Healthy {
				t.Fatalf("%s is %s", target, s)
			}
		}
		end()
		// A probe's own end may be a moment behind its caller's.
		if f.most > 2*health.MaxProbes || f.most < health.MaxProbes {
			t.Errorf("%d probes at once, bound %d", f.most, health.MaxProbes)
		}
	})
}

func TestSyncChurnLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := newFleet(), &board{}
		c := health.New(health.Config{Report: b.report, Dial: f.dial})
		end := begin(t, c)
		for i := range 300 {
			var targets []albion.Target
			for j := range i % 7 {
				targets = append(targets, albion.Target{Host: fmt.Sprint("10.0.0.", (i+j)%10), Port: 80})
			}
			c.Sync([]*albion.TargetGroup{group(albion.DefaultHealthCheck(), targets...)})
			time.Sleep(time.Duration(i%3) * 30 * time.Millisecond)
		}
		c.Sync(nil)
		synctest.Wait()
		before := len(b.all)
		time.Sleep(time.Hour)
		if len(b.all) != before {
			t.Errorf("%d reports after the last target was gone", len(b.all)-before)
		}
		c.Sync([]*albion.TargetGroup{group(albion.DefaultHealthCheck(), one)})
		end() // with a probe under way that nobody answers: returns at once
		c.Sync([]*albion.TargetGroup{group(albion.DefaultHealthCheck(), albion.Target{Host: "10.9.9.9", Port: 80})})
		synctest.Wait()
		if f.count("10.9.9.9:80") != 0 {
			t.Error("probed after the end")
		}
	})
}

func TestProbesCutShortAreNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := newFleet(), &board{}
		c := health.New(health.Config{Report: b.report, Dial: f.dial})
		end := begin(t, c)
		for range 2 {
			c.Sync([]*albion.TargetGroup{group(quick(), one)}) // never answers
			time.Sleep(time.Second)
			c.Sync(nil)
			synctest.Wait()
		}
		end()
		if got := fmt.Sprint(b.all); got != "[initial initial]" || f.count(one.String()) != 2 {
			t.Errorf("reports %s of %d probes", got, f.count(one.String()))
		}
	})
}

func TestTargetsWithoutAPortHaveTheGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := newFleet(), &board{}
		f.set("10.0.0.1:8080", 200)
		c := health.New(health.Config{Report: b.report, Dial: f.dial})
		tg := group(albion.DefaultHealthCheck(), albion.Target{Host: "10.0.0.1"})
		tg.Port = 8080
		c.Sync([]*albion.TargetGroup{tg})
		end := begin(t, c)
		time.Sleep(time.Second)
		end()
		if s := b.state(albion.Target{Host: "10.0.0.1", Port: 8080}); s != albion.Healthy {
			t.Errorf("state %q", s)
		}
	})
}
