package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// load is a job under way.
type load struct {
	ctx     context.Context // until the job's bound
	job     *job
	dialer  dialer
	workers []*worker
	block   []byte // what uploads are made of
	message []byte // what is echoed
}

// worker is one client: it does one operation after the other.
type worker struct {
	load     *load
	index    int
	turn     int
	c        *client
	m        *multi // instead of c, over HTTP/2
	sessions tls.ClientSessionCache
	requests []request // prepared, one for each path and name in turn
	seen     histogram
	failed   int
	err      error // the first failure
}

func newLoad(ctx context.Context, j *job) (*load, error) {
	if j.Clients < 1 || len(j.Names) == 0 || len(j.Paths) == 0 {
		return nil, errors.New("bench: a job needs clients, names and paths")
	}
	l := &load{
		ctx: ctx, job: j, block: bytes.Repeat([]byte("fedcba9876543210"), 4<<10),
		message: bytes.Repeat([]byte("chat"), messageSize/4),
	}
	l.dialer = dialer{job: j}
	l.dialer.deadline, _ = ctx.Deadline()
	if j.TLS {
		l.dialer.roots = x509.NewCertPool()
		if !l.dialer.roots.AppendCertsFromPEM(j.Roots) {
			return nil, errors.New("bench: a job over TLS needs roots")
		}
	}
	for i := range j.Clients {
		w := &worker{load: l, index: i, turn: i * 7919}
		if j.Resume {
			w.sessions = tls.NewLRUClientSessionCache(1)
		}
		for k := range min(len(j.Paths), 16) {
			w.requests = append(w.requests, j.request(j.Names[0], j.Paths[(i+k*61)%len(j.Paths)]))
		}
		l.workers = append(l.workers, w)
	}
	return l, nil
}

// messageSize is what is echoed through a WebSocket, in bytes.
const messageSize = 256

func (l *load) close() {
	for _, w := range l.workers {
		if w.c != nil {
			w.c.close()
		}
		if w.m != nil {
			w.m.conn.Close()
		}
	}
}

// run prepares, calls begin, and does the job.
func (l *load) run(begin func() error) (*result, error) {
	if err := l.prepare(); err != nil {
		return nil, err
	}
	if err := begin(); err != nil {
		return nil, err
	}
	for _, w := range l.workers {
		w.seen, w.failed = histogram{}, 0
	}
	started := time.Now()
	atOnce := len(l.workers)
	if l.job.Kind == "hold" {
		atOnce = openers
	}
	err := l.each(atOnce, func(w *worker) error { return w.work(started) })
	return l.sum(time.Since(started)), err
}

// prepare connects and warms up. Handshakes and tunnels that are held are
// themselves what is measured, so only the former are warmed up.
func (l *load) prepare() error {
	if l.job.Kind == "hold" {
		return nil
	}
	if l.job.Kind != "handshake" {
		if err := l.each(openers, (*worker).connect); err != nil {
			return err
		}
	}
	until := time.Now().Add(l.job.Warm)
	return l.each(len(l.workers), func(w *worker) error {
		if l.job.Streams > 0 {
			return w.streams(time.Time{}, until, 0)
		}
		if l.job.Kind == "handshake" {
			w.once(time.Now()) // an operation at least, for a session to resume
		}
		w.until(until, 0)
		return w.err
	})
}

// openers is how many workers connect at once: a crowd of thousands at once
// would measure the length of a queue.
const openers = 64

// each does f for all workers, so many of them at once.
func (l *load) each(atOnce int, f func(*worker) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(l.workers))
	crowd := make(chan struct{}, atOnce)
	for i, w := range l.workers {
		crowd <- struct{}{}
		wg.Go(func() {
			errs[i] = f(w)
			<-crowd
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *load) sum(elapsed time.Duration) *result {
	var all histogram
	r := &result{Elapsed: elapsed}
	for _, w := range l.workers {
		all.merge(&w.seen)
		r.Failed += w.failed
		if w.err != nil && r.Why == "" {
			r.Why = w.err.Error()
		}
	}
	r.Operations = int(all.total)
	r.P50, r.P99, r.P999 = all.quantile(.5), all.quantile(.99), all.quantile(.999)
	return r
}

// limitTime is how long operations that are counted may take.
const limitTime = 2 * time.Minute

// work is the measured part of one worker.
func (w *worker) work(started time.Time) error {
	j := w.load.job
	switch {
	case j.Streams > 0 && j.Limit > 0:
		return w.streams(started, started.Add(limitTime), j.Limit)
	case j.Streams > 0:
		return w.streams(started, started.Add(j.Measure), 0)
	case j.Kind == "hold":
		began := time.Now()
		if err := w.connect(); err != nil {
			return err
		}
		w.seen.add(time.Since(began))
		return nil
	case j.Kind == "paced":
		w.paced(started)
	case j.Limit > 0:
		w.until(started.Add(limitTime), j.Limit)
	default:
		w.until(started.Add(j.Measure), 0)
	}
	if j.Retry {
		return nil
	}
	return w.err
}

// until does operations for as long as there is time, limit of them at most.
func (w *worker) until(end time.Time, limit int) {
	for n := 0; limit == 0 || n < limit; n++ {
		now := time.Now()
		if !now.Before(end) || !w.once(now) {
			return
		}
	}
}

// paced does operations at a fixed rate. An operation that has to wait because
// the one before is late counts from when it was due: a slow balancer cannot
// slow the load down and look better for it.
func (w *worker) paced(started time.Time) {
	j := w.load.job
	interval := time.Duration(float64(time.Second) * float64(j.Clients) / j.Rate)
	due := started.Add(interval * time.Duration(w.index) / time.Duration(j.Clients))
	for end := started.Add(j.Measure); due.Before(end); due = due.Add(interval) {
		from := due
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			from = time.Now() // the timer's lateness is not the balancer's
		}
		if !w.once(from) {
			return
		}
	}
}

// once does one operation, which counts from a given time. False: the worker
// cannot go on.
func (w *worker) once(from time.Time) bool {
	err := w.operate()
	if err == nil {
		w.seen.add(time.Since(from))
		return true
	}
	w.failed++
	if w.err == nil {
		w.err = err
	}
	if !w.load.job.Retry || w.load.ctx.Err() != nil {
		return false
	}
	if w.c != nil {
		w.c.close()
		w.c = nil
	}
	time.Sleep(time.Millisecond) // a balancer that is down is asked a thousand times a second, not more
	return true
}

func (w *worker) operate() error {
	w.turn++
	switch w.load.job.Kind {
	case "handshake":
		return w.shake()
	case "echo":
		return w.c.echo(w.load.message)
	}
	if w.c == nil {
		if err := w.connect(); err != nil {
			return err
		}
	}
	return w.c.roundTrip(&w.requests[w.turn%len(w.requests)], w.load.block)
}

// shake opens a connection, asks once and closes it.
func (w *worker) shake() error {
	l := w.load
	name := l.job.Names[w.turn%len(l.job.Names)]
	c, err := l.dialer.dial(l.ctx, w.index+w.turn, name, w.sessions)
	if err != nil {
		return err
	}
	defer c.close()
	if l.job.Resume && !c.resumed && w.seen.total > 0 {
		return fmt.Errorf("%w: the session was not resumed", errAnswer)
	}
	return c.roundTrip(&w.requests[0], l.block)
}

// connect opens the worker's connection, and its WebSocket when it needs one.
func (w *worker) connect() error {
	l := w.load
	if l.job.Streams > 0 {
		m, err := l.dialer.dialMulti(l.ctx, w.index, l.job.Names[0])
		w.m = m
		return err
	}
	c, err := l.dialer.dial(l.ctx, w.index, l.job.Names[0], nil)
	if err != nil {
		return err
	}
	w.c = c
	if l.job.Kind == "echo" || l.job.Kind == "hold" {
		return c.upgrade(l.job.Names[0])
	}
	return nil
}
