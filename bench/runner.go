package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sample is what one peer did in one work in one round.
type sample struct {
	Value      float64 `json:"value"` // in the work's metric
	Operations int     `json:"operations"`
	CPU        float64 `json:"cpu_us_per_operation"`
	Rate       float64 `json:"operations_per_second"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	P999       float64 `json:"p999_ms"`
	Memory     float64 `json:"resident_mib"`
	Start      float64 `json:"start_ms"`              // until the first answer
	Around     float64 `json:"load_us_per_operation"` // processor time of the load and the origin
	Foreign    float64 `json:"foreign_share"`         // of the processors, that others took meanwhile
	Failed     int     `json:"failed"`
	Changes    int     `json:"changes,omitempty"`
}

// runner measures.
type runner struct {
	plan      plan
	peers     []*peer
	works     []work
	dir       string
	origin    int // its port
	originPID int
	files     int
	cores     int
	issuer    *issuer
	main      certificate
	many      []certificate
	out       io.Writer            // progress
	made      int                  // folders of instances
	best      map[string][]float64 // requests per second of Albion, by work
}

// hostName is what the load asks for.
const hostName = "bench.example.com"

// done is what came of a work: samples by peer, in the order of the rounds.
type done struct {
	samples  map[string][]sample
	repeated int      // rounds that failed once
	leftOut  []string // peers that failed twice
}

// run does everything, in turn, and reports each work when it is done.
func (r *runner) run(ctx context.Context, report func(*work, *done) error) error {
	for i := range r.works {
		w := &r.works[i]
		if err := r.prepare(w); err != nil {
			return err
		}
		d := &done{samples: map[string][]sample{}}
		rounds := r.plan.Rounds
		if w.Once {
			rounds = 1
		}
		for round := range rounds {
			for turn := range r.peers {
				p := r.peers[(turn+round)%len(r.peers)] // nobody is always the first
				if err := r.turn(ctx, w, p, d); err != nil {
					return err
				}
			}
		}
		if err := report(w, d); err != nil {
			return err
		}
	}
	return nil
}

// turn lets one peer do one work for one more round. A round that fails is tried
// once more, and a peer that fails again is left out of the work, which the
// report says. An error is the end of everything.
func (r *runner) turn(ctx context.Context, w *work, p *peer, d *done) error {
	if slices.ContainsFunc(d.leftOut, func(why string) bool { return strings.HasPrefix(why, p.Name+" ") }) {
		return nil
	}
	s, err := r.measure(ctx, w, p)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(r.out, "%-14s %-8s again: %v\n", w.ID, p.Name, err)
		d.repeated++
		s, err = r.measure(ctx, w, p)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Fprintf(r.out, "%-14s %-8s failed: %v\n", w.ID, p.Name, err)
		d.leftOut = append(d.leftOut, p.Name+" failed twice")
		return nil
	}
	d.samples[p.Name] = append(d.samples[p.Name], s)
	fmt.Fprintf(r.out, "%-14s %-8s %9.2f %-7s %8.0f/s  p99 %7.2f ms  %6.0f MiB  %d failed, others took %.0f %%\n",
		w.ID, p.Name, s.Value, w.Metric, s.Rate, s.P99, s.Memory, s.Failed, 100*s.Foreign)
	if p == r.peers[0] {
		r.best[w.ID] = append(r.best[w.ID], s.Rate)
	}
	return nil
}

// prepare makes what a work needs and no other does.
func (r *runner) prepare(w *work) error {
	if w.Half != "" {
		if len(r.best[w.Half]) == 0 {
			return fmt.Errorf("bench: %s needs %s before it", w.ID, w.Half)
		}
		w.job.Rate = median(r.best[w.Half]) / 2
	}
	if !w.Many {
		return nil
	}
	var err error
	if r.many, err = r.issuer.issueMany(filepath.Join(r.dir, "certificates"), r.plan.Certificates); err != nil {
		return err
	}
	w.job.Names = nil
	for _, c := range r.many {
		w.job.Names = append(w.job.Names, c.Name)
	}
	return nil
}

// setup is what a peer is to do in a work.
func (r *runner) setup(w *work) (setup, error) {
	ports, err := freePorts(2)
	if err != nil {
		return setup{}, err
	}
	r.made++
	s := setup{
		Dir: filepath.Join(r.dir, fmt.Sprint(r.made)), Name: hostName, HTTP: ports[0], HTTPS: ports[1], Origin: r.origin,
		Workers: r.cores, Files: r.files, Log: w.Log, Generation: 1, certificate: r.main,
	}
	s.Data = filepath.Join(s.Dir, "data")
	if w.Rules {
		for i := range r.plan.Rules {
			s.Rules = append(s.Rules, ruleName(i))
		}
	}
	if w.Many {
		s.Certificates = r.many
	}
	return s, os.MkdirAll(s.Dir, 0o755)
}

// measure lets one peer do one work, once.
func (r *runner) measure(ctx context.Context, w *work, p *peer) (sample, error) {
	s, err := r.setup(w)
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(s.Dir)
	in, err := launch(ctx, p, s)
	if err != nil {
		return sample{}, err
	}
	defer in.stop()
	if w.Many {
		if err := in.rest(ctx); err != nil {
			return sample{}, err
		}
	}
	j := w.job
	j.Address, j.Roots = address(in.setup.HTTP), r.issuer.pem
	if j.TLS {
		j.Address = address(in.setup.HTTPS)
	}
	if len(j.Names) == 0 {
		j.Names = []string{hostName}
	}
	load, err := startLoad(ctx, &j)
	if err != nil {
		return sample{}, fmt.Errorf("%w: %s", err, in.said())
	}
	defer load.stop()
	result, err := r.observe(ctx, w, in, load)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, in.said())
	}
	return result, err
}

// moment is what everybody had used at one time.
type moment struct {
	at       time.Time
	balancer usage
	around   time.Duration // by the load and the origin
	ours     time.Duration // by everything that belongs to this run
	machine  time.Duration
}

func (r *runner) look(in *instance, load *helper) (m moment, err error) {
	if m.balancer, err = in.usage(); err != nil {
		return m, err
	}
	all, err := census()
	if err != nil {
		return m, err
	}
	m.around = cpuOf(load.cmd.Process.Pid, all) + cpuOf(r.originPID, all)
	m.ours = cpuOf(os.Getpid(), all)
	m.machine, err = machineBusy()
	m.at = time.Now()
	return m, err
}

// observe is the measured part: the load is ready, and so is the balancer.
func (r *runner) observe(ctx context.Context, w *work, in *instance, load *helper) (sample, error) {
	before, err := r.look(in, load)
	if err != nil {
		return sample{}, err
	}
	if err := load.tell(wordGo); err != nil {
		return sample{}, err
	}
	changes := 0
	began := time.Now()
	if w.Change {
		if changes, err = r.changeAll(ctx, in); err != nil {
			return sample{}, err
		}
	}
	changing := time.Since(began)
	res, err := load.result()
	if err != nil {
		return sample{}, err
	}
	if w.Metric == perTunnel {
		select {
		case <-time.After(r.plan.Settle):
		case <-ctx.Done():
			return sample{}, ctx.Err()
		}
	}
	after, err := r.look(in, load)
	if err != nil {
		return sample{}, err
	}
	if res.Operations == 0 {
		return sample{}, fmt.Errorf("bench: nothing was done: %s", res.Why)
	}
	s := sampleOf(w, before, after, res)
	s.Start = milliseconds(in.started)
	s.Foreign = foreign(before, after, r.cores)
	if w.Change {
		s.Changes = changes
		s.Value = float64(changes) / changing.Seconds()
	}
	return s, nil
}

// foreign is the share of all processors that programs of no concern to this run
// took between two moments. The kernel counts in ticks, so a little may be none.
func foreign(before, after moment, cores int) float64 {
	whole := after.at.Sub(before.at) * time.Duration(cores)
	theirs := (after.machine - before.machine) - (after.ours - before.ours)
	if whole <= 0 || theirs <= 0 {
		return 0
	}
	return float64(theirs) / float64(whole)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// changeAll changes the configuration, one change after the other, for as long
// as the load lasts.
func (r *runner) changeAll(ctx context.Context, in *instance) (changes int, err error) {
	for end := time.Now().Add(r.plan.Measure); time.Now().Before(end); changes++ {
		if err := in.change(ctx); err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// sampleOf turns what was counted into what is compared.
func sampleOf(w *work, before, after moment, res *result) sample {
	n := float64(res.Operations)
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / n }
	s := sample{
		Operations: res.Operations, Failed: res.Failed,
		CPU:    each(after.balancer.CPU - before.balancer.CPU),
		Around: each(after.around - before.around),
		Rate:   n / res.Elapsed.Seconds(),
		Memory: float64(after.balancer.Memory) / mib,
		P50:    milliseconds(res.P50), P99: milliseconds(res.P99), P999: milliseconds(res.P999),
	}
	switch w.Metric {
	case perOperation:
		s.Value = s.CPU
	case perTunnel:
		s.Value = float64(after.balancer.Memory-before.balancer.Memory) / 1024 / n
	case tail:
		s.Value = s.P99
	}
	return s
}
