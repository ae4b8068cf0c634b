package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
)

const (
	maxEndpoints = 3        // of a page that are opened
	maxPrelude   = 64 << 10 // before the first frame, in bytes
	stickyAsks   = 6        // requests of a session, each on a connection of its own
)

// lookAtSockets opens what the page opens, or the subject itself.
func (s *sight) lookAtSockets(ctx context.Context, e *eye) {
	if len(s.reachable(s.subject.HTTPS, open)) == 0 && s.page == nil {
		return
	}
	plain, sock := s.endpoints()
	for _, u := range plain {
		seen := e.socket(ctx, u, s.openerOrigin(u))
		seen.trust = e.elsewhere(ctx, s, u)
		s.sockets = append(s.sockets, seen)
	}
	for _, u := range sock.sure {
		seen := e.sockjs(ctx, u, s.openerOrigin(u))
		seen.trust = e.elsewhere(ctx, s, u)
		s.sockjs = append(s.sockjs, seen)
	}
	for _, u := range sock.guessed {
		if len(s.sockjs) > 0 {
			break
		}
		if info := e.info(ctx, u, s.openerOrigin(u)); info.status == http.StatusOK && info.err == nil {
			s.sockjs = append(s.sockjs, e.sockjs(ctx, u, s.openerOrigin(u)))
		}
	}
}

// candidates are addresses of SockJS endpoints: those that a page names, and
// places where one might be.
type candidates struct{ sure, guessed []*url.URL }

// endpoints finds what there is to open.
func (s *sight) endpoints() (sockets []*url.URL, sock candidates) {
	add := func(to []*url.URL, u *url.URL) []*url.URL {
		for _, known := range to {
			if known.String() == u.String() {
				return to
			}
		}
		if len(to) == maxEndpoints {
			return to
		}
		return append(to, u)
	}
	self := s.subject.URL
	if s.subject.Socket {
		sockets = add(sockets, self)
	} else if s.page == nil && self.Path != "/" {
		sock.guessed = append(sock.guessed, bare(self))
	}
	if s.page == nil {
		return sockets, sock
	}
	for _, r := range s.page.refs {
		if r.url == nil || r.insecure() {
			continue
		}
		switch r.kind {
		case refWebSocket:
			sockets = add(sockets, endpoint(r.url))
		case refSockJS:
			sock.sure = add(sock.sure, bare(r.url))
		}
	}
	if s.page.sockjs && len(sock.sure) == 0 {
		for _, path := range append(s.page.paths, "/chat", "/sockjs", "/ws", "/stomp", "/echo") {
			if u, err := s.page.url.Parse(path); err == nil {
				sock.guessed = append(sock.guessed, bare(u))
			}
		}
	}
	return sockets, sock
}

// bare is an endpoint without what does not belong to it.
func bare(u *url.URL) *url.URL {
	out := endpoint(u)
	out.RawQuery, out.Path, out.RawPath = "", strings.TrimRight(out.Path, "/"), ""
	return out
}

// sockjs opens every transport of an endpoint, each in a session of its own.
func (e *eye) sockjs(ctx context.Context, u *url.URL, from string) sockjsSeen {
	out := sockjsSeen{url: u, origin: from}
	out.info = e.info(ctx, u, from)
	if out.info.err != nil || out.info.status != http.StatusOK {
		return out
	}
	names := []string{"websocket", "xhr_streaming", "xhr", "eventsource", "htmlfile", "jsonp"}
	out.transports = make([]transportSeen, len(names))
	out.sticky = make([]stickySeen, 2)
	var all []func()
	for i, name := range names {
		all = append(all, func() { out.transports[i] = e.transport(ctx, u, name, from) })
	}
	all = append(all,
		func() { out.sticky[0] = e.sticky(ctx, u, true) },
		func() { out.sticky[1] = e.sticky(ctx, u, false) },
		func() { out.frame = e.frame(ctx, u) },
	)
	together(all...)
	return out
}

// info asks an endpoint what it can (SockJS 0.3.3, "Info test").
func (e *eye) info(ctx context.Context, u *url.URL, from string) infoSeen {
	h, body, _, err := e.get(ctx, u.JoinPath("info"), http.Header{"Origin": {from}})
	if err != nil {
		return infoSeen{err: err}
	}
	out := infoSeen{status: h.status, allow: h.header.Get("Access-Control-Allow-Origin"), creds: h.header.Get("Access-Control-Allow-Credentials") == "true"}
	if h.status != http.StatusOK {
		return out
	}
	var said struct {
		WebSocket *bool `json:"websocket"`
		Cookie    bool  `json:"cookie_needed"`
	}
	if json.Unmarshal(body, &said) != nil || said.WebSocket == nil {
		out.err = errors.New("what is answered there is not SockJS")
		return out
	}
	out.websocket, out.cookie = *said.WebSocket, said.Cookie
	return out
}

// frame reads the page that the iframe transports load.
func (e *eye) frame(ctx context.Context, u *url.URL) frameSeen {
	at := u.JoinPath("iframe.html")
	h, body, _, err := e.get(ctx, at, nil)
	if err != nil {
		return frameSeen{err: err}
	}
	out := frameSeen{status: h.status, options: h.header.Get("X-Frame-Options")}
	if h.status == http.StatusOK {
		out.scripts = scanHTML(at, body).refs
	}
	return out
}

// session is a fresh /SERVER/SESSION of an endpoint.
func session(u *url.URL) *url.URL {
	server, err := rand.Int(rand.Reader, big.NewInt(1000))
	if err != nil {
		server = new(big.Int)
	}
	return u.JoinPath(fmt.Sprintf("%03d", server.Int64()), "albion"+nonce()[:12])
}

// transport opens one session and waits for its first frame, "o".
func (e *eye) transport(ctx context.Context, u *url.URL, name, from string) transportSeen {
	out := transportSeen{name: name}
	at := session(u).JoinPath(name)
	if name == "websocket" {
		s := e.upgrade(ctx, at, from, true)
		out.status, out.err, out.began, out.opened = s.status, s.err, s.status != 0, s.opened
		return out
	}
	method := http.MethodPost
	switch name {
	case "eventsource":
		method = http.MethodGet
	case "htmlfile", "jsonp":
		method = http.MethodGet
		at.RawQuery = "c=albion"
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		out.err = err
		return out
	}
	r.Header.Set("Origin", from)
	r.Header.Set("User-Agent", agent)
	client := e.client(false)
	defer client.CloseIdleConnections()
	begun := e.cfg.Now()
	answer, err := client.Do(r)
	if err != nil {
		out.err = cause(err)
		return out
	}
	defer answer.Body.Close()
	out.began, out.status = true, answer.StatusCode
	if answer.StatusCode == http.StatusOK {
		out.opened, out.err = awaitOpen(answer.Body, name)
		out.took = e.cfg.Now().Sub(begun)
	}
	return out
}

// openFrame is how the first frame looks in each transport.
func openFrame(name string) string {
	switch name {
	case "eventsource":
		return "data: o\r\n"
	case "htmlfile":
		return `p("o");`
	case "jsonp":
		return `albion("o");`
	}
	return "o\n"
}

// awaitOpen reads until the first frame is there.
func awaitOpen(body io.Reader, name string) (bool, error) {
	want := []byte(openFrame(name))
	var read []byte
	buf := make([]byte, 4096)
	for len(read) < maxPrelude {
		n, err := body.Read(buf)
		read = append(read, buf[:n]...)
		if bytes.Contains(read, want) {
			return true, nil
		}
		if err == io.EOF {
			return false, errors.New("the answer ended without the first frame")
		}
		if err != nil {
			return false, cause(err)
		}
	}
	return false, errors.New("something else than SockJS answers")
}

// sticky opens a session and asks for it again on other connections: a server
// that does not know it answers 404. Nothing is sent to the application: the
// list of messages is empty.
func (e *eye) sticky(ctx context.Context, u *url.URL, cookies bool) stickySeen {
	out := stickySeen{cookies: cookies}
	at := session(u)
	var jar http.CookieJar
	if cookies {
		jar, out.err = cookiejar.New(nil)
	}
	post := func(to, body string) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.JoinPath(to).String(), strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("User-Agent", agent)
		client := e.client(false)
		client.Jar = jar
		defer client.CloseIdleConnections()
		answer, err := client.Do(r)
		if err != nil {
			return 0, cause(err)
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxPrelude))
		return answer.StatusCode, err
	}
	if status, err := post("xhr", ""); err != nil || status != http.StatusOK {
		out.err = err
		return out
	}
	var mu sync.Mutex // guards out
	each(stickyAsks, func(int) {
		status, err := post("xhr_send", "[]")
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			out.asked++
		}
		if status == http.StatusNotFound {
			out.lost++
		}
	})
	return out
}

// socket opens a WebSocket.
func (e *eye) socket(ctx context.Context, u *url.URL, from string) socketSeen {
	return e.upgrade(ctx, endpoint(u), from, false)
}

// websocketGUID is given by RFC 6455 §1.3.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// upgrade does the opening handshake of RFC 6455 §4.1, and of a SockJS session
// waits for the first frame.
func (e *eye) upgrade(ctx context.Context, u *url.URL, from string, frame bool) socketSeen {
	out := socketSeen{url: u}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		out.err = err
		return out
	}
	key := base64.StdEncoding.EncodeToString([]byte(nonce()[:16]))
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
		"Origin": from, "User-Agent": agent,
	} {
		r.Header.Set(k, v)
	}
	client := e.client(false)
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if err != nil {
		out.err = cause(err)
		return out
	}
	defer answer.Body.Close()
	out.status = answer.StatusCode
	if out.status != http.StatusSwitchingProtocols {
		return out
	}
	sum := sha1.Sum([]byte(key + websocketGUID))
	if answer.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		out.err = errors.New("the answer does not fit the question (Sec-WebSocket-Accept)")
		return out
	}
	if out.opened = !frame; frame {
		stop := context.AfterFunc(ctx, func() { answer.Body.Close() })
		defer stop()
		out.opened, out.err = readOpen(answer.Body)
	}
	return out
}

// readOpen reads one short text frame (RFC 6455 §5.2), which has to be "o".
func readOpen(r io.Reader) (bool, error) {
	var frame [3]byte
	if _, err := io.ReadFull(r, frame[:]); err != nil {
		return false, errors.New("the first frame did not come")
	}
	if frame != [3]byte{0x81, 1, 'o'} {
		return false, errors.New("the first frame is not SockJS's")
	}
	return true, nil
}
