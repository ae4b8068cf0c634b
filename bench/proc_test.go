package main

import (
	"errors"
	"fmt"
	"os"
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
	want := process{pid: 4321, parent: 77, cpu: 2300 * time.Millisecond, resident: 2048}
	if p != want {
		t.Errorf("%+v, not %+v", p, want)
	}
	for _, bad := range []string{"", "x (a) S 1", "1 (a", strings.Replace(statLine, "150", "x", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestUsageCountsTheWholeFamily(t *testing.T) {
	all := []process{
		{pid: 3, parent: 2, cpu: time.Second, resident: 1}, // a grandchild, listed first
		{pid: 1, parent: 0, cpu: time.Minute, resident: 100},
		{pid: 2, parent: 9, cpu: 2 * time.Second, resident: 2},
		{pid: 4, parent: 1, cpu: time.Minute, resident: 100},
	}
	sum, found := sumOf(2, all)
	if !found || sum.CPU != 3*time.Second || sum.Memory != 3*int64(os.Getpagesize()) {
		t.Errorf("%+v, %v", sum, found)
	}
	if _, found := sumOf(99, all); found {
		t.Error("found who is not there")
	}
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
