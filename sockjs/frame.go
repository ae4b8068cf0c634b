package sockjs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// The frames that a client accepts, SockJS 0.3.3 "Framing accepted by the
// client": o opens, h is a heartbeat, a carries messages, c closes.
const (
	openFrame      = "o"
	heartbeatFrame = "h"
)

// badBody is what is wrong with what a client sent, in the words of the
// protocol; it is the body of the answer, whose status is 500.
type badBody string

func (b badBody) Error() string { return string(b) }

const (
	errNoPayload  = badBody("Payload expected.")
	errBrokenJSON = badBody("Broken JSON encoding.")
)

// closing is why a session has ended, as its close frame tells the client.
type closing struct {
	code   int
	reason string
}

// The reasons that the protocol names.
func goAway() closing      { return closing{3000, "Go away!"} }
func stillOpen() closing   { return closing{2010, "Another connection still open"} }
func interrupted() closing { return closing{1002, "Connection interrupted"} }

// frame is the close frame: c[code,"reason"].
func (c closing) frame() string {
	b := append(make([]byte, 0, len(c.reason)+12), "c["...)
	b = strconv.AppendInt(b, int64(c.code), 10)
	b = append(b, ',')
	b = appendString(b, c.reason)
	return string(append(b, ']'))
}

// messageFrame is the frame that carries msgs: a["…","…"].
func messageFrame(msgs []string) string {
	size := 3
	for _, m := range msgs {
		size += len(m) + 3
	}
	b := append(make([]byte, 0, size), "a["...)
	for i, m := range msgs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, m)
	}
	return string(append(b, ']'))
}

const hexDigits = "0123456789abcdef"

// mangled reports whether r, outside ASCII, does not reach every browser as
// it was sent, so that it has to travel escaped (SockJS 0.3.3, "JSON Unicode
// Encoding", escapable_by_server).
func mangled(r rune) bool {
	switch {
	case r < 0x200c, r > 0xffff:
		return false
	case r <= 0x200f, r >= 0xfff0:
		return true
	}
	return r >= 0x2028 && r <= 0x202f || r >= 0x2060 && r <= 0x206f
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, for a browser closes a WebSocket that carries them.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0 // s[plain:i] goes as it is
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if r < ' ' || r == '"' || r == '\\' || mangled(r) {
			b = append(b, s[plain:i]...)
			b = appendEscape(b, r)
			plain = i + n
		}
		i += n
	}
	b = append(b, s[plain:]...)
	return append(b, '"')
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u',
		hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendScript appends a frame as a JavaScript string that may stand inside
// a <script> element: what could end the element, or open a comment, is
// escaped. The frame is the output of this file, so it holds no control
// character and none of the line ends that only JavaScript knows.
func appendScript(b []byte, frame string) []byte {
	b = append(b, '"')
	for i := 0; i < len(frame); i++ {
		switch c := frame[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '<', '>', '&':
			b = appendEscape(b, rune(c))
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// decodeMessages reads the body of an xhr_send or jsonp_send request: a JSON
// array of strings. A surrogate without its other half, which JavaScript
// allows and UTF-8 does not, becomes U+FFFD. The errors are errNoPayload (no
// body, or JSON that is no array) and errBrokenJSON.
func decodeMessages(body []byte) ([]string, error) {
	if len(body) == 0 {
		return nil, errNoPayload
	}
	if !json.Valid(body) {
		return nil, errBrokenJSON
	}
	if bytes.TrimLeft(body, " \t\r\n")[0] != '[' {
		return nil, errNoPayload
	}
	var items []*string // pointers: null is no string
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, errBrokenJSON
	}
	msgs := make([]string, len(items))
	for i, item := range items {
		if item == nil {
			return nil, errBrokenJSON
		}
		msgs[i] = *item
	}
	return msgs, nil
}

// decodeFrame reads what a client sends in one WebSocket message: an array
// of strings or a lone string, both in JSON. An empty message holds nothing.
func decodeFrame(data string) ([]string, error) {
	if data == "" {
		return nil, nil
	}
	if data[0] != '"' {
		return decodeMessages([]byte(data))
	}
	var msg string
	if err := json.Unmarshal([]byte(data), &msg); err != nil {
		return nil, errBrokenJSON
	}
	return []string{msg}, nil
}
