package h1

import (
	"strconv"

	"github.com/albion-lb/albion/internal/wire"
)

// AppendRequestLine appends "GET /x HTTP/1.1" and a line end. Method and target
// have to be ones that ReadRequest would accept.
func AppendRequestLine(dst, method, target []byte) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	return append(dst, " HTTP/1.1\r\n"...)
}

// AppendStatusLine appends "HTTP/1.1 200 OK" and a line end. A nil reason means
// StatusText's. A status that does not have three digits is written as 500.
func AppendStatusLine(dst []byte, status int, reason []byte) []byte {
	if status < 100 || status > 999 {
		status, reason = 500, nil
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10), ' ')
	if reason == nil {
		dst = append(dst, StatusText(status)...)
	} else {
		dst = appendValue(dst, reason)
	}
	return append(dst, '\r', '\n')
}

// AppendField appends one field line. The name has to be a token. A control
// character in the value becomes a space (RFC 9110 §5.5), so that no value can
// end its line.
func AppendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = appendValue(dst, value)
	return append(dst, '\r', '\n')
}

func appendValue(dst, value []byte) []byte {
	for {
		end := valueEnd(value, 0)
		dst = append(dst, value[:end]...)
		if end == len(value) {
			return dst
		}
		dst = append(dst, ' ')
		value = value[end+1:]
	}
}

// AppendContentLength appends a Content-Length field.
func AppendContentLength(dst []byte, length int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, length, 10)
	return append(dst, '\r', '\n')
}

// AppendTarget appends path and query in origin-form; a nil query has no "?".
func AppendTarget(dst, path, query []byte) []byte {
	dst = append(dst, path...)
	if query == nil {
		return dst
	}
	dst = append(dst, '?')
	return append(dst, query...)
}

// AppendChunk appends payload as one chunk. An empty payload appends nothing,
// for an empty chunk would end the body.
func AppendChunk(dst []byte, payload []byte) []byte {
	if len(payload) == 0 {
		return dst
	}
	dst = AppendChunkHead(dst, len(payload))
	dst = append(dst, payload...)
	return append(dst, '\r', '\n')
}

// AppendChunkHead appends the line before the data of a chunk of size bytes, at
// least one; the caller writes the data and a CRLF behind it.
func AppendChunkHead(dst []byte, size int) []byte {
	dst = strconv.AppendInt(dst, int64(size), 16)
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the end of a chunked body, with those trailers that
// are not Hop.
func AppendLastChunk(dst []byte, trailers []wire.Field) []byte {
	dst = append(dst, '0', '\r', '\n')
	for i := range trailers {
		if !trailers[i].Hop {
			dst = AppendField(dst, trailers[i].Name, trailers[i].Value)
		}
	}
	return append(dst, '\r', '\n')
}
