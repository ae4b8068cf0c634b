package target_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/target"
)

// run starts the registry; the returned function ends it and waits.
func run(t *testing.T, r *target.Registry) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ran; err != nil {
			t.Fatal(err)
		}
	}
}

// pipes is a Dial whose targets read and never answer.
func pipes(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { far.Close() })
		return near, nil
	}
}

// TestDrainStories steps through what may happen to a target with one request in
// flight, whose group has a deregistration delay of a minute.
func TestDrainStories(t *testing.T) {
	type step struct {
		do   string        // what happens…
		wait time.Duration // …and how long after
		want string        // the target's state then, with what is in flight; "" when it is gone
	}
	tests := map[string][]step{
		"nothing left at once":          {{"release", 0, "initial 0"}, {"deregister", 0, ""}},
		"finishes in time":              {{"deregister", 30 * time.Second, "draining 1"}, {"release", 0, ""}},
		"is cut at the end":             {{"deregister", 59 * time.Second, "draining 1"}, {"", 2 * time.Second, ""}, {"expired", 0, ""}, {"release", 0, ""}},
		"comes back":                    {{"deregister", 30 * time.Second, "draining 1"}, {"register", 2 * time.Minute, "initial 1"}, {"release", 0, "initial 0"}},
		"comes back and goes":           {{"deregister", 30 * time.Second, "draining 1"}, {"register", 0, "initial 1"}, {"deregister", 59 * time.Second, "draining 1"}, {"", 2 * time.Second, ""}, {"expired", 0, ""}},
		"comes back after it was cut":   {{"deregister", 61 * time.Second, ""}, {"expired", 0, ""}, {"register", 0, "initial 0"}, {"release", 0, "initial 0"}},
		"group is gone":                 {{"delete", 30 * time.Second, "draining 1"}, {"release", 0, ""}},
		"group is gone and time is up":  {{"delete", 61 * time.Second, ""}, {"expired", 0, ""}},
		"group comes back":              {{"delete", 30 * time.Second, "draining 1"}, {"register", time.Hour, "initial 1"}},
		"a change that keeps it":        {{"deregister others", time.Hour, "initial 1"}, {"release", 0, "initial 0"}},
		"deregistered twice":            {{"deregister", 30 * time.Second, "draining 1"}, {"deregister", 31 * time.Second, ""}, {"expired", 0, ""}},
		"no longer used by a listener":  {{"unused", time.Hour, "unused 1"}, {"register", 0, "initial 1"}},
		"the delay is no longer at all": {{"hasty", 0, "initial 1"}, {"deregister hastily", time.Millisecond, ""}, {"expired", 0, ""}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := target.New(target.Config{Dial: pipes(t)})
				sync := func(hosts []int, d time.Duration) {
					r.Sync([]*albion.TargetGroup{group(delay(d), hosts...)}, used)
				}
				sync([]int{1}, time.Minute)
				stop := run(t, r)
				lease := choose(t, r, plain())
				conn, _, err := lease.Target().Take(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for i, s := range steps {
					switch s.do {
					case "release":
						lease.Release()
					case "deregister":
						sync([]int{2}, time.Minute)
					case "deregister others":
						sync([]int{1, 2}, time.Minute)
						sync([]int{1}, time.Minute)
					case "hasty":
						sync([]int{1}, 0)
					case "deregister hastily":
						sync([]int{2}, 0)
					case "register":
						sync([]int{1}, time.Minute)
					case "delete":
						r.Sync(nil, nil)
						if r.Group(arn) != nil {
							t.Fatal("a deleted group can still be found")
						}
					case "unused":
						r.Sync([]*albion.TargetGroup{group(delay(time.Minute), 1)}, nil)
					case "expired":
						if _, err := conn.Read(make([]byte, 1)); err == nil || !conn.Expired() || !lease.Target().Expired() {
							t.Fatalf("the connection lives on (%v), expired %v", err, conn.Expired())
						}
						if _, err := lease.Target().Fresh(t.Context()); !errors.Is(err, target.ErrExpired) {
							t.Fatalf("a connection after the delay: %v", err)
						}
					}
					time.Sleep(s.wait)
					synctest.Wait()
					if got := state(r); got != s.want {
						t.Fatalf("step %d, %s: %q, want %q", i+1, s.do, got, s.want)
					}
				}
				stop()
			})
		})
	}
}

// state is how target 1 fares.
func state(r *target.Registry) string {
	for _, s := range r.Seen() {
		if s.Target == host(1) {
			return string(s.Health.State) + " " + string(rune('0'+s.Outstanding))
		}
	}
	return ""
}

func TestSeenSaysWhenADrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := with(group(delay(time.Minute), 2, 1))
		report(r, 1, albion.Healthy)
		l := choose(t, r, plain())
		began := time.Now()
		r.Sync([]*albion.TargetGroup{group(delay(time.Minute), 2)}, used)
		seen := r.Seen()
		if len(seen) != 2 || seen[0].Target != host(1) || seen[1].Target != host(2) {
			t.Fatalf("seen %+v", seen)
		}
		if s := seen[0]; !s.Until.Equal(began.Add(time.Minute)) || s.Health.Reason != albion.ReasonDeregistration || !s.Health.Since.Equal(began) {
			t.Fatalf("draining: %+v", s)
		}
		if s := seen[1]; !s.Until.IsZero() || s.Health.Reason != albion.ReasonRegistration {
			t.Fatalf("registered: %+v", s)
		}
		l.Release()
	})
}

func TestOldGenerationsOfADeletedGroupGetNothing(t *testing.T) {
	r := with(group(nil, 1))
	g := r.Group(arn)
	r.Sync(nil, nil)
	if _, ok := g.Choose(plain()); ok {
		t.Fatal("a deleted group gave a lease")
	}
}

func TestRunClosesEverythingAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := target.New(target.Config{Dial: pipes(t)})
		r.Sync([]*albion.TargetGroup{group(nil, 1)}, used)
		stop := run(t, r)
		l := choose(t, r, plain())
		inUse, _, err := l.Target().Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		idle, err := l.Target().Fresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Target().Put(idle)
		stop()
		for name, c := range map[string]*target.Conn{"idle": idle, "in use": inUse} {
			if _, err := c.Write([]byte("x")); err == nil {
				t.Errorf("%s: still open", name)
			}
			if c.Expired() {
				t.Errorf("%s: said to have expired", name)
			}
		}
		if _, _, err := l.Target().Take(t.Context()); !errors.Is(err, target.ErrClosed) {
			t.Errorf("Take after the end: %v", err)
		}
		r.Sync([]*albion.TargetGroup{group(nil, 2)}, used)
		late := choose(t, r, plain())
		if _, _, err := late.Target().Take(t.Context()); !errors.Is(err, target.ErrClosed) {
			t.Errorf("Take at a later target: %v", err)
		}
		if l.Target().Open() != 0 {
			t.Errorf("%d connections remembered", l.Target().Open())
		}
	})
}
