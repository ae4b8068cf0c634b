package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"strconv"
	"sync"
)

// origin is the server behind every balancer: as little work as can be, so that
// the balancer is what is measured.
//
//	GET  /bytes/N      N bytes
//	GET  anything      128 bytes
//	POST anything      how many bytes were sent, in decimal
//	GET  with Upgrade  a WebSocket that echoes
type origin struct {
	small []byte // a whole answer
	block []byte // what large answers are made of

	mu     sync.Mutex // guards conns
	conns  map[net.Conn]struct{}
	ending bool
}

// maxAnswer is the longest answer of the origin, in bytes.
const maxAnswer = 1 << 30

// runOrigin answers on ln until ctx ends, and returns when every connection is
// closed.
func runOrigin(ctx context.Context, ln net.Listener) error {
	o := &origin{block: bytes.Repeat([]byte("0123456789abcdef"), 4<<10), conns: map[net.Conn]struct{}{}}
	o.small = append(okHead(smallSize), o.block[:smallSize]...)
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { ln.Close(); o.end() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			o.end()
			wg.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		wg.Go(func() {
			if o.enter(conn) {
				o.serve(conn)
			}
			o.leave(conn)
		})
	}
}

// smallSize is the body of a small answer, in bytes.
const smallSize = 128

func (o *origin) enter(conn net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ending {
		o.conns[conn] = struct{}{}
	}
	return !o.ending
}

func (o *origin) leave(conn net.Conn) {
	conn.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, conn)
}

func (o *origin) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	for conn := range o.conns {
		conn.Close()
	}
}

func (o *origin) serve(conn net.Conn) {
	r := bufio.NewReaderSize(conn, maxHead)
	for {
		b, err := readHead(r)
		if err != nil {
			return
		}
		h, err := parseRequest(b)
		if err != nil || h.upload {
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		if h.socket {
			o.echo(conn, r, h, len(b))
			return
		}
		last := h.close
		if o.answer(conn, r, h, len(b)) != nil || last {
			return
		}
	}
}

// answer answers one request, whose head takes size bytes of r.
func (o *origin) answer(conn net.Conn, r *bufio.Reader, h head, size int) error {
	large, isLarge := bytes.CutPrefix(h.path, []byte("/bytes/"))
	posted := string(h.method) == "POST"
	var length int64
	if isLarge {
		var err error
		if length, err = strconv.ParseInt(string(large), 10, 64); err != nil || length < 0 || length > maxAnswer {
			return errHead
		}
	}
	r.Discard(size) // the head's views end here
	if h.length > 0 {
		n, err := io.CopyN(io.Discard, r, h.length)
		if err != nil {
			return err
		}
		h.length = n
	}
	var err error
	switch {
	case posted:
		text := strconv.AppendInt(nil, max(h.length, 0), 10)
		_, err = conn.Write(append(okHead(int64(len(text))), text...))
	case isLarge:
		err = o.write(conn, length)
	default:
		_, err = conn.Write(o.small)
	}
	return err
}

func (o *origin) write(conn net.Conn, length int64) error {
	out := net.Buffers{okHead(length), o.block[:min(length, int64(len(o.block)))]}
	length -= int64(len(out[1]))
	if _, err := out.WriteTo(conn); err != nil {
		return err
	}
	for length > 0 {
		n, err := conn.Write(o.block[:min(length, int64(len(o.block)))])
		if err != nil {
			return err
		}
		length -= int64(n)
	}
	return nil
}

// okHead is the head of an answer of that length.
func okHead(length int64) []byte {
	head := []byte("HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: ")
	head = strconv.AppendInt(head, length, 10)
	return append(head, "\r\n\r\n"...)
}

// socketGUID is what RFC 6455 §1.3 proves the handshake with.
const socketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

func socketAccept(key []byte) string {
	sum := sha1.Sum(append(bytes.Clone(key), socketGUID...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echo agrees to speak WebSocket and sends every message back.
func (o *origin) echo(conn net.Conn, r *bufio.Reader, h head, size int) {
	accept := socketAccept(h.key)
	r.Discard(size)
	_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accept+"\r\n\r\n")
	if err != nil {
		return
	}
	space, out := make([]byte, maxMessage), []byte(nil)
	for {
		message, err := readFrame(r, space)
		if err != nil {
			return
		}
		out = appendFrame(out[:0], message, [4]byte{})
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}
