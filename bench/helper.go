package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// helper is another process of this program: the origin, or a load. It ends
// when its input does.
type helper struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	said  *bytes.Buffer // on standard error
}

// startHelper starts this program in another role.
func startHelper(ctx context.Context, role string) (*helper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &helper{cmd: exec.CommandContext(ctx, self, role), said: &bytes.Buffer{}}
	h.cmd.Stderr = h.said
	group(h.cmd) // an interrupt of the terminal's is for the parent alone
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.lines = bufio.NewScanner(out)
	return h, h.cmd.Start()
}

// line is the next line that the helper says.
func (h *helper) line() (string, error) {
	if h.lines.Scan() {
		return h.lines.Text(), nil
	}
	h.in.Close()
	err := h.cmd.Wait()
	return "", fmt.Errorf("bench: the %s ended: %w: %s", h.cmd.Args[1], err, strings.TrimSpace(h.said.String()))
}

func (h *helper) tell(line string) error {
	_, err := io.WriteString(h.in, line+"\n")
	return err
}

// stop ends the helper.
func (h *helper) stop() {
	h.in.Close()
	for h.lines.Scan() {
	}
	h.cmd.Wait()
}

// startLoad starts a load, which is connected and warm afterwards.
func startLoad(ctx context.Context, j *job) (*helper, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	h, err := startHelper(ctx, roleLoad)
	if err != nil {
		return nil, err
	}
	if err := h.tell(string(text)); err != nil {
		h.stop()
		return nil, err
	}
	if _, err := h.line(); err != nil {
		return nil, err
	}
	return h, nil
}

// result is what the load found, once it is done.
func (h *helper) result() (*result, error) {
	line, err := h.line()
	if err != nil {
		return nil, err
	}
	r := &result{}
	if err := json.Unmarshal([]byte(line), r); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return r, nil
}
