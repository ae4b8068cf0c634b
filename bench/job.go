package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// job is what one process of load does. It travels as JSON.
type job struct {
	Kind    string // request, paced, handshake, echo or hold
	Address string // of the balancer, 127.0.0.1:PORT
	TLS     bool
	Roots   []byte   // PEM: who signed the balancer's certificates
	Names   []string // that are asked for in turn, as SNI and Host
	Paths   []string // that are asked for in turn
	Upload  int64    // bytes that each request posts; 0: GET
	Answer  int64    // bytes that each answer must have; -1: as many as it says
	Clients int      // connections at a time
	Streams int      // requests at a time on each, over HTTP/2; 0: HTTP/1.1
	Warm    time.Duration
	Measure time.Duration
	Limit   int     // operations of one client at most; 0: as many as fit into Measure
	Rate    float64 // of a paced job: requests per second of all clients
	Resume  bool    // of handshakes: resume the session of the one before
	Retry   bool    // count failures and connect again, instead of ending
}

// result is what came of it.
type result struct {
	Operations int
	Failed     int
	Why        string // the first failure
	Elapsed    time.Duration
	P50        time.Duration
	P99        time.Duration
	P999       time.Duration
}

// bound is the longest that a job may take in all.
func (j *job) bound() time.Duration { return j.Warm + j.Measure + 2*time.Minute }

// The process that loads says "ready" when it is connected and warm, begins when
// it is told "go", and answers with its result. It keeps its connections until
// its input ends.
const (
	wordReady = "ready"
	wordGo    = "go"
)

// runLoad is the whole life of a process of load.
func runLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	if !lines.Scan() {
		return fmt.Errorf("bench: no job: %w", lines.Err())
	}
	var j job
	if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, j.bound())
	defer cancel()
	begin := func() error {
		if _, err := fmt.Fprintln(out, wordReady); err != nil {
			return err
		}
		if !lines.Scan() || lines.Text() != wordGo {
			return fmt.Errorf("bench: never told to begin")
		}
		return nil
	}
	l, err := newLoad(ctx, &j)
	if err != nil {
		return err
	}
	defer l.close()
	res, err := l.run(begin)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(res); err != nil {
		return err
	}
	lines.Scan() // until the input ends
	return nil
}
