package resolvetest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relay passes messages on to a named: that listens on the addresses of interfaces
// only, and a machine has one of them on its loopback.
type relay struct {
	to     string
	silent atomic.Bool
	live   sync.WaitGroup
	udp    net.PacketConn
	tcp    net.Listener
}

// newRelay listens on an address until the test ends.
func newRelay(t testing.TB, at, to string) *relay {
	t.Helper()
	r := &relay{to: to}
	var err error
	if r.udp, err = net.ListenPacket("udp", at); err != nil {
		t.Fatal(err)
	}
	if r.tcp, err = net.Listen("tcp", at); err != nil {
		t.Fatal(err)
	}
	r.live.Go(r.packets)
	r.live.Go(r.connections)
	t.Cleanup(func() {
		r.udp.Close()
		r.tcp.Close()
		r.live.Wait()
	})
	return r
}

func (r *relay) packets() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		if r.silent.Load() {
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		r.live.Go(func() { r.packet(query, from) })
	}
}

func (r *relay) packet(query []byte, from net.Addr) {
	conn, err := net.Dial("udp", r.to)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 1<<16)
	if _, err := conn.Write(query); err != nil {
		return
	}
	if n, err := conn.Read(buf); err == nil {
		r.udp.WriteTo(buf[:n], from)
	}
}

func (r *relay) connections() {
	for {
		conn, err := r.tcp.Accept()
		if err != nil {
			return
		}
		if r.silent.Load() {
			conn.Close()
			continue
		}
		r.live.Go(func() { r.connection(conn) })
	}
}

func (r *relay) connection(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	deadline := time.Now().Add(10 * time.Second)
	client.SetDeadline(deadline)
	server.SetDeadline(deadline)
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server)
		client.Close()
	})
	io.Copy(server, client)
	server.Close()
	back.Wait()
}
