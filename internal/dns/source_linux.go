package dns

import (
	"encoding/binary"
	"syscall"
)

// rememberDestination makes the system tell with each datagram to which of the
// machine's addresses it was sent: an answer from another one is thrown away by
// who asked.
func rememberDestination(network, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		// A socket for both families tells of both by the option of IPv6.
		if network == "udp4" {
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
			return
		}
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

// Sizes of a control message: ip(7), ipv6(7), cmsg(3).
const (
	inet4Info = 12 // interface, local address, destination
	inet6Info = 20 // destination, interface
)

// fromDestination turns what was told about a datagram into what makes the
// answer come from the address that it was sent to. By which interface it goes is
// for the routes to say.
func fromDestination(control []byte) []byte {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_PKTINFO && len(m.Data) >= inet4Info:
			binary.NativeEndian.PutUint32(m.Data, 0)
		case m.Header.Level == syscall.IPPROTO_IPV6 && m.Header.Type == syscall.IPV6_PKTINFO && len(m.Data) >= inet6Info:
			// A link's own address means nothing without the link.
			if m.Data[0] != 0xfe || m.Data[1]&0xc0 != 0x80 {
				binary.NativeEndian.PutUint32(m.Data[16:], 0)
			}
		default:
			continue
		}
		return control
	}
	return nil
}
