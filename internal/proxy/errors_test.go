package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
)

func contextFor(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx, cancel
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// why is how a log line says what was wrong: its error_reason, or its
// classification and the reason for that.
func why(reason ...string) string { return `"` + strings.Join(reason, `" "`) + `"` }

func TestRefusedRequestsSayWhy(t *testing.T) {
	target := web(t, echo)
	for _, c := range []struct {
		name, text string
		status     int
		why        string
		closed     bool // the client sends no more
	}{
		{"nonsense", "nonsense\r\n\r\n", 400, why("Severe", "BadMethod"), false},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, why("Severe", "MultipleContentLength"), false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, why("Severe", "BadHeader"), false},
		{"folded", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400, why("Severe", "BadHeader"), false},
		{"trace", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, why("TraceNotAllowed"), false},
		{"long line", "GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, why("RequestLineTooLong"), false},
		{"long field", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", 413, why("HeadTooLarge"), false},
		{"coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, why("Severe", "BadTransferEncoding"), false},
		{"version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, why("Severe", "BadVersion"), false},
		{"many forwarders", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + strings.Repeat("192.0.2.1, ", 30) + "192.0.2.1\r\n\r\n", 463, why("ForwardedForTooLong"), false},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, why("MalformedBody"), false},
		{"closed within the body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 400, why("ClientClosedWithinBody"), true},
	} {
		b := newBalancer(t, nil, target)
		conn := b.dial()
		conn.say(c.text)
		if c.closed {
			conn.CloseWrite()
		}
		if answer, _ := conn.answer("GET"); answer.StatusCode != c.status {
			t.Errorf("%s: got %d, want %d", c.name, answer.StatusCode, c.status)
		}
		conn.Close()
		line := b.lines()[0]
		if !strings.Contains(line, fmt.Sprintf(" %d - ", c.status)) || !strings.Contains(line, c.why) {
			t.Errorf("%s: log line %s", c.name, line)
		}
		if received, err := strconv.Atoi(strings.Fields(line)[10]); err != nil || received < 1 || received > len(c.text) {
			t.Errorf("%s: %d bytes are logged as received of %d", c.name, received, len(c.text))
		}
	}
}

func TestTargetFailuresAreTold(t *testing.T) {
	say := func(text string) string {
		return raw(t, func(conn net.Conn) {
			if _, err := readHead(conn); err == nil {
				io.WriteString(conn, text)
			}
		})
	}
	reset := raw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err == nil {
			conn.(*net.TCPConn).SetLinger(0)
		}
	})
	silent := raw(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	for _, c := range []struct {
		name, target string
		status       int
		reason       string
	}{
		{"nobody listens", closedPort(t), 502, "TargetConnectionRefused"},
		{"closed without a word", say(""), 502, "TargetClosed"},
		{"reset", reset, 502, "TargetConnectionReset"},
		{"closed within the head", say("HTTP/1.1 200 OK\r\nConte"), 502, "TargetClosed"},
		{"no HTTP", say("SSH-2.0-x\r\n\r\n"), 502, "MalformedTargetAnswer"},
		{"two lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502, "MalformedTargetAnswer"},
		{"endless head", say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 40<<10)), 502, "MalformedTargetAnswer"},
		{"switches unasked", say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), 502, "UnexpectedProtocolSwitch"},
		{"never answers", silent, 504, "TargetTimeout"},
	} {
		b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = time.Second }, c.target)
		if answer, _ := b.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.StatusCode != c.status {
			t.Errorf("%s: got %d, want %d", c.name, answer.StatusCode, c.status)
		}
		if line := b.lines()[0]; !strings.Contains(line, fmt.Sprintf(" %d - ", c.status)) || !strings.Contains(line, why(c.reason)) {
			t.Errorf("%s: log line %s", c.name, line)
		}
	}
}

func TestNobodyToForwardToIs503(t *testing.T) {
	weightless := compiled(t, albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: groupARN, Weight: 0}}}})
	for reason, change := range map[string]func(*proxy.View){
		"NoRegisteredTarget":        nil,
		"TargetGroupsWithoutWeight": func(v *proxy.View) { v.Routes = weightless },
	} {
		b := newBalancer(t, change)
		if answer, _ := b.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.StatusCode != 503 {
			t.Errorf("%s: got %d", reason, answer.StatusCode)
		}
		if line := b.lines()[0]; !strings.Contains(line, " 503 - ") || !strings.Contains(line, why(reason)) {
			t.Errorf("%s: log line %s", reason, line)
		}
	}
}

func compiled(t *testing.T, a albion.Action) *route.Table {
	t.Helper()
	table, err := route.Compile(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// A broken answer must not look whole: neither by a last chunk nor by a length.
func TestBrokenAnswersLookBroken(t *testing.T) {
	for name, head := range map[string]string{
		"sized":   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		b := newBalancer(t, nil, raw(t, func(conn net.Conn) {
			if _, err := readHead(conn); err == nil {
				io.WriteString(conn, head)
			}
		}))
		c := b.dial()
		c.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		answer, err := http.ReadResponse(c.r, &http.Request{Method: "GET"})
		if err != nil {
			continue // the reset was faster than the head
		}
		if body, err := io.ReadAll(answer.Body); err == nil {
			t.Errorf("%s: the client believes %q", name, body)
		}
	}
}

func TestSlowClientsAreNotWaitedForForEver(t *testing.T) {
	t.Parallel() // it waits
	b := newBalancer(t, func(v *proxy.View) { v.Attributes.IdleTimeout = time.Second }, web(t, echo))
	for _, c := range []struct {
		name, text string
		want       string
	}{
		{"silent", "", ""},
		{"half a head", "GET / HT", "HTTP/1.1 408"},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 408"},
	} {
		conn := b.dial()
		conn.say(c.text)
		if got := conn.over(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
	log := b.lines()
	if len(log) != 2 || !strings.Contains(log[0], why("SlowHead")) || !strings.Contains(log[1], why("SlowBody")) {
		t.Errorf("the log says\n%s", strings.Join(log, "\n"))
	}
}

func TestOwnAnswers(t *testing.T) {
	redirect := albion.DefaultRedirect()
	redirect.Protocol, redirect.Port = "HTTPS", "443"
	b := newBalancer(t, func(v *proxy.View) { v.Routes = compiled(t, albion.Action{Redirect: &redirect}) })
	c := b.dial()
	for range 2 { // the connection stays
		c.say("POST /chat?x=1 HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 2\r\n\r\nhi")
		if answer, _ := c.answer("POST"); answer.StatusCode != 301 || answer.Header.Get("Location") != "https://chat.test:443/chat?x=1" && answer.Header.Get("Location") != "https://chat.test/chat?x=1" {
			t.Errorf("got %d %s", answer.StatusCode, answer.Header.Get("Location"))
		}
	}
	c.say("GET /" + strings.Repeat("%20", 4<<10) + " HTTP/1.1\r\nHost: chat.test\r\n\r\n")
	if answer, _ := c.answer("GET"); answer.StatusCode != 507 {
		t.Errorf("long redirect: got %d", answer.StatusCode)
	}
	c.Close()
	if log := strings.Join(b.lines(), "\n"); strings.Count(log, why("RedirectUrlLimitExceeded")) != 1 {
		t.Errorf("the log says\n%s", log)
	}
	b = newBalancer(t, func(v *proxy.View) {
		v.Routes = compiled(t, albion.Action{Fixed: &albion.FixedResponse{Status: 410, ContentType: "text/plain", Body: "gone"}})
	})
	c = b.dial()
	c.say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer, body := c.answer("HEAD"); answer.StatusCode != 410 || body != "" || answer.ContentLength != 4 {
		t.Errorf("HEAD: got %d %q %d", answer.StatusCode, body, answer.ContentLength)
	}
	if answer, body := c.answer("GET"); answer.StatusCode != 410 || body != "gone" {
		t.Errorf("GET: got %d %q", answer.StatusCode, body)
	}
}
