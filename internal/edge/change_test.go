package edge_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/edge"
)

// place is where the random States of a test may differ.
type place struct {
	t            *testing.T
	r            *rand.Rand
	http, https  int
	others       [3]int
	targets      [2][]string
	sockets      string
	logs         string
	certificates int
}

// change makes the next State: anything may change but what the clients need.
// WebSockets need their one target, requests some target that says "ok".
func (p *place) change(d *albion.Draft) {
	balancer(d, func(lb *albion.LoadBalancer) {
		lb.Attributes.IdleTimeout = time.Duration(20+p.r.IntN(40)) * time.Second
		lb.Attributes.PreserveHost = p.r.IntN(2) == 0
		if p.r.IntN(3) > 0 {
			lb.AccessLog = albion.AccessLog{
				File: filepath.Join(p.logs, fmt.Sprint(p.r.IntN(2))), MaxSize: int64(4+p.r.IntN(100)) << 10, Keep: 1,
			}
		}
	})
	names := []string{"one", "two"}
	for i, name := range names {
		all := p.targets[i]
		p.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		group(d, name, time.Duration(5+p.r.IntN(10))*time.Second, all[:1+p.r.IntN(len(all))]...)
	}
	group(d, "sockets", time.Minute, p.sockets)
	if p.certificates == 0 || p.r.IntN(10) == 0 {
		p.certificates++
		certificate(p.t, d, "a", "chat.test")
	}
	either := func() albion.Action {
		switch p.r.IntN(4) {
		case 0:
			return fixed("ok")
		case 1:
			return split(groupARN("one"), groupARN("two"))
		}
		return forward(names[p.r.IntN(2)])
	}
	plain(d, "http", p.http, either())
	secure(d, "https", p.https, either(), "a")
	for _, l := range []string{"http", "https"} {
		rule(d, l, "/ws", 1000, forward("sockets"))
		for i := range 5 {
			albion.Delete[*albion.Rule](d, string(ruleARN(l, fmt.Sprint(i+1))))
			if p.r.IntN(2) == 0 {
				rule(d, l, fmt.Sprintf("/%d*", i), i+1, either())
			}
		}
	}
	for i, port := range p.others {
		name := fmt.Sprint("other", i)
		albion.Delete[*albion.Listener](d, string(listenerARN(name)))
		if p.r.IntN(2) == 0 {
			plain(d, name, port, either())
		}
	}
}

// Whatever changes, requests are answered and WebSockets live.
func TestChangesUnderLoadFailNoRequestAndCutNoSocket(t *testing.T) {
	p := &place{
		t: t, r: rand.New(rand.NewPCG(1, 2)), http: freePort(t), https: freePort(t), sockets: echo(t), logs: t.TempDir(),
		others: [3]int{freePort(t), freePort(t), freePort(t)},
	}
	for i := range p.targets {
		for range 3 {
			p.targets[i] = append(p.targets[i], saying(t, "ok"))
		}
	}
	w := newWorld(t, edge.Config{Grace: 5 * time.Second})
	w.apply(p.change)

	var clients sync.WaitGroup
	var requests, messages atomic.Int64
	var done atomic.Bool
	for i := range 6 {
		c := dial(t, at(p.http))
		if i%2 == 1 {
			c = dialTLS(t, at(p.https), "chat.test")
		}
		clients.Go(func() {
			for n := 0; !done.Load(); n++ {
				if n%200 == 199 { // a new connection now and then
					c.Close()
					if i%2 == 1 {
						c = dialTLS(t, at(p.https), "chat.test")
					} else {
						c = dial(t, at(p.http))
					}
				}
				if status, body := c.get(fmt.Sprintf("/%d", n%7)); status != 200 || body != "ok" {
					t.Errorf("client %d, request %d: got %d %q", i, n, status, body)
					return
				}
				requests.Add(1)
			}
		})
	}
	for i := range 4 {
		url := "ws://" + at(p.http) + "/ws"
		if i%2 == 1 {
			url = "wss://" + at(p.https) + "/ws"
		}
		s := socket(t, url)
		clients.Go(func() {
			for n := 0; !done.Load(); n++ {
				if err := exchange(s, fmt.Sprint("message ", n)); err != nil {
					t.Errorf("socket %d, message %d: %v", i, n, err)
					return
				}
				messages.Add(1)
			}
		})
	}
	changes := 0
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end) && !t.Failed(); changes++ {
		w.apply(p.change)
	}
	done.Store(true)
	clients.Wait()
	t.Logf("%d changes, %d requests, %d messages", changes, requests.Load(), messages.Load())
	if changes < 20 || requests.Load() < 50 || messages.Load() < 50 {
		t.Error("that was no load")
	}
	for _, l := range w.edge.Seen().Listeners {
		if !l.Serving && !strings.Contains(string(l.Listener), "other") {
			t.Errorf("seen %+v", l)
		}
	}
}
