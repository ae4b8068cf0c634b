// Command bench holds Albion side by side with nginx, HAProxy and Caddy: on one
// machine, with equivalent configurations (the folder peers), in turn.
//
//	go run ./bench                       all of it: docs/benchmarks.md, .json and .svg; about twenty minutes
//	go run ./bench -merge -only 'h2-.*'  some of it, into the results that are there
//	go run ./bench -resume               what an interrupted run left out
//	go run ./bench -quick                a rough look in a few minutes; writes no file
//	go run ./bench -quick -only 'https-64|http-64' -peers nginx
//
// The balancer, the origin behind it and the load in front of it are processes
// of their own. What is compared above all is the balancer's processor time for
// each operation, user and system, as the kernel counts it: unlike throughput it
// does not depend on what the origin and the load take of the same processors.
//
// It measures on Linux only, and on loopback only; it does not measure networks
// or large machines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// The roles in which this program starts itself.
const (
	roleLoad   = "load"
	roleOrigin = "origin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := role(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

func role(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == roleLoad:
		return runLoad(ctx, os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == roleOrigin:
		return originMain(ctx, os.Stdin, os.Stdout)
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	return o.run(ctx)
}

// originMain says its port and answers until its input ends.
func originMain(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, ln.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	go func() { // ends with the input, and the program with it
		io.Copy(io.Discard, in)
		cancel()
	}()
	return runOrigin(ctx, ln)
}

// options are the command line.
type options struct {
	quick  bool
	only   *regexp.Regexp
	peers  []string
	merge  bool   // into the results that are there
	resume bool   // the same, and leave out what is there
	out    string // folder of the results; "": none are written
	albion string // a program that is there already; "": build it
	keep   plan
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.quick, "quick", false, "a rough look: one short round, no file written, without Caddy")
	only := flags.String("only", "", "works to do, a regular expression of their names")
	peers := flags.String("peers", os.Getenv("BENCH_PEERS"), "who takes part besides Albion (default nginx,haproxy,caddy; also $BENCH_PEERS)")
	out := flags.String("out", "", "folder for benchmarks.md, .json and .svg (default docs; with -quick, or -only without -merge, none)")
	flags.BoolVar(&o.merge, "merge", false, "replace only what is measured in the results of the folder")
	flags.BoolVar(&o.resume, "resume", false, "measure only what the results of the folder lack")
	rounds := flags.Int("rounds", 0, "rounds of each work")
	measure := flags.Duration("time", 0, "measured time of one round")
	flags.StringVar(&o.albion, "albion", "", "the albion to measure (default: build it)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("bench: what is %q? Try -help", flags.Arg(0))
	}
	o.keep = fullPlan()
	if o.quick {
		o.keep = quickPlan()
	}
	if *rounds > 0 {
		o.keep.Rounds = min(*rounds, 100)
	}
	if *measure > 0 {
		o.keep.Measure = *measure
	}
	var err error
	if o.only, err = regexp.Compile("^(" + *only + ")$"); err != nil {
		return nil, fmt.Errorf("bench: -only: %w", err)
	}
	if o.out = *out; o.out == "" && (o.merge || o.resume || !o.quick && *only == "") {
		o.out = "docs"
	}
	if *only == "" {
		o.only = nil
	}
	o.peers, err = peerNames(*peers, o.quick)
	return o, err
}

// peerNames reads the list of who takes part.
func peerNames(list string, quick bool) ([]string, error) {
	known := []string{"nginx", "haproxy", "caddy"}
	if list == "" {
		if quick {
			return known[:2], nil
		}
		return known, nil
	}
	var names []string
	for name := range strings.SplitSeq(strings.ToLower(list), ",") {
		if name = strings.TrimSpace(name); !slices.Contains(known, name) {
			return nil, fmt.Errorf("bench: nobody knows %q; there are %s", name, strings.Join(known, ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// run measures and reports.
func (o *options) run(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("bench: processor times are read from /proc, which %s does not have", runtime.GOOS)
	}
	load, err := loadAverage()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "albion-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's workers are another user
		return err
	}
	peers, err := o.take(ctx, dir)
	if err != nil {
		return err
	}
	rep := &report{Plan: o.keep, Cores: runtime.NumCPU(), Load: load, System: system(), Versions: map[string]string{"Go": runtime.Version()}}
	for _, p := range peers {
		if rep.Versions[p.Name], err = p.versionOf(ctx); err != nil {
			return err
		}
		rep.Peers = append(rep.Peers, p.Name)
	}
	r, err := o.runner(dir, peers)
	if err != nil {
		return err
	}
	if err := o.takeOver(rep, r); err != nil {
		return err
	}
	origin, err := startHelper(ctx, roleOrigin)
	if err != nil {
		return err
	}
	defer origin.stop()
	port, err := origin.line()
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(port, &r.origin); err != nil {
		return err
	}
	r.originPID = origin.cmd.Process.Pid
	if err := r.checkAll(ctx); err != nil {
		return err
	}
	err = r.run(ctx, func(w *work, d *done) error {
		rep.put(w, d)
		return rep.publish(o.out) // what is interrupted can be resumed
	})
	return errors.Join(err, rep.publish(o.out), rep.print(os.Stdout))
}

// takeOver begins with what an earlier run found out, if that is wanted.
func (o *options) takeOver(rep *report, r *runner) error {
	if !o.merge && !o.resume {
		return nil
	}
	if err := rep.join(o.out); err != nil {
		return err
	}
	for _, w := range rep.Works {
		r.best[w.ID] = each(w.Samples["Albion"], func(s sample) float64 { return s.Rate })
	}
	if o.resume {
		r.works = slices.DeleteFunc(r.works, func(w work) bool { return rep.of(w.ID) != nil })
	}
	for _, w := range r.works {
		r.best[w.ID] = nil // measured anew
	}
	return nil
}

func (o *options) runner(dir string, peers []*peer) (*runner, error) {
	files, err := openFiles()
	if err != nil {
		return nil, err
	}
	if need := 2*o.keep.Tunnels + 2000; files < need {
		return nil, fmt.Errorf("bench: a process may open %d files, and needs %d: ulimit -n", files, need)
	}
	r := &runner{plan: o.keep, peers: peers, dir: dir, files: min(files, 1<<16), cores: runtime.NumCPU(), out: os.Stderr, best: map[string][]float64{}}
	if r.issuer, err = newIssuer(); err != nil {
		return nil, err
	}
	if r.main, err = r.issuer.issue(dir, hostName, 0); err != nil {
		return nil, err
	}
	for _, w := range works(o.keep) {
		if o.only == nil || o.only.MatchString(w.ID) {
			r.works = append(r.works, w)
		}
	}
	if len(r.works) == 0 {
		return nil, fmt.Errorf("bench: -only fits nothing")
	}
	return r, nil
}

// checkAll lets every peer that can check its configuration do so.
func (r *runner) checkAll(ctx context.Context) error {
	for _, w := range []work{{}, {Log: true}, {Rules: true}} {
		for _, p := range r.peers {
			if p.check == nil {
				continue
			}
			s, err := r.setup(&w)
			if err != nil {
				return err
			}
			config, err := p.render(&s)
			if err == nil {
				_, err = p.run(ctx, p.check(&s, config)...)
			}
			if err := firstOf(err, os.RemoveAll(s.Dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// take finds, builds or installs everybody who takes part.
func (o *options) take(ctx context.Context, dir string) ([]*peer, error) {
	albion := o.albion
	if albion == "" {
		albion = filepath.Join(dir, "albion")
		build := exec.CommandContext(ctx, "go", "build", "-buildvcs=auto", "-o", albion, "github.com/albion-lb/albion/cmd/albion")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("bench: building albion: %w: %s", err, lastLines(out))
		}
	}
	caddy, err := install(ctx, o.peers)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(roster(albion, caddy), func(p *peer) bool {
		return p.Name != "Albion" && !slices.Contains(o.peers, strings.ToLower(p.Name))
	}), nil
}

// system is the kernel, without the name of the machine.
func system() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	number := numbers.FindString(string(b))
	if main, _, ok := strings.Cut(number, "-"); ok {
		number = main
	}
	return "Linux " + number + ", " + runtime.GOARCH
}
