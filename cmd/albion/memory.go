package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// heap is what of the program's memory concerns tidy, in bytes.
type heap struct {
	allocated uint64 // ever
	live      uint64 // as of the last collection
	spare     uint64 // garbage since then, and free memory that the system has not got back
}

// What is worth tidying up. A collection costs a few milliseconds of processor
// time for each hundred thousand connections.
const (
	spareBytes = 16 << 20
	busyBytes  = 4 << 20 // allocated in a second: not the moment
)

// worthTidying says that the program has calmed down, a second after before, and
// holds much that it does not need. tidied is how it was after the last time.
//
// The handshakes of a crowd leave garbage of several times the size of the
// connections behind. Go collects when the heap has doubled, which calm
// connections never bring about: they allocate nothing.
func worthTidying(tidied, before, now heap) bool {
	return now.allocated-before.allocated < busyBytes &&
		now.allocated-tidied.allocated > spareBytes &&
		now.spare > max(spareBytes, now.live/4)
}

// tidy gives memory back to the system when nobody needs it, until ctx ends.
func tidy(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	samples := heapSamples()
	tidied := readHeap(samples)
	before := tidied
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
		}
		now := readHeap(samples)
		if worthTidying(tidied, before, now) {
			runtime.GC() // what pools keep goes with the second collection only
			debug.FreeOSMemory()
			now = readHeap(samples)
			tidied = now
		}
		before = now
	}
}

func heapSamples() []metrics.Sample {
	return []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
}

func readHeap(s []metrics.Sample) heap {
	metrics.Read(s)
	h := heap{allocated: s[0].Value.Uint64(), live: s[1].Value.Uint64()}
	objects, free := s[2].Value.Uint64(), s[3].Value.Uint64()
	h.spare = free + objects - min(objects, h.live)
	return h
}
