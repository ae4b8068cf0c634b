package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// instance is a balancer that runs.
type instance struct {
	peer    *peer
	setup   setup
	config  string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has
	started time.Duration // that it took until the first answer
}

// Bounds of starting and ending; ten thousand certificates take their time.
const (
	startTime = 3 * time.Minute
	endTime   = 15 * time.Second
	pollEvery = 10 * time.Millisecond
)

// launch starts a balancer and returns when it answers.
func launch(ctx context.Context, p *peer, s setup) (*instance, error) {
	config, err := p.render(&s)
	if err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(s.Dir, "output"))
	if err != nil {
		return nil, err
	}
	defer said.Close() // the process has its own
	cmd := exec.Command(p.program, p.start(&s, config)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = said, said, s.Dir
	group(cmd)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	in := &instance{peer: p, setup: s, config: config, cmd: cmd, ended: make(chan struct{})}
	go func() { // ends with the process; stop waits for it
		cmd.Wait()
		close(in.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := in.await(ctx, s.Generation); err != nil {
		in.stop()
		return nil, fmt.Errorf("bench: %s does not start: %w: %s", p.Name, err, in.said())
	}
	in.started = time.Since(began)
	return in, nil
}

// Bounds of how long a balancer may go on tidying up after its start.
const (
	restEvery = 200 * time.Millisecond
	restTime  = 30 * time.Second
)

// rest waits until the balancer has nothing left to do after its start: of ten
// thousand certificates, some go on for a while after they answer.
func (in *instance) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restTime)
	defer cancel()
	before, err := in.usage()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil // it never rests: that is its cost, then
		case <-time.After(restEvery):
		}
		var now usage
		if now, err = in.usage(); now.CPU-before.CPU <= tick {
			break
		}
		before = now
	}
	return err
}

// await waits until the balancer answers new connections with the configuration
// of that generation.
func (in *instance) await(ctx context.Context, generation int) error {
	want := strconv.Itoa(generation)
	for {
		if got, err := in.generation(ctx); err == nil && got == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-in.ended:
			return errors.New("it ended")
		case <-time.After(pollEvery):
		}
	}
}

// generation asks on a new connection which configuration is in force.
func (in *instance) generation(ctx context.Context) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address(in.setup.HTTP))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET /generation HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", in.setup.Name); err != nil {
		return "", err
	}
	var answer bytes.Buffer
	chunk := make([]byte, 1<<10)
	for answer.Len() < 8<<10 {
		n, err := conn.Read(chunk)
		answer.Write(chunk[:n])
		if err != nil {
			break
		}
	}
	_, body, _ := bytes.Cut(answer.Bytes(), []byte("\r\n\r\n"))
	return string(body), nil
}

// A change that is not in force after changeAgain is asked for once more, since
// a request in the middle of a reload can be lost; after changeTime it has failed.
const (
	changeAgain = 2 * time.Second
	changeTime  = 20 * time.Second
)

// change makes the next generation of the configuration true.
func (in *instance) change(ctx context.Context) error {
	in.setup.Generation++
	if _, err := in.peer.render(&in.setup); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	for {
		if err := in.peer.change(ctx, in.peer, in); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, changeAgain)
		err := in.await(soon, in.setup.Generation)
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// said is the end of what the balancer wrote of errors.
func (in *instance) said() string {
	var all []byte
	for _, name := range []string{"output", "error.log"} {
		if out, err := os.ReadFile(filepath.Join(in.setup.Dir, name)); err == nil {
			all = append(all, out...)
		}
	}
	return lastLines(all)
}

func (in *instance) usage() (usage, error) { return usageOf(in.cmd.Process.Pid) }

// stop ends the balancer and everything that it started.
func (in *instance) stop() {
	in.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-in.ended:
	case <-time.After(endTime):
	}
	killGroup(in.cmd)
	<-in.ended
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts finds ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // together, so that no port is found twice
		ports[i] = ln.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
