package sockjs_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/albion-lb/albion/sockjs"
)

func idle(s *sockjs.Session) { <-s.Done() }

func TestPrefixes(t *testing.T) {
	for _, c := range []struct{ prefix, path string }{
		{"", "/"}, {"/", "/"}, {"/chat", "/chat"}, {"chat/", "/chat"}, {"/a/b/c", "/a/b/c/"},
	} {
		w := httptest.NewRecorder()
		sockjs.New(c.prefix, sockjs.Options{}, idle).ServeHTTP(w, httptest.NewRequest("GET", c.path, nil))
		if w.Code != http.StatusOK || w.Body.String() != "Welcome to SockJS!\n" {
			t.Errorf("prefix %q, path %q: %d %q", c.prefix, c.path, w.Code, w.Body)
		}
	}
}

func TestMethods(t *testing.T) {
	server := sockjs.New("/s", sockjs.Options{}, idle)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"HEAD", "/s", 200, ""},
		{"HEAD", "/s/info", 200, ""},
		{"HEAD", "/s/iframe.html", 200, ""},
		{"POST", "/s", 405, "GET, HEAD"},
		{"POST", "/s/info", 405, "OPTIONS, GET, HEAD"},
		{"DELETE", "/s/iframe.html", 405, "GET, HEAD"},
		{"OPTIONS", "/s/iframe.html", 405, "GET, HEAD"},
		{"GET", "/s/0/a/xhr", 405, "OPTIONS, POST"},
		{"HEAD", "/s/0/a/eventsource", 405, "OPTIONS, GET"},
		{"GET", "/s/0/a/xhr_send", 405, "OPTIONS, POST"},
		{"GET", "/s/0/a/jsonp_send", 405, "POST"},
		{"POST", "/s/websocket", 405, "GET"},
		{"GET", "/s/0/a/unknown", 404, ""},
		{"GET", "/s/0/a/info", 404, ""},
		{"POST", "/s/xhr", 404, ""},
		{"POST", "/s/0/a/jsonp_send", 404, ""},
		{"GET", "/s/0/a/jsonp?c=alert(1)", 500, ""},
		{"GET", "/s/0/a/htmlfile?c=" + strings.Repeat("x", 200), 500, ""},
	} {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", c.method, c.path, w.Code, w.Header().Get("Allow"), c.status, c.allow)
		}
	}
}

func TestIframePageEscapesItsScript(t *testing.T) {
	w := httptest.NewRecorder()
	server := sockjs.New("", sockjs.Options{ClientURL: `/a.js?b="><script>&c`}, idle)
	server.ServeHTTP(w, httptest.NewRequest("GET", "/iframe.html", nil))
	if want := `<script src="/a.js?b=&#34;&gt;&lt;script&gt;&amp;c"></script>`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("page has no %s:\n%s", want, w.Body)
	}
}

func TestIframePageIsKnownByItsTag(t *testing.T) {
	server := sockjs.New("", sockjs.Options{}, idle)
	w := httptest.NewRecorder()
	server.ServeHTTP(w, httptest.NewRequest("GET", "/iframe.html", nil))
	tag := w.Header().Get("ETag")
	for match, status := range map[string]int{
		tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/iframe.html", nil)
		r.Header.Set("If-None-Match", match)
		server.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("If-None-Match %s: %d; want %d", match, w.Code, status)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	o := sockjs.Options{CheckOrigin: func(r *http.Request) bool {
		return r.Header.Get("Origin") == "" || r.Header.Get("Origin") == "https://good.example"
	}}
	server := sockjs.New("/s", o, func(*sockjs.Session) {})
	for _, c := range []struct {
		method, path, header, origin string
		status                       int
	}{
		{"GET", "/s/info", "Origin", "https://good.example", 200},
		{"GET", "/s/info", "Origin", "", 200},
		{"GET", "/s/info", "Origin", "https://bad.example", 403},
		{"OPTIONS", "/s/info", "Origin", "https://bad.example", 403},
		{"POST", "/s/0/a/xhr", "Origin", "https://bad.example", 403},
		{"POST", "/s/0/a/xhr_send", "Origin", "https://bad.example", 403},
		{"GET", "/s/0/a/websocket", "Origin", "https://bad.example", 403},
		{"GET", "/s/0/a/websocket", "Sec-WebSocket-Origin", "https://bad.example", 403},
		{"GET", "/s/0/a/websocket", "Sec-WebSocket-Origin", "https://good.example", 400}, // no upgrade
		{"GET", "/s/iframe.html", "Origin", "", 404},
		{"GET", "/s/0/a/jsonp?c=x", "Origin", "", 404},
		{"GET", "/s/0/a/htmlfile?c=x", "Origin", "", 404},
		{"POST", "/s/0/a/jsonp_send", "Origin", "", 404},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.origin != "" {
			r.Header.Set(c.header, c.origin)
		}
		server.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s from %q: %d; want %d", c.method, c.path, c.origin, w.Code, c.status)
		}
	}
}

func TestAnswersVaryByOrigin(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("OPTIONS", "/s/0/a/xhr", nil)
	r.Header.Set("Origin", "https://page.example")
	sockjs.New("/s", sockjs.Options{}, idle).ServeHTTP(w, r)
	if w.Header().Get("Vary") != "Origin" || w.Header().Get("Access-Control-Allow-Origin") != "https://page.example" {
		t.Errorf("headers %v", w.Header())
	}
}

func TestAMessageCannotEndTheScriptAroundIt(t *testing.T) {
	s := serve(t, sockjs.Options{ResponseLimit: 1})
	s.want(s.do("GET", "/0/a/jsonp?c=f", ""), "200 f(\"o\");\r\n")
	if err := s.session().Send("</script><!--&\u2028"); err != nil {
		t.Fatal(err)
	}
	got := s.do("GET", "/0/a/htmlfile?c=f", "")
	want := "<script>\np(\"a[\\\"\\u003c/script\\u003e\\u003c!--\\u0026\\\\u2028\\\"]\");\n</script>\r\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("response ends with %.300q; want %q", got[max(0, len(got)-200):], want)
	}
}

func TestUpgradeNeedsTheConnectionHeader(t *testing.T) {
	for connection, want := range map[string]string{
		"close":                   `"Connection" must be "Upgrade".` + "\n",
		"upgrades":                `"Connection" must be "Upgrade".` + "\n",
		"keep-alive, Upgrade":     "",
		"keep-alive,x , upGRADE ": "",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/0/a/websocket", nil)
		r.Header.Set("Upgrade", "WebSocket")
		r.Header.Set("Connection", connection)
		r.Header.Set("Sec-WebSocket-Key1", "no-space")
		r.Header.Set("Sec-WebSocket-Key2", "broken")
		if want == "" {
			want = "Broken WebSocket key.\n"
		}
		sockjs.New("", sockjs.Options{}, idle).ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || w.Body.String() != want {
			t.Errorf("Connection %q: %d %q; want 400 %q", connection, w.Code, w.Body, want)
		}
	}
}

func TestStreamsOverHTTP2(t *testing.T) {
	sessions := make(chan *sockjs.Session, 1)
	server := sockjs.New("", sockjs.Options{}, func(s *sockjs.Session) {
		sessions <- s
		<-s.Done()
	})
	web := httptest.NewUnstartedServer(server)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	ctx, cut := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", web.URL+"/0/a/xhr_streaming", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("answer in %s", resp.Proto)
	}
	begin := make([]byte, 2048+len("\no\n"))
	if _, err := io.ReadFull(resp.Body, begin); err != nil || !strings.HasSuffix(string(begin), "h\no\n") {
		t.Fatalf("stream begins with %q, %v", begin, err)
	}
	cut()
	<-(<-sessions).Done()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Old browsers handle a stream chunk by chunk.
func TestEachFrameIsOneChunk(t *testing.T) {
	s := serve(t, sockjs.Options{})
	conn, err := net.Dial("tcp", s.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /s/0/a/xhr_streaming HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	for _, want := range []string{"801\r\n" + strings.Repeat("h", 2048) + "\n\r\n", "2\r\no\n\r\n"} {
		s.chunk(in, want)
	}
	long := strings.Repeat("x", 10000)
	if err := s.session().Send(long); err != nil {
		t.Fatal(err)
	}
	s.chunk(in, "2716\r\na[\""+long+"\"]\n\r\n")
}

func (s *service) chunk(in *bufio.Reader, want string) {
	s.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil {
		s.Fatal(err)
	}
	s.want(string(got), want)
}
