package main

import "testing"

func TestMemoryIsTidiedWhenItIsCalm(t *testing.T) {
	const mib = 1 << 20
	start := heap{allocated: 100 * mib, live: 20 * mib, spare: 5 * mib}
	for name, c := range map[string]struct {
		tidied, before, now heap
		want                bool
	}{
		"nothing happened":           {start, start, start, false},
		"a crowd is coming":          {start, heap{allocated: 150 * mib}, heap{allocated: 190 * mib, live: 20 * mib, spare: 60 * mib}, false},
		"a crowd has come":           {start, heap{allocated: 190 * mib}, heap{allocated: 191 * mib, live: 20 * mib, spare: 60 * mib}, true},
		"it was tidied since":        {heap{allocated: 190 * mib}, heap{allocated: 191 * mib}, heap{allocated: 192 * mib, live: 20 * mib, spare: 60 * mib}, false},
		"little is left behind":      {start, heap{allocated: 190 * mib}, heap{allocated: 190 * mib, live: 20 * mib, spare: 10 * mib}, false},
		"little, for a large crowd":  {start, heap{allocated: 900 * mib}, heap{allocated: 900 * mib, live: 400 * mib, spare: 60 * mib}, false},
		"much, even for a large one": {start, heap{allocated: 900 * mib}, heap{allocated: 900 * mib, live: 400 * mib, spare: 160 * mib}, true},
	} {
		if got := worthTidying(c.tidied, c.before, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is read has to be what it is taken for.
func TestHeapIsRead(t *testing.T) {
	samples := heapSamples()
	before := readHeap(samples)
	kept := make([]byte, 32<<20)
	now := readHeap(samples)
	if grown := now.allocated - before.allocated; grown < uint64(len(kept)) || now.live == 0 && now.spare == 0 {
		t.Errorf("before %+v, now %+v", before, now)
	}
	kept[0] = 1
}
