package h1_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Requests put together from the pieces that attacks are made of: each is read
// the same way however it arrives, and what passes leaves as one request.
func TestRequestsOfOddPieces(t *testing.T) {
	methods := []string{"GET", "POST", "HEAD", "OPTIONS", "PUT", "get", "TRACE", "\r\nGET", " GET", "\nGET"}
	targets := []string{"/", "/a?b", "*", "http://o/p", "https://o:1?q", "/a b", "/a#b", "/\t", "/%zz", "//x", "/\xff", "http://u@o/", "?"}
	versions := []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/1.1 ", "http/1.1"}
	ends := []string{"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"}
	names := []string{
		"Content-Length", "content-length", "Transfer-Encoding", "Connection", "Host", "Upgrade", "Expect", "X", "Trailer",
		"Content_Length", "Transfer-Encoding ", " X", "X\x00", "", "Cookie", "TE", "Keep-Alive",
	}
	colons := []string{": ", ":", ": ", ":\t", " : ", ""}
	values := []string{
		"0", "5", "5, 5", "5,6", "+5", "chunked", "Chunked", "chunked ", "identity", "gzip, chunked", "chunked\x0b", "close",
		"keep-alive", "upgrade", "X, Cookie", "Content-Length", "h", "a:80", "100-continue", "websocket", "", "\x00", "\xff",
	}
	bodies := []string{"", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "5;x\r\nhello\r\n0\r\nY: z\r\n\r\n", "5\nhello\n0\n\n", hidden}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(of []string, what string) string { return rapid.SampledFrom(of).Draw(t, what) }
		var s strings.Builder
		s.WriteString(pick(methods, "method") + " " + pick(targets, "target") + " " + pick(versions, "version") + pick(ends, "end"))
		s.WriteString("Host: h" + pick(ends, "end"))
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			s.WriteString(pick(names, "name") + pick(colons, "colon") + pick(values, "value") + pick(ends, "end"))
		}
		s.WriteString(pick(ends, "end") + pick(bodies, "body"))
		src := []byte(s.String())
		checkRequest(t, src, nil)
		checkRequest(t, src, tight())
		checkForward(t, src)
	})
}
