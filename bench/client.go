package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// client is one connection of the load to a balancer.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	resumed bool
	out     []byte
	space   []byte
}

// dialer makes a job's connections.
type dialer struct {
	job      *job
	roots    *x509.CertPool
	deadline time.Time
}

// protocol is what a job speaks over TLS, as ALPN has it.
func (d *dialer) protocol() string {
	if d.job.Streams > 0 {
		return "h2"
	}
	return "http/1.1"
}

var errAnswer = errors.New("bench: not the answer that was expected")

// dial opens connection number i, for the server called name. All balancers are
// met on the same terms: TLS 1.3, X25519, AES-128-GCM, one protocol.
func (d *dialer) dial(ctx context.Context, i int, name string, sessions tls.ClientSessionCache) (*client, error) {
	// Many source addresses: one has some 28,000 ports, and a closed connection
	// keeps its port for a while.
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}, Timeout: 10 * time.Second}
	raw, err := from.DialContext(ctx, "tcp", d.job.Address)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(d.deadline)
	if !d.job.TLS {
		return &client{conn: raw, r: bufio.NewReaderSize(raw, readSize)}, nil
	}
	conn := tls.Client(raw, &tls.Config{
		RootCAs: d.roots, ServerName: name, NextProtos: []string{d.protocol()}, ClientSessionCache: sessions,
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	state := conn.ConnectionState()
	if got := state.NegotiatedProtocol; got != d.protocol() && (got != "" || d.job.Streams > 0) {
		raw.Close()
		return nil, fmt.Errorf("bench: %q was agreed on, and not %s", got, d.protocol())
	}
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		raw.Close()
		return nil, fmt.Errorf("bench: %s is not the cipher suite of this comparison", tls.CipherSuiteName(state.CipherSuite))
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, readSize), resumed: state.DidResume}, nil
}

// readSize is the buffer of a connection of the load, in bytes: large answers
// arrive in few reads, and thousands of connections stay small.
const readSize = 16 << 10

func (c *client) close() { c.conn.Close() }

// request is one request, written out.
type request struct {
	head   []byte
	upload int64
	answer int64 // bytes of the answer's body; -1: any
}

func (j *job) request(name, path string) request {
	method := "GET"
	if j.Upload > 0 {
		method = "POST"
	}
	head := method + " " + path + " HTTP/1.1\r\nHost: " + name + "\r\nUser-Agent: bench\r\nAccept: */*\r\n"
	if j.Upload > 0 {
		head += "Content-Type: application/octet-stream\r\nContent-Length: " + strconv.FormatInt(j.Upload, 10) + "\r\n"
	}
	return request{head: []byte(head + "\r\n"), upload: j.Upload, answer: j.Answer}
}

// roundTrip sends a request and reads the answer to its end.
func (c *client) roundTrip(q *request, block []byte) error {
	if _, err := c.conn.Write(q.head); err != nil {
		return err
	}
	for left := q.upload; left > 0; {
		n, err := c.conn.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	b, err := readHead(c.r)
	if err != nil {
		return err
	}
	h, err := parseAnswer(b)
	if err != nil {
		return err
	}
	if h.status != 200 || h.length < 0 || q.answer >= 0 && h.length != q.answer {
		return fmt.Errorf("%w: status %d, %d bytes", errAnswer, h.status, h.length)
	}
	c.r.Discard(len(b))
	if q.upload > 0 {
		return c.counted(int(h.length), q.upload)
	}
	_, err = c.r.Discard(int(h.length))
	return err
}

// counted reads the origin's word on how much it was sent.
func (c *client) counted(length int, want int64) error {
	if length > 20 {
		return errAnswer
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(c.r, text); err != nil {
		return err
	}
	if got, err := strconv.ParseInt(string(text), 10, 64); err != nil || got != want {
		return fmt.Errorf("%w: %q of %d bytes arrived", errAnswer, text, want)
	}
	return nil
}

// socketKey is the example of RFC 6455 §1.3: what it is does not matter here.
const socketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// upgrade opens a WebSocket.
func (c *client) upgrade(name string) error {
	_, err := io.WriteString(c.conn, "GET /socket HTTP/1.1\r\nHost: "+name+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+socketKey+"\r\n\r\n")
	if err != nil {
		return err
	}
	b, err := readHead(c.r)
	if err != nil {
		return err
	}
	h, err := parseAnswer(b)
	if err != nil {
		return err
	}
	if h.status != 101 || !h.socket {
		return fmt.Errorf("%w: status %d to an upgrade", errAnswer, h.status)
	}
	c.r.Discard(len(b))
	return nil
}

// echo sends a message and waits until it comes back.
func (c *client) echo(message []byte) error {
	c.out = appendFrame(c.out[:0], message, [4]byte{0x37, 0xfa, 0x21, 0x3d})
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	if c.space == nil {
		c.space = make([]byte, maxMessage)
	}
	back, err := readFrame(c.r, c.space)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, message) {
		return fmt.Errorf("%w: the echo differs", errAnswer)
	}
	return nil
}
