package main

import (
	"os"
	"syscall"
	"testing"
)

// The memory comes from the system itself: of the runtime's, the race detector
// takes several times as much.
func TestMemoryIsWhatIsUsed(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil || before.Memory < 1<<20 || before.CPU < 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	block, err := syscall.Mmap(-1, 0, 64<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(block)
	for i := 0; i < len(block); i += os.Getpagesize() {
		block[i] = 1
	}
	after, err := usageOf(os.Getpid())
	if more := after.Memory - before.Memory; err != nil || more < 60<<20 || more > 80<<20 {
		t.Errorf("%d bytes more, %v", more, err)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that is not there uses something")
	}
}
