package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// talk lets the page say something every 200 ms, which is as often as the chat
// allows, until hush. What is said is numbered.
const talk = `(() => {
	window.said = 0;
	window.talking = setInterval(() => {
		document.getElementById('message').value = document.getElementById('my-name').textContent + ' ' + window.said++;
		document.getElementById('compose').requestSubmit();
	}, 200);
})()`

const hush = `clearInterval(window.talking); window.said`

// A chat server is taken out of the file and put back while two tabs talk, each
// connected to another server. Nothing that is said is lost or comes twice, and
// whoever is connected to the server that stays notices nothing.
func TestBrowserLosesNothingWhileATargetDrains(t *testing.T) {
	s := newStage(t)
	b := chromium(t, s.status().Authority)
	for _, c := range []struct{ transport, script string }{
		{"websocket", ""},
		{"xhr-streaming", withoutWebSocket},
	} {
		t.Run(c.transport, func(t *testing.T) {
			s := s.on(t)
			ada, bo := open(t, b, s.origin(), c.script), open(t, b, s.origin())
			ada.connectedTo(c.transport, "one")
			bo.connectedTo("websocket", "two")
			ada.join("ada", c.transport)
			bo.join("bo", c.transport)
			before, _, _, _ := bo.seen()
			for _, p := range []*tab{ada, bo} {
				evaluate[any](p, talk+`;null`)
			}
			bo.until(sawOf("ada", 5))

			s.drainOne(t, b, ada, c.transport)
			s.comeAndGo(t, bo)

			total := evaluate[int](ada, hush) + evaluate[int](bo, hush)
			for _, p := range []*tab{ada, bo} {
				p.until(fmt.Sprintf(`document.querySelectorAll('#messages li[data-id]').length >= %d`, total))
				wantOnce(t, p, total)
				wantAllSaid(t, p)
			}
			if a, b := ada.texts(), bo.texts(); !slices.Equal(a, b) {
				t.Errorf("the tabs show different conversations:\n%q\n%q", a, b)
			}
			wantUncut(t, bo, len(before))
		})
	}
}

// sawOf is true in a page that has seen that many messages of a person.
func sawOf(name string, n int) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#messages .text')].filter((e) => e.textContent.startsWith(%q)).length > %d`, name+" ", n)
}

// drainOne takes the server that ada is connected to out of the file.
func (s *stage) drainOne(t *testing.T, browser context.Context, ada *tab, transport string) {
	t.Helper()
	sockets, _, _, _ := ada.seen()
	s.write("two")
	s.until("chat server one drains", func(state status) bool { return state.target(s.servers["one"]).State == "draining" })
	// The session lives on: its target is still there, and may finish its work.
	said := evaluate[int](ada, `window.said`)
	ada.until(fmt.Sprintf(`[...document.querySelectorAll('#messages li[data-id] .text')].some((e) => e.textContent === 'ada %d')`, said+2))
	if at := ada.connected(transport); at != "one" {
		t.Errorf("the session was sent to chat server %s while its own still drained", at)
	}
	if now, _, _, _ := ada.seen(); transport == "websocket" && (len(now) != len(sockets) || now[len(now)-1].closed) {
		t.Errorf("a socket of the draining target was cut early: %d before, now %+v", len(sockets), now)
	}
	kim := open(t, browser, s.origin())
	for range 3 {
		if at := kim.connected("websocket"); at != "two" {
			t.Errorf("a new session came to chat server %s, which drains", at)
		}
		kim.do(chromedp.Reload(), chromedp.WaitVisible("#name"))
	}
	ada.until(`document.querySelector('#state[data-state=connected]')?.dataset.instance === 'two'`)
	s.until("chat server one is gone", func(state status) bool { return state.target(s.servers["one"]).State == "" })
	if now, _, _, _ := ada.seen(); transport == "websocket" && (len(now) != len(sockets)+1 || !now[len(now)-2].closed) {
		t.Errorf("the sockets after draining: %+v", now)
	}
}

// comeAndGo puts the server back into the file, changes other things, and says
// the same again.
func (s *stage) comeAndGo(t *testing.T, bo *tab) {
	t.Helper()
	s.status()
	s.write("one", "two")
	s.applied("chat server one is back")
	s.until("chat server one is healthy", func(state status) bool { return state.target(s.servers["one"]).State == "healthy" })
	for _, body := range []string{"a", "b"} {
		s.writeWith(fmt.Sprintf("        rules:\n          - {priority: 10, path: [/rule], fixed_response: {status: 200, content_type: text/plain, body: %s}}\n", body), "one", "two")
		s.applied("a rule is added and changed")
	}
	if got := evaluate[string](bo, `fetch('/rule').then((a) => a.text())`); got != "b" {
		t.Errorf("the new rule answers %q", got)
	}
	s.write("one", "two")
	s.applied("the rule is removed")
}

// wantAllSaid wants every message of both to be there once, and each one's in
// the order in which they were said.
func wantAllSaid(t *testing.T, p *tab) {
	t.Helper()
	next := map[string]int{}
	for _, text := range p.texts() {
		name, _, _ := strings.Cut(text, " ")
		if text != fmt.Sprint(name, " ", next[name]) {
			t.Errorf("%q, and %s %d was expected", text, name, next[name])
		}
		next[name]++
	}
}

// wantUncut wants the last of n sockets to be the last still, and open, and the
// browser to have received in its frames what the page has heard.
func wantUncut(t *testing.T, p *tab, n int) {
	t.Helper()
	sockets, _, _, faults := p.seen()
	if len(sockets) != n || sockets[n-1].closed {
		t.Errorf("a socket of the other target was cut: %d before, now %+v", n, sockets)
	}
	if ids, heard := sockets[len(sockets)-1].ids, p.heard(); !slices.Equal(ids, heard) {
		t.Errorf("the frames held %v, the page heard %v", ids, heard)
	}
	if len(faults) > 0 {
		t.Errorf("the browser complains: %q", faults)
	}
}
