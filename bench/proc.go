package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a balancer has used: all its processes together.
type usage struct {
	CPU    time.Duration // user and system, children that have ended included
	Memory int64         // resident, in bytes, shared pages in proportion
}

// tick is the unit of processor times in /proc (proc_pid_stat(5)): USER_HZ is
// 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// process is one line of /proc/PID/stat.
type process struct {
	pid, parent int
	cpu         time.Duration
}

var errStat = errors.New("bench: not a line of /proc/PID/stat")

// parseStat reads a line of /proc/PID/stat. The second field, the name, may hold
// anything, brackets and spaces too.
func parseStat(b []byte) (p process, err error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return p, errStat
	}
	if p.pid, err = strconv.Atoi(string(bytes.TrimSpace(b[:open]))); err != nil {
		return p, errStat
	}
	fields := strings.Fields(string(b[end+1:])) // from the third on
	if len(fields) < 22 {
		return p, errStat
	}
	var numbers [5]int64
	for i, at := range [...]int{4, 14, 15, 16, 17} { // as proc_pid_stat(5) counts
		if numbers[i], err = strconv.ParseInt(fields[at-3], 10, 64); err != nil {
			return p, errStat
		}
	}
	p.parent = int(numbers[0])
	p.cpu = time.Duration(numbers[1]+numbers[2]+numbers[3]+numbers[4]) * tick
	return p, nil
}

// census lists all processes of the machine.
func census() ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make([]process, 0, len(paths))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		if p, err := parseStat(b); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}

// usageOf sums up a process and all that descend from it.
func usageOf(root int) (usage, error) {
	all, err := census()
	if err != nil {
		return usage{}, err
	}
	u := usage{CPU: cpuOf(root, all)}
	for _, p := range family(root, all) {
		size, err := residentOf(p)
		if err != nil {
			return u, err
		}
		u.Memory += size
	}
	if u.Memory == 0 {
		return u, fmt.Errorf("bench: process %d has ended", root)
	}
	return u, nil
}

// family is a process and all that descend from it, of those that there are.
func family(root int, all []process) (out []process) {
	in := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if in[p.parent] && !in[p.pid] {
				in[p.pid], grown = true, true
			}
		}
	}
	for _, p := range all {
		if in[p.pid] {
			out = append(out, p)
		}
	}
	return out
}

// cpuOf adds up the processor time of a family.
func cpuOf(root int, all []process) (sum time.Duration) {
	for _, p := range family(root, all) {
		sum += p.cpu
	}
	return sum
}

// residentOf is the memory of a process, in bytes. A page that several processes
// share counts in parts, one for each (Pss in proc_pid_smaps(5)): otherwise those
// who have several workers would pay for it several times.
func residentOf(p process) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, nil // ended meanwhile
	}
	if err != nil {
		return 0, err
	}
	return parseRollup(b)
}

func parseRollup(b []byte) (int64, error) {
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			size, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
			n, err := strconv.ParseInt(size, 10, 64)
			if err != nil || unit != "kB" || n < 0 {
				return 0, errRollup
			}
			return n << 10, nil
		}
	}
	return 0, nil // a process that has just ended has no memory
}

var errRollup = errors.New("bench: not what /proc/PID/smaps_rollup holds")

// machineBusy is the time that the processors have worked since the start, all
// together, and what a host took from them. Interrupts are left out: the kernel
// may or may not count those of the loopback network as the process's own.
func machineBusy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseBusy(b)
}

// parseBusy reads the first line of proc_stat(5): cpu, then user, nice, system,
// idle, iowait, irq, softirq, steal.
func parseBusy(b []byte) (time.Duration, error) {
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, errStat
	}
	var sum int64
	for _, at := range [...]int{1, 2, 3, 8} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return 0, errStat
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// openFiles is how many files a process may have open, at most.
func openFiles() (int, error) {
	b, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			fields := strings.Fields(rest)
			if len(fields) < 2 {
				break
			}
			if fields[1] == "unlimited" {
				return 1 << 20, nil
			}
			return strconv.Atoi(fields[1])
		}
	}
	return 0, errors.New("bench: /proc/self/limits does not say how many files may be open")
}

// loadAverage is that of the last minute.
func loadAverage() (float64, error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), " ")
	return strconv.ParseFloat(first, 64)
}
