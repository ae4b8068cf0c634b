//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// group puts a program into a process group of its own, so that all of it can be
// ended.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends what is left of a program, for good.
func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
