package sockjstest

import (
	"crypto/md5"  //nolint:gosec // what Hixie-76 asks for
	"crypto/sha1" //nolint:gosec // what RFC 6455 asks for
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

func webSocketErrorCases() []testCase {
	const path = echoPath + "/0/0/websocket"
	return []testCase{
		{"WebSocketErrors/needs an upgrade", func(p *probe) {
			p.says(p.get(path), 400, `Can "Upgrade" only to "WebSocket".`)
		}},
		{"WebSocketErrors/needs the connection header", func(p *probe) {
			// What it says depends on whether a balancer passes Upgrade on.
			p.says(p.get(path, "Upgrade: WebSocket", "Connection: close"), 400, `"Upgrade"`)
		}},
		{"WebSocketErrors/takes GET alone", func(p *probe) {
			p.refusesMethod(p.post(path, "", "Upgrade: WebSocket", "Connection: Upgrade"))
			p.refusesMethod(p.post(path, ""))
		}},
	}
}

// errClosing says that the peer closes with a frame for that.
var errClosing = errors.New("closing frame")

// peer is the client's end of a WebSocket.
type peer struct {
	w     *wire
	write func(text string)
	next  func() (string, error)
}

func (c *peer) expect(want string) {
	c.w.p.t.Helper()
	got, err := c.next()
	if err != nil || got != want {
		c.w.p.t.Fatalf("message %.200q, %v; want %.200q", got, err, want)
	}
}

// closes checks that nothing comes but the end.
func (c *peer) closes() {
	c.w.p.t.Helper()
	if got, err := c.next(); err == nil {
		c.w.p.t.Fatalf("message %.200q; want the end of the connection", got)
	} else if netErr := interface{ Timeout() bool }(nil); errors.As(err, &netErr) && netErr.Timeout() {
		c.w.p.t.Fatal("the connection stays open; want its end")
	}
}

// The keys of the example in draft-hixie-thewebsocketprotocol-76 §1.2, and
// the numbers that it says they hide.
const (
	hixieKey1, hixieNumber1 = "4 @1  46546xW%0l 1 5", 829309203
	hixieKey2, hixieNumber2 = "12998 5 Y3 1  .P00", 259970620
)

// hixieHandshake asks for a Hixie-76 WebSocket and checks both halves of the
// answer; the client's token follows the first half.
func hixieHandshake(p *probe, path, token string) *wire {
	p.t.Helper()
	address := p.url.Host + p.url.Path + path
	origin := p.url.Scheme + "://" + p.url.Host
	w := p.dial()
	w.ask("GET", path, "1.1", "", header{
		"Connection: Upgrade",
		"Upgrade: WebSocket",
		"Origin: " + origin,
		"Sec-WebSocket-Key1: " + hixieKey1,
		"Sec-WebSocket-Key2: " + hixieKey2,
	})
	a := w.mustHead()
	p.status(a, 101)
	p.equal("Connection", strings.ToLower(a.get("Connection")), "upgrade")
	p.equal("Upgrade", strings.ToLower(a.get("Upgrade")), "websocket")
	p.equal("Sec-WebSocket-Location", a.get("Sec-WebSocket-Location"),
		strings.Replace(p.url.Scheme, "http", "ws", 1)+"://"+address)
	p.equal("Sec-WebSocket-Origin", a.get("Sec-WebSocket-Origin"), origin)
	p.absent(a, "Content-Length")

	w.write(token)
	challenge := binary.BigEndian.AppendUint32(nil, hixieNumber1)
	challenge = binary.BigEndian.AppendUint32(challenge, hixieNumber2)
	sum := md5.Sum(append(challenge, token...)) //nolint:gosec // as above
	w.expectWire(string(sum[:]))
	return w
}

func dialHixie(p *probe, path string) *peer {
	p.t.Helper()
	w := hixieHandshake(p, path, "^n:ds[4U")
	return &peer{
		w:     w,
		write: func(text string) { w.write("\x00" + text + "\xff") },
		next: func() (string, error) {
			kind, err := w.in.ReadByte()
			if err != nil {
				return "", err
			}
			text, err := w.in.ReadString(0xff)
			if kind == 0xff {
				return "", errClosing
			}
			return strings.TrimSuffix(text, "\xff"), err
		},
	}
}

func hixieCases() []testCase {
	return []testCase{
		{"Hixie76/carries messages", func(p *probe) {
			c := dialHixie(p, session(echoPath)+"/websocket")
			c.expect("o")
			c.write(`["a"]`)
			c.expect(`a["a"]`)
		}},
		{"Hixie76/closes after the close frame", func(p *probe) {
			c := dialHixie(p, session(closePath)+"/websocket")
			c.expect("o")
			c.expect(goAway)
			c.closes()
		}},
		{"Hixie76/ignores empty messages", func(p *probe) {
			c := dialHixie(p, session(echoPath)+"/websocket")
			c.expect("o")
			c.write("")
			c.write(`["a"]`)
			c.expect(`a["a"]`)
		}},
		{"Hixie76/an address can be used twice", hixieReuse},
		{"Hixie76/answers before the token has come", func(p *probe) {
			hixieHandshake(p, session(echoPath)+"/websocket", "aaaaaaaa")
		}},
		{"Hixie76/broken JSON ends the connection", func(p *probe) {
			c := dialHixie(p, session(echoPath)+"/websocket")
			c.expect("o")
			c.write(`["a`)
			c.closes()
		}},
	}
}

func hixieReuse(p *probe) {
	path := session(echoPath) + "/websocket"
	c1 := dialHixie(p, path)
	c1.expect("o")
	c2 := dialHixie(p, path)
	c2.expect("o")
	c1.write(`["a"]`)
	c1.expect(`a["a"]`)
	c2.write(`["b"]`)
	c2.expect(`a["b"]`)
	c1.w.cut()
	c2.w.cut()

	c := dialHixie(p, path)
	c.expect("o")
	c.write(`["a"]`)
	c.expect(`a["a"]`)
}

// upgrade makes the handshake of RFC 6455 §4, in any of its versions.
func upgrade(p *probe, path, version, connection string) *wire {
	p.t.Helper()
	const key = "x3JJHMbDL1EzLkh9GBhXDw=="
	w := p.dial()
	w.ask("GET", path, "1.1", "", header{
		"Upgrade: websocket",
		"Connection: " + connection,
		"Sec-WebSocket-Version: " + version,
		"Sec-WebSocket-Origin: http://asd",
		"Sec-WebSocket-Key: " + key,
	})
	a := w.mustHead()
	p.status(a, 101)
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	p.equal("Sec-WebSocket-Accept", a.get("Sec-WebSocket-Accept"), base64.StdEncoding.EncodeToString(sum[:]))
	p.equal("Connection", strings.ToLower(a.get("Connection")), "upgrade")
	p.equal("Upgrade", strings.ToLower(a.get("Upgrade")), "websocket")
	p.absent(a, "Content-Length")
	return w
}

func dialHybi(p *probe, path, version string) *peer {
	p.t.Helper()
	w := upgrade(p, path, version, "Upgrade")
	return &peer{
		w:     w,
		write: func(text string) { w.write(string(hybiFrame(text))) },
		next:  func() (string, error) { return nextHybi(w.in) },
	}
}

// hybiFrame is a text frame of RFC 6455 §5.2, masked as a client's has to be.
func hybiFrame(text string) []byte {
	const final, textFrame, masked = 0x80, 1, 0x80
	b := []byte{final | textFrame}
	if n := len(text); n < 126 {
		b = append(b, masked|byte(n))
	} else {
		b = append(b, masked|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i := range len(text) {
		b = append(b, text[i]^mask[i%4])
	}
	return b
}

// nextHybi reads a server's frame, which has to be whole and unmasked.
func nextHybi(in io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", err
	}
	n := uint64(head[1])
	switch n {
	case 126, 127:
		long := make([]byte, 2+6*(n-126))
		if _, err := io.ReadFull(in, long); err != nil {
			return "", err
		}
		n = 0
		for _, b := range long {
			n = n<<8 | uint64(b)
		}
	}
	if n > 1<<20 {
		return "", errors.New("frame is masked or too long")
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(in, payload); err != nil {
		return "", err
	}
	switch head[0] {
	case 0x81:
		return string(payload), nil
	case 0x88:
		return "", errClosing
	}
	return "", errors.New("neither a text nor a closing frame")
}

func hybiCases() []testCase {
	return []testCase{
		{"Hybi10/carries messages, ignores empty ones", func(p *probe) {
			c := dialHybi(p, session(echoPath)+"/websocket", "13")
			c.expect("o")
			c.write("")
			c.write(`["a"]`)
			c.expect(`a["a"]`)
		}},
		{"Hybi10/closes after the close frame", func(p *probe) {
			c := dialHybi(p, session(closePath)+"/websocket", "13")
			c.expect("o")
			c.expect(goAway)
			c.closes()
		}},
		{"Hybi10/three versions of the handshake", func(p *probe) {
			for _, version := range []string{"7", "8", "13"} {
				dialHybi(p, session(echoPath)+"/websocket", version).expect("o")
			}
		}},
		{"Hybi10/broken JSON ends the connection", func(p *probe) {
			c := dialHybi(p, session(echoPath)+"/websocket", "13")
			c.expect("o")
			c.write(`["a`)
			c.closes()
		}},
		{"Hybi10/Firefox 6 says keep-alive too", func(p *probe) {
			upgrade(p, session(echoPath)+"/websocket", "7", "keep-alive, Upgrade")
		}},
	}
}

func rawWebSocketCases() []testCase {
	return []testCase{
		{"RawWebSocket/carries messages as they are", func(p *probe) {
			c := dialHybi(p, echoPath+"/websocket", "13")
			c.write("Hello world!\uffff")
			c.expect("Hello world!\uffff")
		}},
		{"RawWebSocket/closes", func(p *probe) {
			dialHybi(p, closePath+"/websocket", "13").closes()
		}},
	}
}
