//go:build !linux

package dns

import "syscall"

// rememberDestination does nothing: here the system chooses from which of its
// addresses an answer comes. Where it chooses wrongly, listen at each address.
func rememberDestination(_, _ string, _ syscall.RawConn) error { return nil }

func fromDestination([]byte) []byte { return nil }
