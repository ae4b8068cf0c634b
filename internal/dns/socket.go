package dns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// socket is one place to listen at, over UDP and TCP: both, or neither.
type socket struct {
	server  *Server
	at      netip.AddrPort // the zero address stands for all of them
	udp     *net.UDPConn
	tcp     net.Listener
	closed  chan struct{}
	problem error // why it is not open
}

func place(at netip.AddrPort) string {
	if !at.Addr().IsValid() {
		return ":" + strconv.Itoa(int(at.Port()))
	}
	return at.String()
}

// open opens what is not open yet. The caller holds Server.mu.
func (k *socket) open() {
	if k.udp != nil {
		return
	}
	before, log := k.problem, k.server.cfg.Log
	k.problem = k.listen()
	switch {
	case k.problem == nil && before != nil:
		log.Info("name server serves again", "address", place(k.at))
	case k.problem != nil && (before == nil || before.Error() != k.problem.Error()):
		log.Error("name server cannot serve", "address", place(k.at), "problem", k.problem.Error())
	}
	if k.problem != nil {
		return
	}
	k.closed = make(chan struct{})
	udp, tcp, closed := k.udp, k.tcp, k.closed
	for range readers {
		k.server.tasks.Go(func() { k.server.serveUDP(udp, !k.at.Addr().IsValid() || k.at.Addr().IsUnspecified(), closed) })
	}
	k.server.tasks.Go(func() { k.server.serveTCP(tcp, closed) })
}

// readers is how many goroutines read one UDP socket: answering is quick, and
// none waits for another machine.
const readers = 2

func (k *socket) listen() error {
	all := !k.at.Addr().IsValid() || k.at.Addr().IsUnspecified()
	udpConfig := net.ListenConfig{}
	if all {
		udpConfig.Control = rememberDestination
	}
	packets, err := udpConfig.ListenPacket(context.Background(), "udp", place(k.at))
	if err != nil {
		return explain(k.at, "UDP", err)
	}
	var tcpConfig net.ListenConfig
	stream, err := tcpConfig.Listen(context.Background(), "tcp", place(k.at))
	if err != nil {
		packets.Close()
		return explain(k.at, "TCP", err)
	}
	udp, ok := packets.(*net.UDPConn)
	if !ok {
		packets.Close()
		stream.Close()
		return fmt.Errorf("%s is no UDP socket", place(k.at))
	}
	// Bursts wait here while the readers are busy; the system may give less.
	_ = udp.SetReadBuffer(1 << 20)
	k.udp, k.tcp = udp, stream
	return nil
}

func (k *socket) close() {
	if k.udp == nil {
		return
	}
	close(k.closed)
	k.udp.Close()
	k.tcp.Close()
	k.udp, k.tcp = nil, nil
}

// explain says what to do about a socket that cannot be opened.
func explain(at netip.AddrPort, network string, err error) error {
	where := fmt.Sprintf("%s port %d", network, at.Port())
	if at.Addr().IsValid() {
		where = network + " address " + at.String()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && at.Port() == 53:
		return fmt.Errorf("%s is in use by another program, often the system's own resolver: listen on the public address alone, such as \"192.0.2.1:53\", or stop the other one (`ss -lunp 'sport = :53'` shows which it is, as root)", where)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program: stop it (`ss -lntup 'sport = :%d'` shows which one, as root) or choose another port", where, at.Port())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened by this user: run as root, allow it with `setcap cap_net_bind_service=+ep` on the albion binary, or choose a port above 1023", where)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: see `ip addr`", where)
	}
	return fmt.Errorf("%s cannot be opened: %w", where, err)
}

// serveUDP answers datagrams until the socket is closed. With all it remembers
// to which address each one came, so that the answer comes from there.
func (s *Server) serveUDP(udp *net.UDPConn, all bool, closed <-chan struct{}) {
	in, out, control := make([]byte, maxTCP), make([]byte, maxTCP), make([]byte, 128)
	if !all {
		control = nil
	}
	pause := time.Duration(0)
	for {
		n, c, _, client, err := udp.ReadMsgUDPAddrPort(in, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Such as an ICMP error about an earlier answer.
			pause = min(max(2*pause, time.Millisecond), time.Second)
			if !rest(pause, closed) {
				return
			}
			continue
		}
		pause = 0
		if client.Port() == 0 {
			continue
		}
		if answer := s.answer(in[:n], out, client.Addr(), false); answer != nil {
			// Who cannot be reached asks again, or does not.
			_, _, _ = udp.WriteMsgUDPAddrPort(answer, fromDestination(control[:c]), client)
		}
	}
}

// rest waits, unless the socket closes.
func rest(pause time.Duration, closed <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closed:
		return false
	}
}
