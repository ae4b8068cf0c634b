package h1_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// request reads in, which is expected to be one whole head.
func request(t *testing.T, in string) *wire.Request {
	t.Helper()
	var r wire.Request
	n, err := h1.ReadRequest(&r, []byte(in), nil)
	if err != nil || n != len(in) {
		t.Fatalf("%q: %d of %d bytes, %v", in, n, len(in), err)
	}
	return &r
}

// refusal reads in, which is expected to fail.
func refusal(t *testing.T, in string, lim *h1.Limits) *h1.Error {
	t.Helper()
	var r wire.Request
	n, err := h1.ReadRequest(&r, []byte(in), lim)
	var e *h1.Error
	if n != 0 || !errors.As(err, &e) {
		t.Fatalf("%.200q: n = %d, err = %v, want an *h1.Error", in, n, err)
	}
	if r.Class != e.Class || r.Reason != e.Reason {
		t.Errorf("%.200q: the request says %v %s, the error %v %s", in, r.Class, r.Reason, e.Class, e.Reason)
	}
	return e
}

func TestRequestHasItsParts(t *testing.T) {
	r := request(t, browserRequest)
	for what, pair := range map[string][2]string{
		"method": {string(r.Method), "GET"},
		"target": {string(r.Target), "/chat/info?t=1700000000000"},
		"path":   {string(r.Path), "/chat/info"},
		"query":  {string(r.Query), "t=1700000000000"},
		"host":   {string(r.Host), "chat.example.com"},
		"cookie": {string(r.Get(wire.Cookie)), "AWSALB=0123456789abcdef; session=5f3c1d"},
		"agent":  {string(r.Get(wire.UserAgent)[:11]), "Mozilla/5.0"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if len(r.Fields) != 10 || r.Major != 1 || r.Minor != 1 || r.Close || r.Expect || r.Upgrade != nil || r.Scheme != nil {
		t.Errorf("%+v", r)
	}
	if r.Framing != wire.NoBody || r.Class != wire.Compliant || r.Reason != "" {
		t.Errorf("framing %d, class %v %s", r.Framing, r.Class, r.Reason)
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct{ line, host, scheme, path, query string }{
		{"GET /", "h", "", "/", "nil"},
		{"GET /a/b?c=d?e", "h", "", "/a/b", "c=d?e"},
		{"GET /a?", "h", "", "/a", ""},
		{"GET //a//b", "h", "", "//a//b", "nil"},
		{"GET /%20%0d%0A%00", "h", "", "/%20%0d%0A%00", "nil"},
		{"GET /стран?ы", "h", "", "/стран", "ы"},
		{`GET /a"<>\^{|}` + "`", "h", "", `/a"<>\^{|}` + "`", "nil"},
		{"OPTIONS *", "h", "", "*", "nil"},
		{"GET http://Other:81/p?q", "Other:81", "http", "/p", "q"},
		{"GET HTTPS://o/p", "o", "HTTPS", "/p", "nil"},
		{"GET http://[::1]:8080?x", "[::1]:8080", "http", "/", "x"},
		{"GET http://o", "o", "http", "/", "nil"},
		{"OPTIONS http://o", "o", "http", "*", "nil"},
		{"OPTIONS http://o?x", "o", "http", "/", "x"},
		{"M-SEARCH /", "h", "", "/", "nil"},
		{"X_1.2!$ /", "h", "", "/", "nil"},
	} {
		r := request(t, c.line+" HTTP/1.1\r\nHost: h\r\n\r\n")
		query := "nil"
		if r.Query != nil {
			query = string(r.Query)
		}
		got := [4]string{string(r.Host), string(r.Scheme), string(r.Path), query}
		if want := [4]string{c.host, c.scheme, c.path, c.query}; got != want {
			t.Errorf("%s: %q, want %q", c.line, got, want)
		}
	}
}

// head makes a POST with these fields, one a line.
func head(fields ...string) string {
	return "POST / HTTP/1.1\r\nHost: h\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

func TestFramingAndClass(t *testing.T) {
	get := func(field string) string { return strings.Replace(head(field), "POST", "GET", 1) }
	for _, c := range []struct {
		in      string
		framing wire.Framing
		length  int64
		class   wire.Class
		reason  string
	}{
		{"POST / HTTP/1.1\r\nHost: h\r\n\r\n", wire.NoBody, 0, wire.Compliant, ""},
		{head("Content-Length: 5"), wire.Sized, 5, wire.Compliant, ""},
		{head("Content-Length: 0"), wire.Sized, 0, wire.Compliant, ""},
		{head("content-length:\t 007 \t"), wire.Sized, 7, wire.Compliant, ""},
		{head("CONTENT-LENGTH: 999999999999999999"), wire.Sized, 999999999999999999, wire.Compliant, ""},
		{head("Transfer-Encoding: chunked"), wire.Chunked, 0, wire.Compliant, ""},
		{head("transfer-encoding:CHUNKED"), wire.Chunked, 0, wire.Compliant, ""},
		{head("Content-Length: 5, 5"), wire.Sized, 5, wire.Ambiguous, "DuplicateContentLength"},
		{head("Content-Length: 5", "Content-Length: 5"), wire.Sized, 5, wire.Ambiguous, "DuplicateContentLength"},
		{head("Content-Length: 5", "Content-Length: 05,5"), wire.Sized, 5, wire.Ambiguous, "DuplicateContentLength"},
		{head("Content-Length: 5", "Transfer-Encoding: chunked"), wire.Chunked, 0, wire.Ambiguous, "BothTeClPresent"},
		{head("Transfer-Encoding: chunked", "Content-Length: 5"), wire.Chunked, 0, wire.Ambiguous, "BothTeClPresent"},
		{head("Transfer-Encoding: identity", "Content-Length: 5"), wire.Sized, 5, wire.Ambiguous, "BothTeClPresent"},
		{head("Transfer-Encoding: identity"), wire.NoBody, 0, wire.Ambiguous, "UndefinedTransferEncodingSemantics"},
		{get("Content-Length: 0"), wire.Sized, 0, wire.Acceptable, "GetHeadZeroContentLength"},
		{get("Content-Length: 3"), wire.Sized, 3, wire.Ambiguous, "UndefinedContentLengthSemantics"},
		{get("Transfer-Encoding: chunked"), wire.Chunked, 0, wire.Ambiguous, "UndefinedTransferEncodingSemantics"},
		{strings.Replace(get("Content-Length: 3"), "GET", "HEAD", 1), wire.Sized, 3, wire.Ambiguous, "UndefinedContentLengthSemantics"},
		{strings.Replace(get("Content-Length: 3"), "GET", "DELETE", 1), wire.Sized, 3, wire.Compliant, ""},
		{strings.Replace(get("Content-Length: 3"), "GET", "OPTIONS", 1), wire.Sized, 3, wire.Compliant, ""},
		{head("Transfer_Encoding: chunked"), wire.NoBody, 0, wire.Ambiguous, "SuspiciousHeader"},
		{head("Content_Length: 5"), wire.NoBody, 0, wire.Ambiguous, "SuspiciousHeader"},
		{head("Transfer---Encoding: chunked"), wire.NoBody, 0, wire.Ambiguous, "SuspiciousHeader"},
		{head("TransferEncoding: chunked"), wire.NoBody, 0, wire.Ambiguous, "SuspiciousHeader"},
		{head("'Content-Length': 5"), wire.NoBody, 0, wire.Ambiguous, "SuspiciousHeader"},
		{head("X-Transfer-Encoding: chunked", "Content-Lengths: 5", "Transfer: x", "-: y"), wire.NoBody, 0, wire.Compliant, ""},
		{head("X: \u00e9\xff\t."), wire.NoBody, 0, wire.Compliant, ""},
		{head("Connection: close;x"), wire.NoBody, 0, wire.Acceptable, "NonCompliantHeader"},
		{head("Connection: close, Host"), wire.NoBody, 0, wire.Ambiguous, "SuspiciousHeader"},
		{"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\n", wire.Sized, 4, wire.Compliant, ""},
	} {
		r := request(t, c.in)
		if r.Framing != c.framing || r.Length != c.length || r.Class != c.class || r.Reason != c.reason {
			t.Errorf("%q: framing %d, length %d, %v %s", c.in, r.Framing, r.Length, r.Class, r.Reason)
		}
		lengths := 0
		for _, f := range r.Fields {
			if f.ID == wire.ContentLength && !f.Hop {
				lengths++
				if bytes.ContainsAny(f.Value, ", ") {
					t.Errorf("%q: Content-Length stays %q", c.in, f.Value)
				}
			}
		}
		if (r.Framing == wire.Sized) != (lengths == 1) || lengths > 1 {
			t.Errorf("%q: framing %d leaves %d Content-Length fields", c.in, r.Framing, lengths)
		}
	}
}

func TestRefusals(t *testing.T) {
	const rest = " HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, c := range []struct {
		in     string
		status int
		reason string
	}{
		{"get /" + rest, 400, "BadMethod"},
		{"GeT /" + rest, 400, "BadMethod"},
		{" GET /" + rest, 400, "BadMethod"},
		{"G\x01T /" + rest, 400, "BadMethod"},
		{"G@T /" + rest, 400, "BadMethod"},
		{"\n\nGET /" + rest, 400, "BadMethod"},
		{"\r\n\r\n\r\nGET /" + rest, 400, "BadMethod"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "BadMethod"},
		{"GET\t/" + rest, 400, "BadMethod"},
		{"GET  /" + rest, 400, "BadUri"},
		{"GET /\r\n\r\n", 400, "BadUri"},
		{"GET\r\n\r\n", 400, "BadMethod"},
		{"GET / b" + rest, 400, "BadVersion"},
		{"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/1.1\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/1.1\r\rHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / http/1.1\r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/11\r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/1.x\r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTPS/1.1\r\nHost: h\r\n\r\n", 400, "BadVersion"},
		{"GET / X\r\n\r\n", 400, "BadVersion"},
		{"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, "BadVersion"},
		{"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505, "BadVersion"},
		{"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "BadVersion"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "BadVersion"},
		{"GET /a\x00b" + rest, 400, "BadUri"},
		{"GET /a\tb" + rest, 400, "BadUri"},
		{"GET /a\x7fb" + rest, 400, "BadUri"},
		{"GET /a\rb" + rest, 400, "BadUri"},
		{"GET /a\nb" + rest, 400, "BadUri"},
		{"GET /a#b" + rest, 400, "BadUri"},
		{"GET *" + rest, 400, "BadUri"},
		{"GET a" + rest, 400, "BadUri"},
		{"GET ?a" + rest, 400, "BadUri"},
		{"GET h:80" + rest, 400, "BadUri"},
		{"GET ftp://h/" + rest, 400, "BadUri"},
		{"GET http:/h/" + rest, 400, "BadUri"},
		{"GET http:///p" + rest, 400, "BadUri"},
		{"GET http://u@h/" + rest, 400, "BadUri"},
		{"GET http://u:p@h/" + rest, 400, "BadUri"},
		{"GET http://h:99999/" + rest, 400, "BadUri"},
		{"GET http://h\\@x/" + rest, 400, "BadUri"},
		{"CONNECT h:443" + rest, 405, "ConnectNotAllowed"},
		{"TRACE /" + rest, 405, "TraceNotAllowed"},
		{"GET / HTTP/1.1\r\n\r\n", 400, "BadHeader"},
		{head("Host: h"), 400, "BadHeader"},
		{"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "BadHeader"},
		{"GET http://a/ HTTP/1.1\r\nHost: b@c\r\n\r\n", 400, "BadHeader"},
		{"GET http://a/ HTTP/1.1\r\n\r\n", 400, "BadHeader"},
		{head("X: a\x00b"), 400, "BadHeader"},
		{head("X: a\rb"), 400, "BadHeader"},
		{head("X: a\nb: c"), 400, "BadHeader"},
		{head("X: a\x0bb"), 400, "BadHeader"},
		{head("X: a\x7f"), 400, "BadHeader"},
		{head("X : a"), 400, "BadHeader"},
		{head("X\t: a"), 400, "BadHeader"},
		{head(": a"), 400, "BadHeader"},
		{head("X"), 400, "BadHeader"},
		{head("X y: a"), 400, "BadHeader"},
		{head("X(y): a"), 400, "BadHeader"},
		{head("X\u00e9: a"), 400, "BadHeader"},
		{head("X: a", " folded"), 400, "BadHeader"},
		{head("X: a", "\tfolded: b"), 400, "BadHeader"},
		{head("X: a", "   "), 400, "BadHeader"},
		{"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost: h\n\r\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost: h\r\n\n", 400, "BadHeader"},
		{"GET / HTTP/1.1\r\nHost: h\r\n\rX", 400, "BadHeader"},
		{head("Content-Length: 5", "Content-Length: 6"), 400, "MultipleContentLength"},
		{head("Content-Length: 5, 6"), 400, "MultipleContentLength"},
		{head("Content-Length:"), 400, "BadContentLength"},
		{head("Content-Length: +5"), 400, "BadContentLength"},
		{head("Content-Length: -5"), 400, "BadContentLength"},
		{head("Content-Length: 5 5"), 400, "BadContentLength"},
		{head("Content-Length: 0x5"), 400, "BadContentLength"},
		{head("Content-Length: 5.0"), 400, "BadContentLength"},
		{head("Content-Length: 5,"), 400, "BadContentLength"},
		{head("Content-Length: ,5"), 400, "BadContentLength"},
		{head("Content-Length: \u0665"), 400, "BadContentLength"},
		{head("Content-Length: 5\x0b"), 400, "BadContentLength"},
		{head("Content-Length: 1000000000000000000"), 400, "BadContentLength"},
		{head("Content-Length: 18446744073709551621"), 400, "BadContentLength"},
		{head("Transfer-Encoding: chunked", "Content-Length: x"), 400, "BadContentLength"},
		{head("Transfer-Encoding:"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked\x0b"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: \"chunked\""), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked;q=1"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chun ked"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked,"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: , chunked"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked\xa0"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: identity, chunked"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked, identity"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: identity", "Transfer-Encoding: chunked"), 400, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked, chunked"), 400, "MultipleTransferEncodingChunked"},
		{head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, "MultipleTransferEncodingChunked"},
		{head("Transfer-Encoding: gzip, chunked"), 501, "BadTransferEncoding"},
		{head("Transfer-Encoding: chunked, gzip"), 501, "BadTransferEncoding"},
		{head("Transfer-Encoding: xchunked"), 501, "BadTransferEncoding"},
		{head("Transfer-Encoding: cow", "Transfer-Encoding: chunked"), 501, "BadTransferEncoding"},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "BadTransferEncoding"},
		{head("Expect: 200-ok", "Content-Length: 1"), 417, "UnknownExpectation"},
		{head("Expect: 100-continue, x", "Content-Length: 1"), 417, "UnknownExpectation"},
		{head("Connection: " + strings.Repeat("a,", 65)), 400, "BadHeader"},
	} {
		e := refusal(t, c.in, nil)
		if e.Status != c.status || e.Reason != c.reason {
			t.Errorf("%q: %v, want %d %s", c.in, e, c.status, c.reason)
		}
		severe := e.Status == 400 || e.Status == 501 || e.Status == 505
		if severe != (e.Class == wire.Severe) {
			t.Errorf("%q: %v has class %v", c.in, e, e.Class)
		}
	}
}

func TestConnection(t *testing.T) {
	for _, c := range []struct {
		version, fields string
		close           bool
		upgrade         string
		hop             string // names marked Hop, in order
	}{
		{"1.1", "", false, "", ""},
		{"1.0", "", true, "", ""},
		{"1.0", "Connection: Keep-Alive", false, "", "Connection"},
		{"1.0", "Connection: keep-alive, close", true, "", "Connection"},
		{"1.1", "Connection: CLOSE", true, "", "Connection"},
		{"1.1", "Connection: x\r\nConnection: close\r\nX: 1", true, "", "Connection Connection X"},
		{"1.1", "Connection: Upgrade\r\nUpgrade: websocket", false, "websocket", "Connection Upgrade"},
		{"1.1", "Upgrade: websocket\r\nConnection: keep-alive, , upgrade", false, "websocket", "Upgrade Connection"},
		{"1.1", "Upgrade: websocket", false, "", "Upgrade"},
		{"1.0", "Connection: Upgrade, keep-alive\r\nUpgrade: websocket", false, "", "Connection Upgrade"},
		{"1.1", "Connection: upgrade\r\nUpgrade:", false, "", "Connection Upgrade"},
		{"1.1", "A: 1\r\nB: 2\r\nConnection: b, A\r\na: 3", false, "", "A B Connection a"},
		{"1.1", "TE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTransfer-Encoding: chunked", false, "", "TE Keep-Alive Proxy-Connection Transfer-Encoding"},
		{"1.1", "Cookie: a\r\nAuthorization: b\r\nX-Forwarded-For: c\r\nX-Forwarded-Host: d\r\nContent-Length: 0\r\n" +
			"Connection: cookie, authorization, x-forwarded-for, x-forwarded-host, content-length, host", false, "", "Connection"},
	} {
		in := "POST / HTTP/" + c.version + "\r\nHost: h\r\n"
		if c.fields != "" {
			in += c.fields + "\r\n"
		}
		r := request(t, in+"\r\n")
		var hop []string
		for _, f := range r.Fields {
			if f.Hop {
				hop = append(hop, string(f.Name))
			}
		}
		if r.Close != c.close || string(r.Upgrade) != c.upgrade || strings.Join(hop, " ") != c.hop {
			t.Errorf("%q: close %v, upgrade %q, hop %q", in, r.Close, r.Upgrade, hop)
		}
		if c.upgrade == "" && r.Upgrade != nil {
			t.Errorf("%q: Upgrade is not nil", in)
		}
	}
}

func TestExpectWaitsOnlyForABody(t *testing.T) {
	for in, want := range map[string]bool{
		head("Expect: 100-Continue", "Content-Length: 1"):                        true,
		head("Expect: 100-continue", "Transfer-Encoding: chunked"):               true,
		head("Expect: 100-continue", "Content-Length: 0"):                        false,
		head("Expect: 100-continue"):                                             false,
		"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n":   false,
		"POST / HTTP/1.0\r\nExpect: something else\r\nContent-Length: 1\r\n\r\n": false,
	} {
		if got := request(t, in).Expect; got != want {
			t.Errorf("%q: Expect is %v", in, got)
		}
	}
}

func TestEmptyLinesBeforeARequestCount(t *testing.T) {
	request(t, "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
	request(t, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
	var r wire.Request
	for _, in := range []string{"", "\r", "\r\n", "\r\n\r", "\r\n\r\n", "\r\n\r\n\r"} {
		if n, err := h1.ReadRequest(&r, []byte(in), nil); n != 0 || err != nil {
			t.Errorf("%q: %d, %v, want to wait for more", in, n, err)
		}
	}
}

func TestPipelinedRequestsAreReadOneByOne(t *testing.T) {
	buf := []byte(strings.Repeat("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", 3))
	var r wire.Request
	count := 0
	for len(buf) > 0 {
		n, err := h1.ReadRequest(&r, buf, nil)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		buf = buf[n:]
		count++
	}
	if count != 3 {
		t.Errorf("%d requests", count)
	}
}

func TestLimits(t *testing.T) {
	lim := &h1.Limits{Line: 32, Field: 24, Head: 60, Fields: 4}
	line := func(n int) string { return "GET /" + strings.Repeat("a", n-16) + " HTTP/1.1\r\n" }
	field := func(n int) string { return "X: " + strings.Repeat("a", n-5) + "\r\n" }
	const host = "Host: h\r\n" // 9 bytes
	var r wire.Request
	for _, ok := range []string{
		line(32) + host + "\r\n",
		line(20) + host + field(24) + "\r\n",
		line(20) + host + field(24) + field(23) + "a:\r\n\r\n",
		line(20) + host + "a:\r\nb:\r\nc:\r\n\r\n",
	} {
		if n, err := h1.ReadRequest(&r, []byte(ok), lim); n != len(ok) || err != nil {
			t.Errorf("%q: %d, %v", ok, n, err)
		}
	}
	for in, status := range map[string]int{
		line(33) + host + "\r\n":                               414,
		strings.Repeat("A", 32):                                414,
		"GET /" + strings.Repeat("a", 40):                      414,
		line(20) + host + field(25) + "\r\n":                   413,
		line(20) + host + field(24) + field(24) + "a:\r\n\r\n": 413,
		line(20) + host + "a:\r\nb:\r\nc:\r\nd:\r\n\r\n":       413,
		line(20) + strings.Repeat("X", 24):                     413,
		line(20) + "X:" + strings.Repeat(" ", 40):              413,
	} {
		if e := refusal(t, in, lim); e.Status != status || e.Class != wire.Compliant {
			t.Errorf("%q: %v, want %d", in, e, status)
		}
	}
}

func TestDefaultLimitsAreALBs(t *testing.T) {
	const most = 16 << 10
	long := func(n int) string { return strings.Repeat("a", n) }
	request(t, "GET /"+long(most-16)+" HTTP/1.1\r\nHost: h\r\n\r\n")
	if e := refusal(t, "GET /"+long(most-15)+" HTTP/1.1\r\nHost: h\r\n\r\n", nil); e.Status != 414 {
		t.Error(e)
	}
	request(t, head("X: "+long(most-5)))
	if e := refusal(t, head("X: "+long(most-4)), nil); e.Status != 413 {
		t.Error(e)
	}
	full := "X: " + long(most-5)
	request(t, head(full, full, full, "X: "+long(most-5-9)))
	if e := refusal(t, head(full, full, full, "X: "+long(most-5-8)), nil); e.Status != 413 {
		t.Error(e)
	}
	var many []string
	for i := range 255 {
		many = append(many, fmt.Sprintf("X-%d: 1", i))
	}
	request(t, head(many...))
	if e := refusal(t, head(append(many, "Y: 1")...), nil); e.Status != 413 {
		t.Error(e)
	}
}

func TestInvalidNamesAreDroppedOnDemand(t *testing.T) {
	in := head("X_Forwarded_For: 1", "a.b: 2", "Good-1: 3", "Content_Length: 4")
	if n := len(request(t, in).Fields); n != 5 {
		t.Errorf("%d fields, want all", n)
	}
	var r wire.Request
	n, err := h1.ReadRequest(&r, []byte(in), &h1.Limits{DropInvalid: true})
	if err != nil || n != len(in) || len(r.Fields) != 2 || string(r.Fields[1].Name) != "Good-1" {
		t.Errorf("%d, %v, %d fields", n, err, len(r.Fields))
	}
	if r.Class != wire.Compliant {
		t.Errorf("what was dropped still makes it %v %s", r.Class, r.Reason)
	}
	if n := refusal(t, head("a b: 1"), &h1.Limits{DropInvalid: true}); n.Status != 400 {
		t.Error(n)
	}
}

func TestALongHeadInSingleBytesIsTheSame(t *testing.T) {
	fields := make([]string, 200)
	for i := range fields {
		fields[i] = "X-" + strings.Repeat("n", i) + ": " + strings.Repeat("v", 200)
	}
	in := []byte(head(fields...))
	if len(in) < 60_000 {
		t.Fatalf("a head of %d bytes is not long", len(in))
	}
	var r wire.Request
	var p h1.Parser
	for round := range 2 { // a Parser is ready again after a head
		for i := range len(in) {
			if n, err := p.ReadRequest(&r, in[:i], nil); n != 0 || err != nil {
				t.Fatalf("round %d, %d bytes: %d, %v", round, i, n, err)
			}
		}
		if n, err := p.ReadRequest(&r, in, nil); n != len(in) || err != nil || len(r.Fields) != 201 {
			t.Fatalf("round %d: %d, %v, %d fields", round, n, err, len(r.Fields))
		}
	}
}

func TestEndlessHeadsEnd(t *testing.T) {
	for _, c := range []struct {
		what, piece string
		most        int // bytes until it is noticed
	}{
		{"a line", "a", 17 << 10},
		{"short lines", "a:b\r\n", 2*256*5 + 100},
		{"long lines", "a:" + strings.Repeat("b", 8000) + "\r\n", 96 << 10},
		{"blanks", " ", 17 << 10},
	} {
		var r wire.Request
		var p h1.Parser
		buf := []byte("GET / HTTP/1.1\r\nHost: h\r\nx:")
		var err error
		for err == nil && len(buf) < 200_000 {
			buf = append(buf, c.piece...)
			_, err = p.ReadRequest(&r, buf, nil)
		}
		var e *h1.Error
		if !errors.As(err, &e) || e.Status != 413 || len(buf) > c.most {
			t.Errorf("%s: %v after %d bytes", c.what, err, len(buf))
		}
	}
}

func TestErrorsSayWhatAndNeverWhose(t *testing.T) {
	e := refusal(t, head("X: secret\x00"), nil)
	if got := e.Error(); got != "h1: 400 BadHeader: a control character in a field value" {
		t.Error(got)
	}
	e = refusal(t, "GET /"+strings.Repeat("secret", 4000), nil)
	if got := e.Error(); got != "h1: 414 RequestLineTooLong" {
		t.Error(got)
	}
}
