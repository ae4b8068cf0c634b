package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
)

// web2 serves a handler on loopback over HTTP/2 without TLS.
func web2(t testing.TB, h http.HandlerFunc) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	server := &http.Server{Handler: h, Protocols: protocols}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}

// ALB's page "Target groups for your Application Load Balancers", Protocol
// version: which requests go with which targets.
func TestProtocolsThatGoTogether(t *testing.T) {
	address := web2(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Proto", r.Proto) })
	s := newSecure(t)
	h1 := &http.Transport{TLSClientConfig: s.config.Clone()}
	h1.TLSClientConfig.NextProtos = nil
	t.Cleanup(h1.CloseIdleConnections)
	clients := map[string]*http.Client{"HTTP/1.1": {Transport: h1}, "HTTP/2": s.client()}
	for _, c := range []struct {
		client, method, kind string
		status               map[albion.ProtocolVersion]int
	}{
		{"HTTP/1.1", "GET", "", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 464, albion.GRPC: 464}},
		{"HTTP/1.1", "POST", "", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 464, albion.GRPC: 464}},
		{"HTTP/2", "GET", "", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 200, albion.GRPC: 464}},
		{"HTTP/2", "PUT", "", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 200, albion.GRPC: 464}},
		{"HTTP/2", "POST", "", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 200, albion.GRPC: 200}},
		{"HTTP/2", "POST", "application/grpc", map[albion.ProtocolVersion]int{albion.HTTP1: 464, albion.HTTP2: 200, albion.GRPC: 200}},
		{"HTTP/2", "POST", "application/grpc+proto", map[albion.ProtocolVersion]int{albion.HTTP1: 464, albion.HTTP2: 200, albion.GRPC: 200}},
		{"HTTP/2", "POST", "application/grpc-web+proto", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 200, albion.GRPC: 200}},
		{"HTTP/2", "GET", "application/grpc", map[albion.ProtocolVersion]int{albion.HTTP1: 200, albion.HTTP2: 200, albion.GRPC: 464}},
	} {
		for version, want := range c.status {
			s.group.ProtocolVersion = version
			s.register()        // a group of another version is another group,
			s.register(address) // with other targets
			req, err := http.NewRequest(c.method, "https://"+s.address+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.kind != "" {
				req.Header.Set("Content-Type", c.kind)
			}
			res, err := clients[c.client].Do(req)
			if err != nil {
				t.Errorf("%+v to %s: %v", c, version, err)
				continue
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			proto := map[albion.ProtocolVersion]string{albion.HTTP1: "HTTP/1.1"}[version]
			if proto == "" {
				proto = "HTTP/2.0"
			}
			if got := res.Header.Get("X-Proto"); res.StatusCode != want || want == 200 && got != proto {
				t.Errorf("%s %s %s to %s: %d by %q, want %d", c.client, c.method, c.kind, version, res.StatusCode, got, want)
			}
		}
	}
	for _, line := range s.lines() {
		if strings.Contains(line, " 464 ") != strings.Contains(line, `"IncompatibleProtocolVersion"`) {
			t.Error(line)
		}
	}
}

func TestHTTP2Targets(t *testing.T) {
	address := web2(t, func(w http.ResponseWriter, r *http.Request) {
		saw := fmt.Sprintf("%s %s %s|%s|%s|%s|%s|%d", r.Method, r.Host, r.URL, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"),
			r.Header.Get("X-Forwarded-Port"), r.Header.Get("Te"), r.ContentLength)
		w.Header().Set("X-Saw", saw)
		switch r.URL.Path {
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
			w.Header().Set("X-Sum", r.Trailer.Get("X-More"))
		case "/interim":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(103)
			w.WriteHeader(204)
		case "/length":
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		case "/early":
			w.WriteHeader(403)
		case "/broken":
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/dead":
			panic(http.ErrAbortHandler)
		}
	})
	s := newSpeaking(t, albion.HTTP2, address)
	c := s.client()
	res, body := s.send(c, "GET", "/length?a=b", nil)
	if got := res.Header.Get("X-Saw"); body != "hello" || res.ContentLength != 5 || got != "GET 127.0.0.1 /length?a=b|127.0.0.1|https|443||0" {
		t.Errorf("%q %d, the target saw %s", body, res.ContentLength, got)
	}
	if res, body := s.send(c, "HEAD", "/length", nil); body != "" || res.ContentLength != 5 {
		t.Errorf("HEAD: %q %d", body, res.ContentLength)
	}
	if res, _ := s.send(c, "POST", "/length", strings.NewReader("abc")); !strings.HasSuffix(res.Header.Get("X-Saw"), "|3") {
		t.Errorf("the length: %s", res.Header.Get("X-Saw"))
	}
	req, err := http.NewRequest("POST", "https://"+s.address+"/trailers", io.NopCloser(strings.NewReader("content")))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-More": {"7"}}
	req.Header.Set("TE", "trailers")
	res, err = c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || string(got) != "content" || res.Trailer.Get("X-Sum") != "7" || !strings.Contains(res.Header.Get("X-Saw"), "|trailers|") {
		t.Errorf("%q %v %v %s", got, err, res.Trailer, res.Header.Get("X-Saw"))
	}
	early := 0
	ctx := httptrace.WithClientTrace(lasting(t, 10*time.Second), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == 103 && h.Get("Link") == "</a.css>" {
			early++
		}
		return nil
	}})
	req, err = http.NewRequestWithContext(ctx, "GET", "https://"+s.address+"/interim", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.Do(req); err != nil || res.StatusCode != 204 || early != 1 {
		t.Errorf("%v %v, %d early hints", res, err, early)
	} else {
		res.Body.Close()
	}
	if res, _ := s.send(c, "POST", "/early", bytes.NewReader(make([]byte, 1<<20))); res.StatusCode != 403 {
		t.Errorf("an early answer: %d", res.StatusCode)
	}
	if res, err := c.Get("https://" + s.address + "/broken"); err == nil {
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("an answer that broke off looks whole")
		}
		res.Body.Close()
	}
	if res, _ := s.send(c, "GET", "/dead", nil); res.StatusCode != 502 {
		t.Errorf("a target that resets: %d", res.StatusCode)
	}
	lines := strings.Join(s.lines(), "\n")
	if strings.Count(lines, `"TargetResetStream"`) != 2 || strings.Contains(lines, "grpcs ") {
		t.Error(lines)
	}
}

// Each way in which a target of HTTP/2 can fail has its status and its reason.
func TestFailuresOfHTTP2Targets(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(f *http2.Framer, conn net.Conn)
		status int
		reason string
	}{
		{"speaks HTTP/1", nil, 502, "TargetSpeaksNoHTTP2"},
		{"says nothing", func(f *http2.Framer, conn net.Conn) { f.WriteSettings(); io.Copy(io.Discard, conn) }, 504, "TargetTimeout"},
		{"closes", func(f *http2.Framer, conn net.Conn) { f.WriteSettings(); readFrame(f, http2.FrameHeaders) }, 502, "TargetClosed"},
		{"breaks HTTP/2", func(f *http2.Framer, conn net.Conn) {
			f.WriteSettings()
			readFrame(f, http2.FrameHeaders)
			f.WriteRawFrame(http2.FrameData, 0, 0, []byte("x"))
			io.Copy(io.Discard, conn)
		}, 502, "MalformedTargetAnswer"},
		{"refuses", func(f *http2.Framer, conn net.Conn) {
			f.WriteSettings()
			for readFrame(f, http2.FrameHeaders) == nil {
				f.WriteGoAway(0, http2.ErrCodeNo, nil)
			}
		}, 502, "TargetResetStream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := raw(t, func(conn net.Conn) {
				f := http2.NewFramer(conn, conn)
				if c.script == nil {
					io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
					return
				}
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err == nil {
					c.script(f, conn)
				}
			})
			s := newSpeaking(t, albion.HTTP2, address)
			view := s.view
			view.Attributes.IdleTimeout = 300 * time.Millisecond
			s.live.Set(&view)
			if res, _ := s.send(s.client(), "GET", "/", nil); res.StatusCode != c.status {
				t.Errorf("%d", res.StatusCode)
			}
			if line := s.lines()[0]; !strings.Contains(line, `"`+c.reason+`"`) {
				t.Error(line)
			}
		})
	}
}

// readFrame reads frames until one is of this type.
func readFrame(f *http2.Framer, want http2.FrameType) error {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if frame.Header().Type == want {
			return nil
		}
	}
}

// A stream may be quiet for less than the idle timeout again and again, and no
// longer at once.
func TestTheIdleTimeoutOfStreams(t *testing.T) {
	t.Parallel() // it waits
	_, _, address := newCalls(t, "a")
	s := newSpeaking(t, albion.GRPC, address)
	view := s.view
	view.Attributes.IdleTimeout = time.Second
	s.live.Set(&view)
	c := s.dialGRPC()
	chat := stream(lasting(t, 20*time.Second), t, c, "Chat")
	began := time.Now()
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for range 5 {
		<-tick.C
		send(t, chat, "still here")
		receive(t, chat)
	}
	if err := chat.RecvMsg(&message{}); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a quiet stream: %v", err)
	}
	if took := time.Since(began); took < 2900*time.Millisecond {
		t.Errorf("it ended after %v", took)
	}
	if lines := s.lines(); !strings.Contains(lines[0], `"IdleTimeout"`) {
		t.Errorf("%q", lines)
	}
}

// Whatever the sizes of the messages, all of them come, in order.
func TestMessagesArriveWhole(t *testing.T) {
	_, _, address := newCalls(t, "a")
	s := newSpeaking(t, albion.GRPC, address)
	c := s.dialGRPC()
	ctx := lasting(t, 60*time.Second)
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 100_000), 0, 12).Draw(rt, "sizes")
		chat := stream(ctx, t, c, "Chat")
		sent := make(chan error, 1)
		go func() {
			for i, n := range sizes {
				if err := chat.SendMsg(&message{Value: bytes.Repeat([]byte{byte(i)}, n)}); err != nil {
					sent <- err
					return
				}
			}
			sent <- chat.CloseSend()
		}()
		for i, n := range sizes {
			out := &message{}
			if err := chat.RecvMsg(out); err != nil || !bytes.Equal(out.Value, bytes.Repeat([]byte{byte(i)}, n)) {
				rt.Fatalf("message %d: %d bytes of %d, %v", i, len(out.Value), n, err)
			}
		}
		if err := chat.RecvMsg(&message{}); !errors.Is(err, io.EOF) {
			rt.Fatal(err)
		}
		if err := <-sent; err != nil {
			rt.Fatal(err)
		}
	})
}
