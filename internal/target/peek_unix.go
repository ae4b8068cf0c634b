//go:build unix

package target

import (
	"errors"
	"syscall"
)

// canPeek: whether this system lets us look at a socket without reading it.
const canPeek = true

// peek says whether the peer of a non-blocking socket is silent: no data, no
// end, no error. recv(2), MSG_PEEK.
func peek(fd uintptr) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
}
