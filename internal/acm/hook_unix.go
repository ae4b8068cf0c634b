//go:build unix

package acm

import (
	"os/exec"
	"syscall"
)

// alone gives a program a process group of its own, so that its end is the end of
// what it has started too.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
