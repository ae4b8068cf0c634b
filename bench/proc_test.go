package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const statLine = "4321 (a (b) c) S 77 4321 4321 0 -1 4194560 100 0 0 0 150 50 20 10 20 0 5 0 12345 1000000 2048 18446744073709551615 1 1"

func TestParseStat(t *testing.T) {
	p, err := parseStat([]byte(statLine))
	if err != nil {
		t.Fatal(err)
	}
	want := process{pid: 4321, parent: 77, cpu: 2300 * time.Millisecond}
	if p != want {
		t.Errorf("%+v, not %+v", p, want)
	}
	for _, bad := range []string{"", "x (a) S 1", "1 (a", strings.Replace(statLine, "150", "x", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestProcessorTimeIsThatOfTheWholeFamily(t *testing.T) {
	all := []process{
		{pid: 3, parent: 2, cpu: time.Second}, // a grandchild, listed first
		{pid: 1, parent: 0, cpu: time.Minute},
		{pid: 2, parent: 9, cpu: 2 * time.Second},
		{pid: 4, parent: 1, cpu: time.Minute},
	}
	if got := cpuOf(2, all); got != 3*time.Second {
		t.Errorf("%v", got)
	}
	if got := cpuOf(99, all); got != 0 {
		t.Errorf("who is not there used %v", got)
	}
}

const rollup = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:               10240 kB\nPss:                5120 kB\nPss_Anon: 100 kB\n"

func TestParseRollup(t *testing.T) {
	for text, want := range map[string]int64{rollup: 5 << 20, "": 0} {
		if got, err := parseRollup([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"Pss: x kB", "Pss: 1 MB", "Pss: -1 kB", "Pss:"} {
		if _, err := parseRollup([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestParseBusy(t *testing.T) {
	got, err := parseBusy([]byte("cpu  100 20 3 90000 500 60 70 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
	if err != nil || got != 1310*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 7 x 9"} {
		if _, err := parseBusy([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestForeignIsWhatNobodyOfUsTook(t *testing.T) {
	start := moment{at: time.Now(), machine: time.Hour, ours: time.Minute}
	after := func(machine, ours time.Duration) moment {
		return moment{at: start.at.Add(2 * time.Second), machine: start.machine + machine, ours: start.ours + ours}
	}
	for want, end := range map[float64]moment{
		.25: after(3*time.Second, 2*time.Second), 0: after(time.Second, time.Second+tick),
	} {
		if got := foreign(start, end, 2); got != want {
			t.Errorf("%v, not %v", got, want)
		}
	}
}

func FuzzParseRollup(f *testing.F) {
	f.Add([]byte(rollup))
	f.Add([]byte("Pss:\t1 kB"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := parseRollup(data); n < 0 || err != nil && !errors.Is(err, errRollup) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func FuzzParseBusy(f *testing.F) {
	f.Add([]byte("cpu  100 20 3 90000 500 60 70 8 0 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseBusy(data); err != nil && !errors.Is(err, errStat) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine))
	f.Add([]byte("1 ()) R"))
	f.Add([]byte(fmt.Sprintf("1 (x)%s", strings.Repeat(" 9", 60))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseStat(data); err != nil && !errors.Is(err, errStat) {
			t.Errorf("%v", err)
		}
	})
}
