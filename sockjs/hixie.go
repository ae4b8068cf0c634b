package sockjs

import (
	"bufio"
	"context"
	"crypto/md5" //nolint:gosec // what the protocol asks for; it protects nothing
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// hixie is a socket of draft-hixie-thewebsocketprotocol-76, of Chrome 6 and
// Safari 5: text between the bytes 0x00 and 0xFF. It knows neither ping nor
// close codes.
type hixie struct {
	conn net.Conn
	in   *bufio.Reader
	max  int // bytes of one message
}

const (
	hixieStart = 0x00
	hixieEnd   = 0xff
)

// goodbyeTimeout is how long the client may take to hang up after the closing
// handshake.
const goodbyeTimeout = 5 * time.Second

var errHixie = errors.New("sockjs: broken Hixie-76 frame")

// upgradeHixie makes the handshake of §1.3. The headers go out before the
// last 8 bytes of the client come in: HAProxy, for one, passes those on only
// when it has seen the answer (SockJS 0.3.3, "WebSocket protocols").
func upgradeHixie(w http.ResponseWriter, r *http.Request, maxMessage int) socket {
	key1, ok1 := hixieKey(r.Header.Get("Sec-WebSocket-Key1"))
	key2, ok2 := hixieKey(r.Header.Get("Sec-WebSocket-Key2"))
	if !ok1 || !ok2 {
		http.Error(w, "Broken WebSocket key.", http.StatusBadRequest)
		return nil
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "No WebSocket on this connection.", http.StatusNotImplemented)
		return nil
	}
	c := &hixie{conn, buffered.Reader, maxMessage}
	if err := c.shake(hixieHead(r), key1, key2); err != nil {
		c.abort()
		return nil
	}
	return c
}

// hixieKey reads the number hidden in a key: its digits, divided by the
// number of its spaces (§5.2, steps 4 to 8).
func hixieKey(key string) (uint32, bool) {
	var number, spaces uint64
	for _, c := range []byte(key) {
		switch {
		case c == ' ':
			spaces++
		case '0' <= c && c <= '9':
			if number = number*10 + uint64(c-'0'); number > 1<<32-1 {
				return 0, false
			}
		}
	}
	if spaces == 0 || number%spaces != 0 {
		return 0, false
	}
	return uint32(number / spaces), true
}

// hixieHead is the head of the answer. The client compares the location with
// the address that it asked for, so a balancer that ends TLS has to be
// believed here; whoever lies cheats nobody else.
func hixieHead(r *http.Request) string {
	scheme := "ws"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "wss"
	}
	head := "HTTP/1.1 101 WebSocket Protocol Handshake\r\n" +
		"Upgrade: WebSocket\r\n" +
		"Connection: Upgrade\r\n" +
		fmt.Sprintf("Sec-WebSocket-Location: %s://%s%s\r\n", scheme, r.Host, r.RequestURI)
	if origin := r.Header.Get("Origin"); origin != "" {
		head += "Sec-WebSocket-Origin: " + origin + "\r\n"
	}
	return head + "\r\n"
}

func (c *hixie) shake(head string, key1, key2 uint32) error {
	if err := c.conn.SetDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, head); err != nil {
		return err
	}
	var challenge [16]byte
	binary.BigEndian.PutUint32(challenge[0:], key1)
	binary.BigEndian.PutUint32(challenge[4:], key2)
	if _, err := io.ReadFull(c.in, challenge[8:]); err != nil {
		return err
	}
	response := md5.Sum(challenge[:]) //nolint:gosec // §5.2, step 12
	if _, err := c.conn.Write(response[:]); err != nil {
		return err
	}
	return c.conn.SetDeadline(time.Time{})
}

func (c *hixie) read() (string, error) { return readHixie(c.in, c.max) }

// readHixie reads one frame of §5.3. Frames with a length, which no client
// sends but to close, and texts of more than limit bytes are errors.
func readHixie(in *bufio.Reader, limit int) (string, error) {
	kind, err := in.ReadByte()
	if err != nil {
		return "", err
	}
	if kind == hixieEnd {
		return "", io.EOF // the closing handshake
	}
	if kind != hixieStart {
		return "", errHixie
	}
	var text []byte
	for {
		part, err := in.ReadSlice(hixieEnd)
		if len(text)+len(part) > limit+1 {
			return "", errHixie
		}
		text = append(text, part...)
		if err == nil {
			return strings.ToValidUTF8(string(text[:len(text)-1]), "\ufffd"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
}

func (c *hixie) write(ctx context.Context, msg string) error {
	return c.send(ctx, hixieFrame(msg))
}

// hixieFrame frames text, which has no byte 0xFF because it is UTF-8.
func hixieFrame(text string) []byte {
	b := append(make([]byte, 0, len(text)+2), hixieStart)
	b = append(b, text...)
	return append(b, hixieEnd)
}

func (c *hixie) send(ctx context.Context, b []byte) error {
	deadline, _ := ctx.Deadline()
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.abort)
	defer stop()
	_, err := c.conn.Write(b)
	return err
}

func (c *hixie) ping(context.Context) error { return nil }

// close sends the closing handshake of §5.3. The client has goodbyeTimeout
// to hang up: closing at once could destroy what is still on its way.
func (c *hixie) close(int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	err := c.send(ctx, []byte{hixieEnd, hixieStart})
	half, ok := c.conn.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil || c.conn.SetReadDeadline(time.Now().Add(goodbyeTimeout)) != nil {
		c.abort()
	}
}

func (c *hixie) abort() { _ = c.conn.Close() }
