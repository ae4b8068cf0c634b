package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a balancer has used: all its processes together.
type usage struct {
	CPU    time.Duration // user and system, children that have ended included
	Memory int64         // resident, in bytes
}

// tick is the unit of processor times in /proc (proc_pid_stat(5)): USER_HZ is
// 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// process is one line of /proc/PID/stat.
type process struct {
	pid, parent int
	cpu         time.Duration
	resident    int64 // pages
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
	var numbers [6]int64
	for i, at := range [...]int{4, 14, 15, 16, 17, 24} { // as proc_pid_stat(5) counts
		if numbers[i], err = strconv.ParseInt(fields[at-3], 10, 64); err != nil {
			return p, errStat
		}
	}
	p.parent, p.resident = int(numbers[0]), numbers[5]
	p.cpu = time.Duration(numbers[1]+numbers[2]+numbers[3]+numbers[4]) * tick
	return p, nil
}

// usageOf sums up a process and all that descend from it.
func usageOf(root int) (usage, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, err
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
	sum, found := sumOf(root, all)
	if !found {
		return sum, fmt.Errorf("bench: process %d has ended", root)
	}
	return sum, nil
}

// sumOf adds up root and its descendants.
func sumOf(root int, all []process) (sum usage, found bool) {
	page := int64(os.Getpagesize())
	family := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if family[p.parent] && !family[p.pid] {
				family[p.pid], grown = true, true
			}
		}
	}
	for _, p := range all {
		if family[p.pid] {
			found = found || p.pid == root
			sum.CPU += p.cpu
			sum.Memory += p.resident * page
		}
	}
	return sum, found
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
