package sockjs_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/albion-lb/albion/sockjs"
)

// dialError is the status of a refused handshake.
func dialError(t *testing.T, url string) string {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), url, nil)
	if err == nil {
		_ = conn.CloseNow()
		return "101"
	}
	if resp == nil {
		t.Fatal(err)
	}
	return strconv.Itoa(resp.StatusCode)
}

func (s *service) dial(path string, o *websocket.DialOptions) *websocket.Conn {
	s.Helper()
	conn, _, err := websocket.Dial(s.Context(), s.web.URL+"/s"+path, o)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func (s *service) reads(conn *websocket.Conn, want string) {
	s.Helper()
	typ, got, err := conn.Read(s.Context())
	if err != nil {
		s.Fatalf("read: %v; want %q", err, want)
	}
	if typ != websocket.MessageText {
		s.Error("message is binary")
	}
	s.want(string(got), want)
}

// ends checks how the server closes.
func (s *service) ends(conn *websocket.Conn, code websocket.StatusCode, reason string) {
	s.Helper()
	_, msg, err := conn.Read(s.Context())
	var end websocket.CloseError
	if !errors.As(err, &end) || end.Code != code || end.Reason != reason {
		s.Errorf("read %q, %v; want close %d %q", msg, err, code, reason)
	}
}

func (s *service) writes(conn *websocket.Conn, typ websocket.MessageType, msg string) {
	s.Helper()
	if err := conn.Write(s.Context(), typ, []byte(msg)); err != nil {
		s.Fatal(err)
	}
}

func (s *service) receives(sess *sockjs.Session, want ...string) {
	s.Helper()
	for _, w := range want {
		if got, err := sess.Recv(s.Context()); got != w || err != nil {
			s.Fatalf("Recv = %q, %v; want %q", got, err, w)
		}
	}
}

func TestWebSocketCarriesFrames(t *testing.T) {
	s := serve(t, sockjs.Options{})
	conn := s.dial("/0/a/websocket", nil)
	s.reads(conn, "o")
	sess := s.session()
	s.writes(conn, websocket.MessageText, `["x","y"]`)
	s.writes(conn, websocket.MessageText, `"z"`)
	s.writes(conn, websocket.MessageText, `[]`)
	s.receives(sess, "x", "y", "z")
	if err := sess.Send("\u2028"); err != nil {
		t.Fatal(err)
	}
	s.reads(conn, `a["\u2028"]`)
	if err := sess.Close(4000, "enough"); err != nil {
		t.Fatal(err)
	}
	s.reads(conn, `c[4000,"enough"]`)
	s.ends(conn, websocket.StatusNormalClosure, "Normal closure")
}

func TestRawWebSocketCarriesMessages(t *testing.T) {
	s := serve(t, sockjs.Options{})
	conn := s.dial("/websocket", nil)
	sess := s.session()
	s.writes(conn, websocket.MessageText, "")
	s.writes(conn, websocket.MessageBinary, `["x"]`)
	s.receives(sess, "", `["x"]`)
	for _, msg := range []string{"\u2028", "a\xffb"} {
		if err := sess.Send(msg); err != nil {
			t.Fatal(err)
		}
	}
	s.reads(conn, "\u2028")
	s.reads(conn, "a\ufffdb")
	if err := sess.Close(4000, strings.Repeat("é", 100)); err != nil {
		t.Fatal(err)
	}
	s.ends(conn, 4000, strings.Repeat("é", 61))
}

func TestACodeThatAWebSocketMayNotCarryBecomesNormal(t *testing.T) {
	for _, code := range []int{-1, 0, 999, 1004, 1005, 1006, 1015, 2010, 5000, 1 << 40} {
		s := serve(t, sockjs.Options{})
		conn := s.dial("/websocket", nil)
		if err := s.session().Close(code, "why"); err != nil {
			t.Fatal(err)
		}
		s.ends(conn, websocket.StatusNormalClosure, "why")
	}
}

func TestAWebSocketsEndIsItsSessions(t *testing.T) {
	s := serve(t, sockjs.Options{})
	conn := s.dial("/0/a/websocket", nil)
	s.reads(conn, "o")
	sess := s.session()
	s.writes(conn, websocket.MessageText, `"last"`)
	if err := conn.Close(websocket.StatusGoingAway, ""); err != nil {
		t.Fatal(err)
	}
	<-sess.Done()
	s.receives(sess, "last")
}

func TestWebSocketsAreBounded(t *testing.T) {
	s := serve(t, sockjs.Options{MaxMessage: 16})
	conn := s.dial("/websocket", nil)
	s.writes(conn, websocket.MessageText, strings.Repeat("x", 17))
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("read: %v; want close 1009", err)
	}
	<-s.session().Done()
}

func TestTextThatIsNoneEndsTheWebSocket(t *testing.T) {
	s := serve(t, sockjs.Options{})
	conn := s.dial("/websocket", nil)
	s.writes(conn, websocket.MessageText, "\xff")
	s.ends(conn, websocket.StatusInvalidFramePayloadData, "not UTF-8")
	<-s.session().Done()
}

func TestAStuckHandlerHoldsTheWebSocketBack(t *testing.T) {
	s := serve(t, sockjs.Options{MaxQueue: 100})
	conn := s.dial("/websocket", nil)
	sess := s.session()
	msg := strings.Repeat("x", 1<<16)
	done := make(chan error)
	go func() {
		var err error
		for range 200 {
			if err = conn.Write(t.Context(), websocket.MessageText, []byte(msg)); err != nil {
				break
			}
		}
		done <- err
	}()
	for range 200 {
		s.receives(sess, msg)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHeartbeatsAndPings(t *testing.T) {
	s := serve(t, sockjs.Options{HeartbeatDelay: time.Millisecond})
	pinged := make(chan struct{}, 1)
	o := &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
		select {
		case pinged <- struct{}{}:
		default:
		}
		return true
	}}
	conn := s.dial("/0/a/websocket", o)
	s.reads(conn, "o")
	s.reads(conn, "h")
	s.reads(conn, "h") // by then the first ping has been answered
	<-pinged
	raw := s.dial("/websocket", o)
	read := raw.CloseRead(t.Context())
	<-pinged
	if read.Err() != nil {
		t.Error("a heartbeat reached a raw WebSocket")
	}
}

func TestShutdownClosesWebSockets(t *testing.T) {
	s := serve(t, sockjs.Options{})
	framed := s.dial("/0/a/websocket", nil)
	s.reads(framed, "o")
	s.session()
	raw := s.dial("/websocket", nil)
	if err := s.session().Send("last words"); err != nil {
		t.Fatal(err)
	}
	down := make(chan error)
	go func() { down <- s.server.Shutdown(t.Context()) }()
	s.reads(framed, `c[3000,"Go away!"]`)
	s.ends(framed, websocket.StatusNormalClosure, "Normal closure")
	s.reads(raw, "last words")
	s.ends(raw, 3000, "Go away!")
	if err := <-down; err != nil {
		t.Error(err)
	}
	s.want(dialError(t, s.web.URL+"/s/websocket"), "503")
}

func TestBrokenHandshakes(t *testing.T) {
	s := serve(t, sockjs.Options{})
	for name, h := range map[string]http.Header{
		"version": {"Sec-Websocket-Version": {"6"}, "Sec-Websocket-Key": {"x3JJHMbDL1EzLkh9GBhXDw=="}},
		"no key":  {"Sec-Websocket-Version": {"13"}},
		"key":     {"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x"}},
		"hixie":   {"Sec-Websocket-Key1": {"1"}, "Sec-Websocket-Key2": {"1 "}},
		"hixie 2": {"Sec-Websocket-Key1": {"1 "}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.web.URL+"/s/websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		resp, err := s.web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d; want 400", name, resp.StatusCode)
		}
	}
}
