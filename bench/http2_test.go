package main

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveMulti runs Go's own HTTP/2 server, and returns a job of requests to it.
// /bytes/N is answered with N bytes, and everything else with a small answer.
func serveMulti(t *testing.T, before func(w http.ResponseWriter, number int64)) job {
	t.Helper()
	var number atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := smallSize
		if n, ok := strings.CutPrefix(r.URL.Path, "/bytes/"); ok {
			size, _ = strconv.Atoi(n)
		}
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		before(w, number.Add(1))
		io.WriteString(w, strings.Repeat("x", size))
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return job{
		Kind: "request", Address: s.Listener.Addr().String(), TLS: true, Names: []string{"example.com"},
		Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		Paths: []string{smallPath}, Answer: smallSize, Clients: 3, Streams: 4, Limit: 50,
	}
}

func asIs(http.ResponseWriter, int64) {}

func TestMultiplexedJobs(t *testing.T) {
	for name, change := range map[string]func(*job){
		"small": func(*job) {},
		"one":   func(j *job) { j.Clients, j.Streams = 1, 1 },
		"warm":  func(j *job) { j.Warm = 20 * time.Millisecond },
		"large": func(j *job) { j.Paths, j.Answer, j.Limit = []string{"/bytes/3000001"}, 3_000_001, 3 },
		// Content of the whole connection outgrows its window.
		"many": func(j *job) { j.Paths, j.Answer, j.Clients, j.Limit = []string{"/bytes/1000000"}, 1_000_000, 1, 40 },
	} {
		j := serveMulti(t, asIs)
		change(&j)
		res, err := do(t, j)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := j.Clients * j.Limit; res.Operations != want || res.Failed != 0 || res.P50 == 0 || res.P999 < res.P50 {
			t.Errorf("%s: %+v, not %d", name, res, want)
		}
	}
}

func TestMultiplexedJobKeepsItsRate(t *testing.T) {
	j := serveMulti(t, asIs)
	j.Kind, j.Rate, j.Measure, j.Limit = "paced", 600, 250*time.Millisecond, 0
	if res, err := do(t, j); err != nil || res.Operations != 150 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A server that wants no more requests on a connection gets another one, and no
// request is lost.
func TestMultiplexedJobMovesOn(t *testing.T) {
	j := serveMulti(t, func(w http.ResponseWriter, number int64) {
		if number%20 == 0 {
			w.Header().Set("Connection", "close") // over HTTP/2: GOAWAY
		}
	})
	if res, err := do(t, j); err != nil || res.Operations != 150 || res.Failed != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestMultiplexedJobTakesNoOtherAnswer(t *testing.T) {
	for want, before := range map[string]func(http.ResponseWriter, int64){
		`status "404"`:       func(w http.ResponseWriter, _ int64) { w.WriteHeader(http.StatusNotFound) },
		"128 bytes of 127":   asIs,
		"a stream was reset": func(http.ResponseWriter, int64) { panic(http.ErrAbortHandler) },
	} {
		j := serveMulti(t, before)
		j.Answer = smallSize - 1
		if _, err := do(t, j); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v is not %s", err, want)
		}
	}
}

func TestScheduleCountsFromWhenARequestWasDue(t *testing.T) {
	start := time.Now()
	s := schedule{every: time.Second, due: start}
	if got := s.from(start.Add(5 * time.Second)); got != start {
		t.Errorf("late: %v", got.Sub(start))
	}
	s.idle = true // nothing was under way: what is late is the timer
	if late := start.Add(1001 * time.Millisecond); s.from(late) != late || s.due != start.Add(2*time.Second) || s.idle {
		t.Errorf("idle: %+v", s)
	}
}
