package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is a program that goes on while the script does.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // of Wait, once ended
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "start NAME PROGRAM ARGUMENT…")
	w, name := worldOf(ts), args[0]
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close()
	errOut, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer errOut.Close()
	p := &process{cmd: command(ts, context.Background(), args[1:]), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, errOut
	ts.Check(p.cmd.Start())
	w.processes[name] = p
	w.wait.Go(func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	})
}

// command makes a command of what a script says, in the script's environment.
func command(ts *testscript.TestScript, ctx context.Context, args []string) *exec.Cmd {
	program := args[0]
	if program == "albion" {
		program = worldOf(ts).program
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "ALBION_DATA", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "signal NAME INT|TERM|HUP|KILL")
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": os.Kill}
	ts.Check(get(ts, worldOf(ts).processes, args[0]).cmd.Process.Signal(get(ts, signals, args[1])))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "finish NAME CODE|killed")
	p := get(ts, worldOf(ts).processes, args[0])
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s has not ended\n%s", args[0], ts.ReadFile(args[0]+".err"))
	}
	code := strconv.Itoa(p.cmd.ProcessState.ExitCode())
	if code == "-1" {
		code = "killed"
	}
	if code != args[1] {
		ts.Fatalf("%s ended with %s (%v)\n%s", args[0], code, p.err, ts.ReadFile(args[0]+".err"))
	}
	delete(worldOf(ts).processes, args[0])
}

func cmdRunning(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "running NAME")
	select {
	case <-get(ts, worldOf(ts).processes, args[0]).ended:
		ts.Fatalf("%s has ended\n%s", args[0], ts.ReadFile(args[0]+".err"))
	default:
	}
}

// cmdWaitFor asks again and again, and gives up in the end. It pauses between
// the questions, because what it waits for happens in another program.
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "wait-for file FILE REGEXP | url URL STATUS | output REGEXP PROGRAM ARGUMENT…")
	var ask func() error
	switch args[0] {
	case "file":
		ask = func() error { return fileHas(ts.MkAbs(args[1]), args[2]) }
	case "url":
		ask = func() error { return urlAnswers(args[1], args[2]) }
	case "output":
		ask = func() error { return outputHas(command(ts, context.Background(), args[2:]), args[1]) }
	default:
		ts.Fatalf("wait-for %s: what is that?", args[0])
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(40 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			ts.Fatalf("waited in vain: %v%s", err, outputs(ts))
		}
	}
}

// outputs is what the programs have said so far, to explain a failure.
func outputs(ts *testscript.TestScript) string {
	text := ""
	for name := range worldOf(ts).processes {
		for _, end := range []string{".out", ".err"} {
			data, err := os.ReadFile(ts.MkAbs(name + end))
			text += fmt.Sprintf("\n[%s%s] %s", name, end, data)
			if err != nil {
				text += err.Error()
			}
		}
	}
	return text
}

func fileHas(file, pattern string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return matches(filepath.Base(file), data, pattern)
}

func matches(what string, data []byte, pattern string) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return err
	}
	if !re.Match(data) {
		return fmt.Errorf("%s does not have %s:\n%s", what, pattern, data)
	}
	return nil
}

// urlAnswers asks once, on a connection of its own. Whom it asks is for curl to
// check.
func urlAnswers(url, status string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	res.Body.Close()
	if got := strconv.Itoa(res.StatusCode); got != status {
		return fmt.Errorf("%s answers %s, not %s", url, got, status)
	}
	return nil
}

func outputHas(cmd *exec.Cmd, pattern string) error {
	out, err := cmd.CombinedOutput()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		return err
	}
	return matches(filepath.Base(cmd.Path), out, pattern)
}
