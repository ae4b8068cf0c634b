package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
)

// secretPort is what a target is told in X-Forwarded-Port. No input guesses it,
// so a request without it is one that the balancer does not know of.
const secretPort = 48121

// Whatever a client sends, a target sees no request that did not pass the rules.
func FuzzRequestsAreNotSmuggled(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n5\r\nGET /\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"\r\n\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-Port, Content-Length\r\nContent-Length: 30\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 4\r\nContent-Length: 0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\x0b HTTP/1.1\nHost: a\n\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT http://b/?x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		handshake + "early",
	} {
		f.Add([]byte(seed))
	}
	var smuggled atomic.Pointer[string]
	target := web(f, func(w http.ResponseWriter, r *http.Request) {
		if ports := r.Header.Values("X-Forwarded-Port"); len(ports) != 1 || ports[0] != "48121" || len(r.Header.Values("X-Amzn-Trace-Id")) != 1 {
			what := r.Method + " " + r.RequestURI
			smuggled.Store(&what)
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	})
	b := newBalancer(f, func(v *proxy.View) { v.Port, v.Log = secretPort, nil }, target)
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := b.connect(t)
		defer c.Close()
		var writing sync.WaitGroup
		writing.Go(func() {
			c.Write(sent)
			c.CloseWrite()
		})
		io.Copy(io.Discard, c)
		writing.Wait()
		if what := smuggled.Swap(nil); what != nil {
			t.Errorf("the target saw %q, which came past the balancer", *what)
		}
	})
}

// Whatever a target answers, it answers one request: the client's next one is
// answered by whom it asked.
func FuzzAnswersAreNotSplit(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.0 304 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\rX: y\r\nX : z\r\nSet-Cookie: a=\x01\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 O\x00K\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2;x\r\nok\r\n0\r\nContent-Length: 3\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	var answer atomic.Pointer[[]byte]
	target := raw(f, func(conn net.Conn) {
		if _, err := readHead(conn); err == nil {
			conn.Write(*answer.Load())
		}
	})
	own, err := route.Compile(albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: groupARN, Weight: 1}}}}, []*albion.Rule{{
		Priority: 1, Conditions: []albion.Condition{{Field: albion.PathPattern, Values: []string{"/own"}}},
		Action: albion.Action{Fixed: &albion.FixedResponse{Status: 200, Body: "the next answer"}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	b := newBalancer(f, func(v *proxy.View) { v.Routes, v.Log = own, nil }, target)
	f.Fuzz(func(t *testing.T, sent []byte) {
		answer.Store(&sent)
		c := b.connect(t)
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		r := bufio.NewReader(c)
		for final := false; !final; {
			first, err := http.ReadResponse(r, nil)
			if err != nil {
				return // broken off, and seen to be
			}
			if _, err := io.Copy(io.Discard, first.Body); err != nil || first.Close {
				return
			}
			final = first.StatusCode >= 200
		}
		second, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		if body, _ := io.ReadAll(second.Body); string(body) != "the next answer" {
			t.Errorf("after %q the next answer is %d %q", sent, second.StatusCode, body)
		}
	})
}

// connect is dial for one of many inputs to one balancer.
func (b *balancer) connect(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	tcp := conn.(*net.TCPConn)
	tcp.SetLinger(0) // or a fuzzer would run out of ports
	return tcp
}
