package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
)

// head is what the origin needs to know of a request and the load of an answer.
type head struct {
	method []byte // of a request
	path   []byte
	status int   // of an answer
	length int64 // Content-Length in bytes; -1: none was given
	close  bool  // the connection ends afterwards
	upload bool  // the body is framed in another way than by a length
	key    []byte
	socket bool // Upgrade: websocket
}

var errHead = errors.New("bench: not a head of HTTP/1.1")

// maxHead is the size of the readers' buffers, and so the most that a head may
// take, in bytes.
const maxHead = 4 << 10

// readHead returns the bytes of the next head, its empty line included. They are
// a view that holds until the reader is used; the caller discards them.
func readHead(r *bufio.Reader) ([]byte, error) {
	for {
		seen, _ := r.Peek(r.Buffered())
		if end := bytes.Index(seen, []byte("\r\n\r\n")); end >= 0 {
			return seen[:end+4], nil
		}
		if len(seen) == r.Size() {
			return nil, errHead
		}
		if _, err := r.Peek(len(seen) + 1); err != nil {
			if len(seen) > 0 && errors.Is(err, io.EOF) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// parseRequest reads the head of a request. It trusts balancers more than
// balancers may trust clients: this is a yardstick, not a server.
func parseRequest(b []byte) (h head, err error) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	method, line, ok := bytes.Cut(line, []byte{' '})
	path, version, ok2 := bytes.Cut(line, []byte{' '})
	if !ok || !ok2 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return h, errHead
	}
	h = head{method: method, path: path, length: -1, close: string(version) == "HTTP/1.0"}
	return h, h.fields(rest)
}

// parseAnswer reads the head of an answer (RFC 9112 §4).
func parseAnswer(b []byte) (h head, err error) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return h, errHead
	}
	h = head{length: -1}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil || h.status < 100 {
		return h, errHead
	}
	return h, h.fields(rest)
}

func (h *head) fields(b []byte) error {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\r\n"))
		if len(line) == 0 {
			return nil
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			return errHead
		}
		if err := h.field(name, bytes.TrimSpace(value)); err != nil {
			return err
		}
	}
	return nil
}

func (h *head) field(name, value []byte) error {
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	switch {
	case is("Content-Length"):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return errHead
		}
		h.length = n
	case is("Transfer-Encoding"):
		h.upload = true
	case is("Connection"):
		h.close = h.close || bytes.EqualFold(value, []byte("close"))
	case is("Upgrade"):
		h.socket = bytes.EqualFold(value, []byte("websocket"))
	case is("Sec-WebSocket-Key"):
		h.key = value
	}
	return nil
}

// maxMessage is the largest WebSocket message that is echoed, in bytes.
const maxMessage = 1 << 10

var errFrame = errors.New("bench: not a WebSocket frame that is expected here")

// appendFrame appends a whole binary message as one frame (RFC 6455 §5.2), with
// a mask when it is not zero.
func appendFrame(dst, payload []byte, mask [4]byte) []byte {
	masked := byte(0)
	if mask != [4]byte{} {
		masked = 0x80
	}
	dst = append(dst, 0x82)
	if len(payload) < 126 {
		dst = append(dst, masked|byte(len(payload)))
	} else {
		dst = append(dst, masked|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)))
	}
	if masked != 0 {
		dst = append(dst, mask[:]...)
	}
	at := len(dst)
	dst = append(dst, payload...)
	unmask(dst[at:], mask)
	return dst
}

func unmask(b []byte, mask [4]byte) {
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// readFrame reads one frame into space, and returns its payload, unmasked. A
// closing frame is io.EOF.
func readFrame(r *bufio.Reader, space []byte) ([]byte, error) {
	var start [2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return nil, err
	}
	if start[0] == 0x88 {
		return nil, io.EOF
	}
	size := int(start[1] & 0x7f)
	if start[0]&0x8f < 0x81 || start[0]&0x8f > 0x82 || size == 127 {
		return nil, errFrame
	}
	if size == 126 {
		var more [2]byte
		if _, err := io.ReadFull(r, more[:]); err != nil {
			return nil, err
		}
		size = int(binary.BigEndian.Uint16(more[:]))
	}
	var mask [4]byte
	if start[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return nil, err
		}
	}
	if size > len(space) {
		return nil, errFrame
	}
	if _, err := io.ReadFull(r, space[:size]); err != nil {
		return nil, err
	}
	unmask(space[:size], mask)
	return space[:size], nil
}
