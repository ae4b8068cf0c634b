//go:build unix

package solve

import "syscall"

// nonblock opens a pipe without waiting for who writes to it (open(2)): what is
// opened may be anything, put there by somebody else.
const nonblock = syscall.O_NONBLOCK
