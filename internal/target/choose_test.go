package target_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire"
)

const arn = albion.ARN("arn:aws:elasticloadbalancing:local:000000000000:targetgroup/chat/73e2d6bc24d8a067")

var used = map[albion.ARN]bool{arn: true}

// group is a target group whose targets are 10.0.0.N:80 for each n.
func group(change func(*albion.TargetGroup), n ...int) *albion.TargetGroup {
	tg := &albion.TargetGroup{ARN: arn, Name: "chat", Protocol: albion.HTTP, Attributes: albion.DefaultTargetGroupAttributes()}
	for _, n := range n {
		tg.Targets = append(tg.Targets, host(n))
	}
	if change != nil {
		change(tg)
	}
	return tg
}

func host(n int) albion.Target { return albion.Target{Host: fmt.Sprintf("10.0.0.%d", n), Port: 80} }

func least(tg *albion.TargetGroup) { tg.Attributes.Algorithm = albion.LeastOutstandingRequests }
func sticky(tg *albion.TargetGroup) {
	tg.Attributes.Stickiness = albion.Stickiness{Type: albion.LBCookie, Duration: time.Hour}
}
func sockjs(tg *albion.TargetGroup) { tg.Attributes.Stickiness.Type = albion.SockJS }
func delay(d time.Duration) func(*albion.TargetGroup) {
	return func(tg *albion.TargetGroup) { tg.Attributes.DeregistrationDelay = d }
}

func with(tgs ...*albion.TargetGroup) *target.Registry {
	r := target.New(target.Config{StickinessKey: make([]byte, 32)})
	r.Sync(tgs, used)
	return r
}

func report(r *target.Registry, n int, state albion.HealthState) {
	r.Report(arn, host(n), albion.Health{State: state})
}

func choose(t require, r *target.Registry, request *wire.Request) target.Lease {
	t.Helper()
	l, ok := r.Group(arn).Choose(request)
	if !ok {
		t.Fatalf("no target chosen")
	}
	return l
}

type require interface {
	Helper()
	Fatalf(format string, args ...any)
}

func plain() *wire.Request { return &wire.Request{Path: []byte("/")} }

func TestNothingRegisteredIsRefused(t *testing.T) {
	r := with(group(nil))
	if l, ok := r.Group(arn).Choose(plain()); ok {
		t.Fatalf("chose %s", l.Target().Name())
	}
	if r.Group("other") != nil {
		t.Fatal("an unknown ARN has a group")
	}
}

func TestOnlyHealthyTargetsAreChosenAndAllWhenNoneIs(t *testing.T) {
	tests := []struct {
		name   string
		states []albion.HealthState
		want   []int
	}{
		{"all initial", []albion.HealthState{"initial", "initial"}, []int{1, 2}},
		{"all unhealthy", []albion.HealthState{"unhealthy", "unhealthy"}, []int{1, 2}},
		{"one healthy", []albion.HealthState{"unhealthy", "healthy"}, []int{2}},
		{"new beside healthy", []albion.HealthState{"healthy", "initial"}, []int{1}},
		{"checks off", []albion.HealthState{"unavailable", "unavailable", "unhealthy"}, []int{1, 2}},
	}
	for _, tt := range tests {
		for _, algorithm := range []func(*albion.TargetGroup){nil, least, sticky, sockjs} {
			var all []int
			for i := range tt.states {
				all = append(all, i+1)
			}
			r := with(group(algorithm, all...))
			for i, s := range tt.states {
				report(r, i+1, s)
			}
			got := map[string]bool{}
			for i := range 200 {
				l := choose(t, r, session(fmt.Sprint("s", i), "xhr"))
				got[l.Target().Name()] = true
				l.Release()
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%s: chose %v, want %v", tt.name, got, tt.want)
			}
			for _, n := range tt.want {
				if !got[host(n).String()] {
					t.Fatalf("%s: never chose %d", tt.name, n)
				}
			}
		}
	}
}

func TestRoundRobinGivesEveryTargetItsTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, rounds := rapid.IntRange(1, 20).Draw(t, "targets"), rapid.IntRange(1, 5).Draw(t, "rounds")
		r := with(group(nil, upTo(n)...))
		got := map[string]int{}
		for range n * rounds {
			l := choose(t, r, plain())
			got[l.Target().Name()]++
			l.Release()
		}
		for name, count := range got {
			if len(got) != n || count != rounds {
				t.Fatalf("%s was chosen %d times in %d rounds of %d: %v", name, count, rounds, n, got)
			}
		}
	})
}

func TestRoundRobinStartsAnywhere(t *testing.T) {
	first := map[string]bool{}
	for range 200 {
		l := choose(t, with(group(nil, 1, 2)), plain())
		first[l.Target().Name()] = true
	}
	if len(first) != 2 {
		t.Fatalf("always began with %v", first)
	}
}

func TestLeastOutstandingNeverChoosesABusierTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "targets")
		r := with(group(least, upTo(n)...))
		busy := map[string]int{}
		var held []target.Lease
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(held) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				busy[held[i].Target().Name()]--
				held[i].Release()
				held = append(held[:i], held[i+1:]...)
				continue
			}
			l := choose(t, r, plain())
			for _, other := range upTo(n) {
				if busy[host(other).String()] < busy[l.Target().Name()] {
					t.Fatalf("chose %s with %d in flight: %v", l.Target().Name(), busy[l.Target().Name()], busy)
				}
			}
			busy[l.Target().Name()]++
			held = append(held, l)
		}
	})
}

func TestLeastOutstandingBreaksTiesFairly(t *testing.T) {
	r := with(group(least, 1, 2, 3))
	busy := choose(t, r, plain())
	got := map[string]int{}
	for range 10_000 {
		l := choose(t, r, plain())
		got[l.Target().Name()]++
		l.Release()
	}
	if got[busy.Target().Name()] != 0 {
		t.Fatalf("the busy one was chosen: %v", got)
	}
	for name, n := range got {
		if n < 4_500 || n > 5_500 {
			t.Fatalf("%s got %d of 10,000 between two: %v", name, n, got)
		}
	}
}

func TestReleaseCountsOnce(t *testing.T) {
	r := with(group(nil, 1))
	a, b := choose(t, r, plain()), choose(t, r, plain())
	a.Release()
	a.Release()
	if n := r.Seen()[0].Outstanding; n != 1 {
		t.Fatalf("%d outstanding, want 1", n)
	}
	b.Release()
	if b.Target().Name() != "10.0.0.1:80" {
		t.Fatal("a released lease forgot its target")
	}
}

func TestPortOfTheGroupForTargetsWithoutOne(t *testing.T) {
	r := with(group(func(tg *albion.TargetGroup) {
		tg.Port, tg.Targets = 8080, []albion.Target{{Host: "::1"}, {Host: "::1", Port: 8080}}
	}))
	if seen := r.Seen(); len(seen) != 1 || seen[0].Target.String() != "[::1]:8080" {
		t.Fatalf("seen: %v", seen)
	}
}

// TestNoWorkAfterADrain races choices against changes of what is registered and
// of what is healthy: a target that has ended has no lease, and gets none.
func TestNoWorkAfterADrain(t *testing.T) {
	for _, change := range []func(*albion.TargetGroup){nil, least, sockjs} {
		r := with(group(change, 1, 2, 3, 4))
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- r.Run(ctx) }()
		var wg sync.WaitGroup
		var stop atomic.Bool
		var chosen atomic.Int64
		for w := range 4 {
			wg.Go(func() {
				for i := 0; !stop.Load(); i++ {
					l, ok := r.Group(arn).Choose(session(fmt.Sprint(w, "-", i%10), "xhr_streaming"))
					if !ok {
						t.Error("no target although two are always registered")
						return
					}
					if target.Ended(l.Target()) {
						t.Error("a lease on a target that has ended")
					}
					m, ok := r.Group(arn).Choose(session(fmt.Sprint(w, "-", i%10), "xhr_send"))
					if ok {
						m.Release()
					}
					if target.Ended(l.Target()) {
						t.Error("a target has ended under a lease")
					}
					l.Release()
					chosen.Add(1)
				}
			})
		}
		for i := 0; i < 2_000 || chosen.Load() < 1_000; i++ {
			a := (i+i/8%2*i)%4 + 1 // one by one, then two by two
			r.Sync([]*albion.TargetGroup{group(change, a, a%4+1)}, used)
			report(r, a, []albion.HealthState{albion.Healthy, albion.Unhealthy}[i/4%2])
		}
		stop.Store(true)
		wg.Wait()
		for _, seen := range r.Seen() {
			if seen.Outstanding != 0 || seen.Health.State == albion.Draining {
				t.Errorf("left behind: %+v", seen)
			}
		}
		cancel()
		if err := <-ran; err != nil {
			t.Fatal(err)
		}
	}
}

// TestAChangeOfAllTargetsRefusesNobody replaces the only target again and again.
// Who has looked at the old view finds it draining, and has to look again.
func TestAChangeOfAllTargetsRefusesNobody(t *testing.T) {
	for _, change := range []func(*albion.TargetGroup){nil, sockjs} {
		r := with(group(change, 1))
		g := r.Group(arn)
		var wg sync.WaitGroup
		var stop atomic.Bool
		for w := range 3 {
			wg.Go(func() {
				request := session(fmt.Sprint(w), "xhr")
				for !stop.Load() {
					l, ok := g.Choose(request)
					if !ok {
						t.Error("no target although one is always registered")
						return
					}
					l.Release()
				}
			})
		}
		tgs := [][]*albion.TargetGroup{{group(change, 1)}, {group(change, 2)}}
		for i := range 20_000 {
			r.Sync(tgs[i%2], used)
		}
		stop.Store(true)
		wg.Wait()
	}
}

func TestChooseAllocatesNothing(t *testing.T) {
	for name, change := range map[string]func(*albion.TargetGroup){"round_robin": nil, "least_outstanding_requests": least} {
		g := with(group(change, upTo(10)...)).Group(arn)
		request := plain()
		if n := testing.AllocsPerRun(1_000, func() {
			l, _ := g.Choose(request)
			l.SetCookies()
			l.Release()
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for name, change := range map[string]func(*albion.TargetGroup){"round_robin": nil, "least": least, "cookie": sticky, "sockjs": sockjs} {
		for _, n := range []int{2, 100} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				g := with(group(change, upTo(n)...)).Group(arn)
				request := session("abcdefgh", "xhr_send")
				l, _ := g.Choose(request)
				for _, cookie := range l.SetCookies() {
					request.Fields = append(request.Fields, cookieField(cookie))
				}
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						l, _ := g.Choose(request)
						l.SetCookies()
						l.Release()
					}
				})
			})
		}
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}
