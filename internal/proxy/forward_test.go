package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
)

// echo answers with the request's head as the target saw it, and its body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s\nhost=%s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Amzn-Trace-Id", "Connection", "Te", "X-Hop", "X-End"} {
		for _, v := range r.Header.Values(name) {
			fmt.Fprintf(w, "%s=%s\n", name, v)
		}
	}
	fmt.Fprintf(w, "framing=%d %v\ntrailer=%v\nbody=%s\n", r.ContentLength, r.TransferEncoding, r.Trailer, body)
}

func TestTargetSeesTheRequestAndWhereItCameFrom(t *testing.T) {
	b := newBalancer(t, nil, web(t, echo))
	_, body := b.ask("GET http://Chat.test:80/a%20b?q=1 HTTP/1.1\r\nHost: other\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n" +
		"X-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\nTE: gzip\r\nX-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678;Self=1-x;CalledFrom=app\r\n\r\n")
	for _, want := range []string{
		"GET /a%20b?q=1 HTTP/1.1\n", "host=Chat.test\n", "X-Forwarded-For=192.0.2.1, 192.0.2.2, 127.0.0.1\n",
		"X-Forwarded-Proto=http\n", "X-Forwarded-Port=80\n", "X-End=2\n", "framing=0 []\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the target did not see %q in\n%s", want, body)
		}
	}
	for _, unwanted := range []string{"X-Hop=", "Te=", "Connection=", "gopher", "Self=1-x"} {
		if strings.Contains(body, unwanted) {
			t.Errorf("the target saw %q in\n%s", unwanted, body)
		}
	}
	trace := regexp.MustCompile(`X-Amzn-Trace-Id=Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-67891233-abcdef012345678912345678;CalledFrom=app\n`)
	if !trace.MatchString(body) {
		t.Errorf("the trace is not continued in\n%s", body)
	}
}

func TestClientsCannotClaimWhatOnlyTheBalancerKnows(t *testing.T) {
	seen := make(chan http.Header, 1)
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.TLSHeaders = true }, web(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	b.ask("GET / HTTP/1.1\r\nHost: a\r\nx-amzn-tls-version: TLSv1.3\r\nX-Amzn-Tls-Cipher-Suite: strong\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n\r\n")
	got := <-seen
	for name, want := range map[string]string{"X-Amzn-Tls-Version": "", "X-Amzn-Tls-Cipher-Suite": "", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80"} {
		if values := got.Values(name); strings.Join(values, "|") != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}
}

func TestHostGetsTheListenersPort(t *testing.T) {
	for _, c := range []struct {
		port     uint16
		preserve bool
		host     string
		want     string
	}{
		{80, false, "chat.test:80", "chat.test"},
		{443, false, "[::1]:443", "[::1]"},
		{8443, false, "chat.test", "chat.test:8443"},
		{8443, false, "chat.test:1", "chat.test:8443"},
		{8443, true, "chat.test:1", "chat.test:1"},
	} {
		b := newBalancer(t, func(v *proxy.View) { v.Port, v.Attributes.PreserveHost = c.port, c.preserve }, web(t, echo))
		if _, body := b.ask("GET / HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n"); !strings.Contains(body, "host="+c.want+"\n") {
			t.Errorf("port %d, preserve %v, %s: want %s in\n%s", c.port, c.preserve, c.host, c.want, body)
		}
	}
}

func TestBodiesArriveWhole(t *testing.T) {
	b := newBalancer(t, nil, web(t, echo))
	for name, text := range map[string]string{
		"sized":            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"repeated length":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"chunked":          "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		"length and chunk": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		if _, body := b.ask(text); !strings.Contains(body, "body=hello\n") {
			t.Errorf("%s: %s", name, body)
		}
	}
	_, body := b.ask("POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n")
	if !strings.Contains(body, "X-Sum:[9]") {
		t.Errorf("the trailer is lost in\n%s", body)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	b := newBalancer(t, nil, web(t, echo))
	c := b.dial()
	c.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"GET /1 ", "POST /2 ", "POST /3 ", "GET /4 "} {
		if _, body := c.answer("GET"); !strings.HasPrefix(body, want) {
			t.Fatalf("want %q, got %s", want, body)
		}
	}
	if rest := c.over(); rest != "" {
		t.Errorf("after the last answer came %q", rest)
	}
	b.endLog()
	for _, line := range b.lines() {
		if !strings.Contains(line, " 200 200 ") {
			t.Errorf("log line %s", line)
		}
	}
}

func TestLargeBodiesPassUnchangedBothWays(t *testing.T) {
	const size = 8 << 20
	sent := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(sent)
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	}))
	for _, chunked := range []bool{false, true} {
		var body io.Reader = bytes.NewReader(sent)
		if chunked {
			body = io.MultiReader(body)
		}
		transport := &http.Transport{DisableKeepAlives: true}
		request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+b.address+"/", body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		n, err := io.Copy(sum, answer.Body)
		answer.Body.Close()
		if want := sha256.Sum256(sent); err != nil || n != size || !bytes.Equal(sum.Sum(nil), want[:]) {
			t.Errorf("chunked %v: %d bytes came back, error %v", chunked, n, err)
		}
	}
}

func TestAnswersWithoutBodyKeepTheConnection(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
		}
	}))
	c := b.dial()
	for _, step := range []struct {
		method, path, body string
		status             int
		length             int64
	}{{"HEAD", "/", "", 200, 3}, {"GET", "/204", "", 204, 0}, {"GET", "/304", "", 304, 0}, {"GET", "/", "abc", 200, 3}} {
		c.say(step.method + " " + step.path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		answer, body := c.answer(step.method)
		if answer.StatusCode != step.status || body != step.body || max(answer.ContentLength, 0) != step.length {
			t.Errorf("%s %s: %d %q length %d", step.method, step.path, answer.StatusCode, body, answer.ContentLength)
		}
	}
}

func TestHTTP10ClientsGetWhatTheyUnderstand(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", "2")
			io.WriteString(w, "ok")
			return
		}
		w.(http.Flusher).Flush()
		io.WriteString(w, "streamed")
	}))
	c := b.dial()
	c.say("GET /sized HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if answer, body := c.answer("GET"); body != "ok" || answer.Header.Get("Connection") != "keep-alive" {
		t.Errorf("sized: %v %q", answer.Header, body)
	}
	c.say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	rest := c.over()
	if strings.Contains(strings.ToLower(rest), "transfer-encoding") || !strings.HasSuffix(rest, "\r\n\r\nstreamed") {
		t.Errorf("streamed: %q", rest)
	}
}

func TestContinueIsPassedOn(t *testing.T) {
	b := newBalancer(t, nil, web(t, echo))
	c := b.dial()
	c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	line, err := c.r.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q %v", line, err)
	}
	c.r.ReadString('\n')
	c.say("hi")
	if answer, body := c.answer("POST"); answer.StatusCode != 200 || !strings.Contains(body, "body=hi\n") {
		t.Errorf("got %d %s", answer.StatusCode, body)
	}
}

func TestEarlyAnswerReachesAClientThatStillSends(t *testing.T) {
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
	}))
	c := b.dial()
	c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 100_000))
	if answer, _ := c.answer("POST"); answer.StatusCode != 413 {
		t.Errorf("got %d", answer.StatusCode)
	}
}

func TestClientsAbortReachesTheTargetAtOnce(t *testing.T) {
	arrived, aborted := make(chan struct{}), make(chan struct{})
	b := newBalancer(t, nil, web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		aborted <- struct{}{}
	}))
	for _, path := range []string{"/", "/stream"} {
		c := b.dial()
		c.say("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		c.Close()
		select {
		case <-aborted:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the target was not told", path)
		}
	}
	drained, _ := contextFor(t)
	b.live.Drain(drained)
	if line := b.lines()[0]; !strings.Contains(line, " 460 - ") || !strings.Contains(line, `"ClientClosed"`) {
		t.Errorf("log line %s", line)
	}
}

// Bodies that fill the buffers they pass through leave room to notice that the
// client goes away afterwards.
func TestClientsAbortBehindABodyIsNoticed(t *testing.T) {
	arrived, aborted := make(chan struct{}), make(chan struct{})
	b := newBalancer(t, nil, raw(t, func(conn net.Conn) {
		r, err := readHead(conn)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		if err != nil {
			t.Error(err)
		}
		arrived <- struct{}{}
		conn.Read(make([]byte, 1)) // the end
		aborted <- struct{}{}
	}))
	for _, size := range []int{0, 1, 1000, 2048, 8 << 10, 32 << 10, 64 << 10, 1 << 20} {
		c := b.dial()
		head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
		c.say(head)
		c.say(strings.Repeat("x", size))
		<-arrived
		c.Close()
		select {
		case <-aborted:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d: the target was not told", size)
		}
	}
}

func TestDeadPooledConnectionIsNoticedOrRetried(t *testing.T) {
	var asked atomic.Int32
	// Each connection answers once and is then closed without a word.
	address := raw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err != nil {
			return
		}
		asked.Add(1)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	b := newBalancer(t, nil, address)
	c := b.dial()
	for range 50 {
		c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer, body := c.answer("GET"); answer.StatusCode != 200 || body != "ok" {
			t.Fatalf("got %d %q", answer.StatusCode, body)
		}
	}
	if asked.Load() != 50 {
		t.Errorf("the target was asked %d times", asked.Load())
	}
}

func TestUnsafeRequestIsNotSentTwice(t *testing.T) {
	var asked atomic.Int32
	// The second request on a connection is read and not answered.
	address := raw(t, func(conn net.Conn) {
		for i := 0; ; i++ {
			r, err := readHead(conn)
			if err != nil {
				return
			}
			asked.Add(1)
			if i == 1 {
				return
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	b := newBalancer(t, nil, address)
	c := b.dial()
	for i, want := range []int{200, 502} {
		c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
		if answer, _ := c.answer("POST"); answer.StatusCode != want {
			t.Errorf("request %d: got %d", i, answer.StatusCode)
		}
	}
	c = b.dial()
	for i := range 2 {
		c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer, _ := c.answer("GET"); answer.StatusCode != 200 {
			t.Errorf("GET %d: got %d", i, answer.StatusCode)
		}
	}
	if got := asked.Load(); got != 5 {
		t.Errorf("the target was asked %d times, want 2 POST, 2 GET and one GET again", got)
	}
}

func TestOnlyOneAnswerPerRequestIsBelieved(t *testing.T) {
	address := raw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			io.Copy(io.Discard, conn)
		}
	})
	b := newBalancer(t, nil, address)
	c := b.dial()
	for range 3 {
		c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, body := c.answer("GET"); body != "ok" {
			t.Fatalf("got %q", body)
		}
	}
}

func TestStrictestModeServesOnlyCompliantRequests(t *testing.T) {
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.DesyncMode = albion.DesyncStrictest }, web(t, echo))
	if answer, _ := b.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"); answer.StatusCode != 400 {
		t.Errorf("ambiguous: got %d", answer.StatusCode)
	}
	if answer, _ := b.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.StatusCode != 200 {
		t.Errorf("compliant: got %d", answer.StatusCode)
	}
}
