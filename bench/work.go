package main

import (
	"fmt"
	"time"
)

// metric is what a work is judged by.
type metric string

const (
	perOperation metric = "µs" // processor time of the balancer, user and system, for each operation
	perTunnel    metric = "KiB"
	tail         metric = "p99 ms"
	perSecond    metric = "/s" // the only one of which more is better
)

// work is one thing that balancers are asked to do.
type work struct {
	ID     string
	Title  string
	Metric metric
	Goal   float64 // ratio to the better of nginx and HAProxy that is to be reached; 0: none
	Than   string  // the one peer that the goal speaks of; "": the better of nginx and HAProxy
	Log    bool    // access log on
	Rules  bool    // a thousand of them
	Many   bool    // many certificates
	Once   bool    // one round only: making it ready takes minutes
	Change bool    // the configuration changes meanwhile
	Half   string  // at half of what Albion can do in the work of that name
	job    job
}

// plan is how long everything takes, and how many there are of each.
type plan struct {
	Rounds       int
	Measure      time.Duration
	Warm         time.Duration
	Settle       time.Duration // between opening tunnels and looking at the memory
	Tunnels      int           // that are idle
	Rules        int
	Certificates int
	Large        int // answers of 100 MiB for each client
}

func fullPlan() plan {
	return plan{
		Rounds: 3, Measure: 1500 * time.Millisecond, Warm: 300 * time.Millisecond, Settle: 3 * time.Second,
		Tunnels: 8000, Rules: 1000, Certificates: 10_000, Large: 3,
	}
}

func quickPlan() plan {
	return plan{
		Rounds: 1, Measure: 700 * time.Millisecond, Warm: 200 * time.Millisecond, Settle: time.Second,
		Tunnels: 1000, Rules: 1000, Certificates: 500, Large: 1,
	}
}

const (
	mib       = 1 << 20
	large     = 100 * mib
	smallPath = "/small"
)

// caddyGoal is the ratio to Caddy that is to be reached in every work with a
// goal.
const caddyGoal = 0.35

// works are all of them, in the order of the table.
func works(p plan) []work {
	all := append(smallWorks(), multiWorks()...)
	all = append(all, bodyWorks(p)...)
	all = append(all, connectionWorks(p)...)
	all = append(all, sizeWorks(p)...)
	for i := range all {
		j := &all[i].job
		if len(j.Paths) == 0 {
			j.Paths = []string{smallPath}
		}
		if j.Upload == 0 && j.Answer == 0 {
			j.Answer = smallSize
		}
		if j.Upload > 0 {
			j.Answer = -1
		}
		j.Warm, j.Measure = p.Warm, p.Measure
	}
	return all
}

func smallWorks() []work {
	secure := func(clients int) job { return job{Kind: "request", TLS: true, Clients: clients} }
	plain := func(clients int) job { return job{Kind: "request", Clients: clients} }
	paced := secure(64)
	paced.Kind = "paced"
	return []work{
		{ID: "https-1", Title: "HTTPS/1.1, small answers, 1 client", Metric: perOperation, job: secure(1)},
		{ID: "https-64", Title: "HTTPS/1.1, small answers, 64 clients", Metric: perOperation, Goal: .70, job: secure(64)},
		{ID: "https-1000", Title: "HTTPS/1.1, small answers, 1,000 clients", Metric: perOperation, job: secure(1000)},
		{ID: "https-64-log", Title: "HTTPS/1.1, small answers, 64 clients, access log on", Metric: perOperation, Log: true, job: secure(64)},
		{ID: "http-1", Title: "HTTP/1.1, small answers, 1 client", Metric: perOperation, Goal: .85, job: plain(1)},
		{ID: "http-64", Title: "HTTP/1.1, small answers, 64 clients", Metric: perOperation, Goal: .85, job: plain(64)},
		{ID: "http-1000", Title: "HTTP/1.1, small answers, 1,000 clients", Metric: perOperation, Goal: .85, job: plain(1000)},
		{ID: "http-64-log", Title: "HTTP/1.1, small answers, 64 clients, access log on", Metric: perOperation, Log: true, job: plain(64)},
		{ID: "paced", Title: "p99 of HTTPS/1.1 small answers at half of Albion's own maximum", Metric: tail, Goal: 1, Half: "https-64", job: paced},
	}
}

// multiWorks are those over HTTP/2. The ones with a single stream compare with
// the same numbers of clients over HTTP/1.1.
func multiWorks() []work {
	multi := func(clients, streams int) job {
		return job{Kind: "request", TLS: true, Clients: clients, Streams: streams}
	}
	paced := multi(32, 4)
	paced.Kind = "paced"
	down := multi(16, 1)
	down.Answer, down.Paths = mib, []string{fmt.Sprintf("/bytes/%d", mib)}
	return []work{
		{ID: "h2-1", Title: "HTTP/2, small answers, 1 client", Metric: perOperation, job: multi(1, 1)},
		{ID: "h2-64", Title: "HTTP/2, small answers, 64 clients", Metric: perOperation, job: multi(64, 1)},
		{ID: "h2-1000", Title: "HTTP/2, small answers, 1,000 clients", Metric: perOperation, job: multi(1000, 1)},
		{ID: "h2-32x4", Title: "HTTP/2, small answers, 32 clients × 4 streams", Metric: perOperation, Goal: .85, job: multi(32, 4)},
		{ID: "h2-32x4-log", Title: "HTTP/2, small answers, 32 clients × 4 streams, access log on", Metric: perOperation, Log: true, job: multi(32, 4)},
		{ID: "h2-paced", Title: "p99 of HTTP/2 small answers at half of Albion's own maximum", Metric: tail, Goal: 1, Half: "h2-32x4", job: paced},
		{ID: "h2-mib-down", Title: "HTTP/2, answers of 1 MiB, 16 clients", Metric: perOperation, job: down},
	}
}

func bodyWorks(p plan) []work {
	body := func(clients int, bytes, upload int64, limit int) job {
		j := job{Kind: "request", TLS: true, Clients: clients, Answer: bytes, Upload: upload, Limit: limit}
		if bytes > 0 {
			j.Paths = []string{fmt.Sprintf("/bytes/%d", bytes)}
		}
		return j
	}
	return []work{
		{ID: "mib-down", Title: "HTTPS/1.1, answers of 1 MiB, 16 clients", Metric: perOperation, Goal: .85, job: body(16, mib, 0, 0)},
		{ID: "mib-up", Title: "HTTPS/1.1, uploads of 1 MiB, 16 clients", Metric: perOperation, job: body(16, 0, mib, 0)},
		{ID: "large-down", Title: "HTTPS/1.1, answers of 100 MiB, 4 clients", Metric: perOperation, job: body(4, large, 0, p.Large)},
		{ID: "large-up", Title: "HTTPS/1.1, uploads of 100 MiB, 4 clients", Metric: perOperation, job: body(4, 0, large, p.Large)},
	}
}

func connectionWorks(p plan) []work {
	shake := job{Kind: "handshake", TLS: true, Clients: 16}
	again := shake
	again.Resume = true
	return []work{
		{ID: "tls-full", Title: "new TLS 1.3 connections (ECDSA P-256), one request each", Metric: perOperation, Goal: 1.3, job: shake},
		{ID: "tls-resumed", Title: "resumed TLS 1.3 connections, one request each", Metric: perOperation, Goal: 1, job: again},
		{ID: "echo", Title: "WebSocket echo over TLS, 1,000 tunnels, 256 bytes", Metric: perOperation, Goal: .80,
			job: job{Kind: "echo", TLS: true, Clients: 1000}},
		{ID: "idle-wss", Title: fmt.Sprintf("memory of an idle wss tunnel, %s held", count(p.Tunnels)), Metric: perTunnel, Goal: .5, Than: "HAProxy",
			job: job{Kind: "hold", TLS: true, Clients: p.Tunnels}},
		{ID: "idle-ws", Title: fmt.Sprintf("memory of an idle plain ws tunnel, %s held", count(p.Tunnels)), Metric: perTunnel, Goal: 1, Than: "HAProxy",
			job: job{Kind: "hold", Clients: p.Tunnels}},
	}
}

func sizeWorks(p plan) []work {
	var paths []string
	for i := range p.Rules {
		paths = append(paths, "/"+ruleName(i)+"/page")
	}
	return []work{
		{ID: "rules", Title: count(p.Rules) + " rules, HTTPS/1.1, small answers, 64 clients", Metric: perOperation, Rules: true,
			job: job{Kind: "request", TLS: true, Clients: 64, Paths: paths}},
		{ID: "certificates", Title: count(p.Certificates) + " certificates, new TLS 1.3 connections to all of them", Metric: perOperation, Many: true, Once: true,
			job: job{Kind: "handshake", TLS: true, Clients: 16}},
		{ID: "changes", Title: "configuration changes a second, under the load of 16 clients", Metric: perSecond, Change: true,
			job: job{Kind: "request", Clients: 16, Retry: true}},
	}
}

// ruleName is the first part of the path that rule number i is for.
func ruleName(i int) string { return fmt.Sprintf("r%04d", i) }

// count writes a number with commas.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
