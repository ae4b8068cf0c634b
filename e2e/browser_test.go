package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// Mixed content: a page that came over HTTPS may not speak to plain HTTP.
func TestBrowserBlocksPlainHTTP(t *testing.T) {
	s := newStage(t)
	b := chromium(t, s.status().Authority)
	for name, want := range map[string]string{
		"our client": "closed: 1002", // the browser lets it ask for nothing
		// It looks at the page's address first, and does not even ask.
		"sockjs-client": "Error: SecurityError: An insecure SockJS connection may not be initiated from a page loaded over HTTPS",
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, b, with(s.pageOrigin(), "server", s.plain(), "client", clients(s)[name]))
			p.until(`/blocks/.test(document.getElementById('notice').textContent)`)

			// What a page's author would type, in the page's own console.
			got := evaluate[string](p, fmt.Sprintf(`new Promise((done) => {
				const sock = new SockJS(%q);
				sock.onopen = () => done('it opened');
				sock.onclose = (e) => done('closed: ' + e.code);
			}).catch(String)`, s.plain()+"/chat"))
			if got != want {
				t.Errorf("new SockJS of a plain address: %s", got)
			}
			got = evaluate[string](p, fmt.Sprintf(`fetch(%q).then(() => 'an answer', (e) => e.name)`, s.plain()+"/chat/info"))
			if got != "TypeError" {
				t.Errorf("fetch of a plain address: %s", got)
			}
			got = evaluate[string](p, fmt.Sprintf(`(() => {
				try { new WebSocket(%q); return 'nothing'; } catch (e) { return e.name; }
			})()`, strings.Replace(s.plain(), "http://", "ws://", 1)+"/chat/websocket"))
			if got != "SecurityError" {
				t.Errorf("new WebSocket of a plain address throws %s", got)
			}
			wantBlocked(t, p, s.plain()+"/chat/info")
		})
	}
	t.Run("and the same page works over plain HTTP", func(t *testing.T) {
		p := open(t, b, s.plain())
		p.connected("websocket")
		p.clean()
	})
}

// wantBlocked wants the browser to have said why it asked nothing of an address.
func wantBlocked(t *testing.T, p *tab, address string) {
	t.Helper()
	sockets, answers, blocked, faults := p.seen()
	if len(sockets) > 0 {
		t.Errorf("the browser opened %+v", sockets)
	}
	said := strings.Join(faults, "\n")
	if !strings.Contains(said, "Mixed Content") || !strings.Contains(said, address) {
		t.Errorf("the console says nothing of mixed content at %s: %q", address, faults)
	}
	if !strings.Contains(strings.Join(blocked, "\n"), "mixed-content "+address) {
		t.Errorf("blocked: %q", blocked)
	}
	for _, a := range answers {
		if strings.Contains(a, address) {
			t.Errorf("answered: %s", a)
		}
	}
}

// clients are the SockJS clients, by name, as ?client= has them: the page's own
// and the one that most pages use.
func clients(s *stage) map[string]string {
	return map[string]string{"our client": "", "sockjs-client": s.pageOrigin() + "/npm/sockjs.min.js"}
}

// The same page with Albion in front of the servers: it chats, from Albion's own
// address and from another, by WebSocket and without, with either client.
func TestBrowserChatsThroughAlbion(t *testing.T) {
	s := newStage(t)
	b := chromium(t, s.status().Authority)
	rooms := 0
	for name, client := range clients(s) {
		for _, c := range []struct {
			from, address, server, transport, script string
		}{
			{"same origin, WebSocket", s.origin(), "", "websocket", ""},
			{"same origin, XHR streaming", s.origin(), "", "xhr-streaming", withoutWebSocket},
			{"cross-origin, WebSocket", s.pageOrigin(), s.origin(), "websocket", ""},
			{"cross-origin, XHR streaming", s.pageOrigin(), s.origin(), "xhr-streaming", withoutWebSocket},
		} {
			t.Run(name+", "+c.from, func(t *testing.T) {
				rooms++
				room := fmt.Sprint("room-", rooms)
				address := with(c.address, "server", c.server, "client", client)
				ada, bo := open(t, b, address, c.script), open(t, b, address, c.script)
				chatOnBothServers(t, ada, bo, c.transport, room)
				for _, p := range []*tab{ada, bo} {
					wantTransport(t, p, s, c.transport)
					p.clean()
				}
			})
		}
	}
}

// chatOnBothServers lets two tabs, each connected to another chat server, talk.
func chatOnBothServers(t *testing.T, ada, bo *tab, transport, room string) {
	t.Helper()
	ada.connectedTo(transport, "one")
	bo.connectedTo(transport, "two")
	ada.join("ada", room)
	bo.join("bo", room)
	ada.until(`document.querySelector('#people li[data-name="bo"]')`)
	ada.say("Is it green?")
	bo.sees("Is it green?")
	bo.say("안녕하세요 👋 <b>yes</b>")
	ada.sees("Is it green?", "안녕하세요 👋 <b>yes</b>")
	ada.say("At last.")
	for _, p := range []*tab{ada, bo} {
		p.sees("Is it green?", "안녕하세요 👋 <b>yes</b>", "At last.")
		wantOnce(t, p, 3)
		if !evaluate[bool](p, `location.protocol === 'https:' && isSecureContext`) {
			t.Error("the page is not secure")
		}
	}
}

// wantTransport wants the browser to have used one transport and no other, and
// to have spoken to nobody but Albion and the page's server.
func wantTransport(t *testing.T, p *tab, s *stage, transport string) {
	t.Helper()
	sockets, answers, _, _ := p.seen()
	streams := 0
	for _, a := range answers {
		if strings.Contains(a, "/xhr_streaming") {
			streams++
		}
		if !strings.Contains(a, " "+s.origin()+"/") && !strings.Contains(a, " "+s.pageOrigin()+"/") {
			t.Errorf("answered by a stranger: %s", a)
		}
	}
	for _, socket := range sockets {
		if !strings.HasPrefix(socket.url, strings.Replace(s.origin(), "https://", "wss://", 1)+"/chat/") {
			t.Errorf("a WebSocket to %s", socket.url)
		}
	}
	switch transport {
	case "websocket":
		if len(sockets) == 0 || streams > 0 {
			t.Errorf("%d WebSockets and %d streams", len(sockets), streams)
		}
	default:
		if len(sockets) > 0 || streams == 0 {
			t.Errorf("%d WebSockets and %d streams", len(sockets), streams)
		}
	}
}

// wantOnce wants n messages to have reached the page, each once and in order.
func wantOnce(t *testing.T, p *tab, n int) {
	t.Helper()
	ids := p.heard()
	if len(ids) != n {
		t.Errorf("%d messages reached the page, want %d: %v", len(ids), n, ids)
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			t.Errorf("message %v came after %v", ids[i], ids[i-1])
		}
	}
}
