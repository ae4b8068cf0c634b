package park

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are read(2) and write(2) of a descriptor that does not
// block. Package syscall tells the runtime of every call, in case it takes long;
// then a processor's work is given to another thread, and taken back. These take
// as long as copying the bytes does: not telling saves a tenth of the processor
// time of a small request.
func readNow(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if err == 0 {
			return int(n), 0
		}
		if err != syscall.EINTR {
			return 0, err
		}
	}
}

func writeNow(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if err == 0 {
			return int(n), 0
		}
		if err != syscall.EINTR {
			return 0, err
		}
	}
}
