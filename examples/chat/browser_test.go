package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/albion-lb/albion/examples/chat/chattest"
	"github.com/albion-lb/albion/examples/chat/room"
)

// browser starts a Chromium; tabs of it share nothing.
func browser(t *testing.T) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("this test needs a browser: apt-get install -y --no-install-recommends chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("the browser ended with %v", err)
		}
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is a page that is open.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// open opens a page. What the page throws, and what its policy forbids, is
// collected in the page and looked at by clean.
func open(t *testing.T, browser context.Context, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	p.do(chromedp.Navigate(url), chromedp.WaitVisible("#name"))
	p.eval(`window.faults = [];
		addEventListener('error', (e) => faults.push(e.message));
		addEventListener('unhandledrejection', (e) => faults.push(String(e.reason)));
		addEventListener('securitypolicyviolation', (e) => faults.push(e.violatedDirective));`)
	return p
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Text("body"))
		p.t.Fatalf("%v; the page says:\n%s", err, text)
	}
}

func (p *tab) eval(script string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[any](script+"\n;null")); err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
}

func (p *tab) text(script string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("String("+script+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return s
}

// until waits for a JavaScript expression to be true.
func (p *tab) until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 40*time.Second)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[any](`new Promise((done) => {
		const look = () => { if (`+expression+`) done(null); else setTimeout(look, 20); };
		look();
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Text("body"))
		p.t.Fatalf("%s: %v; the page says:\n%s", expression, err, text)
	}
}

func (p *tab) join(name string) {
	p.t.Helper()
	p.do(chromedp.SetValue("#name", name), chromedp.SetValue("#room", "lobby"), chromedp.Click("#join"))
	p.until(`document.querySelector('#people li[data-name="` + name + `"]') && document.getElementById('entry').hidden`)
}

func (p *tab) say(text string) {
	p.t.Helper()
	p.do(chromedp.SendKeys("#message", text), chromedp.Click("#send"))
}

func (p *tab) sees(texts ...string) {
	p.t.Helper()
	last := texts[len(texts)-1]
	said := `[...document.querySelectorAll('#messages li[data-id] .text')].map((e) => e.textContent)`
	p.until(said + fmt.Sprintf(`.includes(%q)`, last))
	if got := p.text(said + `.join('|')`); got != strings.Join(texts, "|") {
		p.t.Errorf("the page shows %q, want %q", got, strings.Join(texts, "|"))
	}
}

func (p *tab) connected(transport string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector('#state[data-state=connected][data-transport=%q]')`, transport))
}

func (p *tab) clean() {
	p.t.Helper()
	if got := p.text(`faults.join('; ')`); got != "" {
		p.t.Errorf("the page had trouble: %s", got)
	}
}

func TestThreePeopleTalkByThreeTransports(t *testing.T) {
	s := chattest.Serve(t, room.Config{Instance: "one"})
	b := browser(t)
	ada := open(t, b, s.URL+"/")
	bo := open(t, b, s.URL+"/?transports=xhr-streaming")
	kim := open(t, b, s.URL+"/?transports=xhr")
	ada.join("ada")
	bo.join("bo")
	kim.join("kim")
	ada.connected("websocket")
	bo.connected("xhr-streaming")
	kim.connected("xhr")
	ada.until(`document.querySelectorAll('#people li').length === 3`)
	bomb := `<img src=x onerror="faults.push('xss')"><b>bold</b> https://example.com/?a=<script>`
	ada.say("one")
	bo.sees("one")
	bo.say(bomb)
	kim.sees("one", bomb)
	kim.say("three")
	for _, p := range []*tab{ada, bo, kim} {
		p.sees("one", bomb, "three")
		if got := p.text(`document.querySelectorAll('#messages img, #messages .text b, #messages script').length`); got != "0" {
			t.Errorf("a message became %s elements", got)
		}
		if got := p.text(`document.querySelector('#messages a').href`); got != "https://example.com/?a=" {
			t.Errorf("the link leads to %q", got)
		}
	}
	bo.do(chromedp.Click("#rename"), chromedp.SetValue("#name", "ada"), chromedp.Click("#join"))
	bo.until(`/has that name/.test(document.getElementById('entry-error').textContent)`)
	bo.do(chromedp.SetValue("#name", "bea"), chromedp.Click("#join"))
	ada.until(`document.querySelector('#people li[data-name="bea"]')`)
	for _, p := range []*tab{ada, bo, kim} {
		p.clean()
	}
}

func TestUnreadRoomsAreMarked(t *testing.T) {
	s := chattest.Serve(t, room.Config{})
	b := browser(t)
	ada, bo := open(t, b, s.URL+"/"), chattest.Dial(t, s.Address)
	ada.join("ada")
	bo.Join(t, "garden", "bo", 0)
	ada.do(chromedp.Click("#another"), chromedp.SetValue("#room", "garden"), chromedp.Click("#join"))
	ada.until(`document.getElementById('here').textContent === '#garden'`)
	ada.do(chromedp.Click(`#rooms li[data-room=lobby] button`))
	bo.Post(t, "garden", "red")
	bo.Post(t, "garden", "ripe")
	ada.until(`document.querySelector('#rooms li[data-room=garden] .badge')?.firstChild.textContent === '2'`)
	if got := ada.text(`document.title`); !strings.HasPrefix(got, "(2) lobby") {
		t.Errorf("the title is %q", got)
	}
	ada.do(chromedp.Click(`#rooms li[data-room=garden] button`))
	ada.sees("red", "ripe")
	if got := ada.text(`document.querySelectorAll('#messages .new').length + ' ' + document.querySelectorAll('.badge').length`); got != "1 0" {
		t.Errorf("marks of what is new, badges: %s", got)
	}
	ada.clean()
}

// A page that was served elsewhere keeps its conversation while the server
// that it speaks to goes away and another takes its place.
func TestAPageMovesToAnotherServer(t *testing.T) {
	messages, names := room.NewMemoryLog(time.Now), room.NewMemoryTable()
	c := room.Config{Log: messages, Table: names}
	one, two, pages := chattest.Serve(t, c), chattest.Serve(t, c), chattest.Serve(t, room.Config{})
	b := browser(t)
	ada := open(t, b, pages.URL+"/?server="+one.URL)
	bo := chattest.Dial(t, two.Address)
	bo.Join(t, "lobby", "bo", 0)
	ada.join("ada")
	ada.connected("websocket")
	ada.say("before")
	ada.sees("before")
	if got := ada.text(`document.querySelector('#state').title`); !strings.Contains(got, strings.TrimPrefix(one.URL, "http://")) {
		t.Errorf("the page says that it is connected to %q", got)
	}
	one.Stop()
	ada.until(`document.querySelector('#state').dataset.state !== 'connected'`)
	bo.Post(t, "lobby", "meanwhile")
	ada.say("after")                                                        // waits in the page
	three := chattest.ServeAt(t, strings.TrimPrefix(one.URL, "http://"), c) // where one was
	ada.connected("websocket")
	ada.sees("before", "meanwhile", "after")
	if got := ada.text(`document.querySelectorAll('#messages .system').length`); got != "0" {
		t.Errorf("the move was announced %s times", got)
	}
	three.Stop()
}

func TestAReloadKeepsNameRoomsAndMessages(t *testing.T) {
	s := chattest.Serve(t, room.Config{})
	ada, bo := open(t, browser(t), s.URL+"/"), chattest.Dial(t, s.Address)
	bo.Join(t, "lobby", "bo", 0)
	ada.join("ada")
	bo.Next(t, "presence")
	ada.say("one")
	ada.sees("one")
	ada.do(chromedp.Reload())
	ada.until(`document.getElementById('entry').hidden`)
	ada.sees("one")
	ada.say("two")
	ada.sees("one", "two")
	for {
		f := bo.Any(t)
		if f.Type == "presence" {
			t.Errorf("the reload was announced: %+v", f)
		}
		if f.Text == "two" {
			break
		}
	}
}

// What lies between can break WebSockets, or hold streams back.
func TestTransportsGiveWay(t *testing.T) {
	for _, c := range []struct{ name, breaks, want string }{
		{"no WebSocket", "/websocket", "xhr-streaming"},
		{"no streams either", "/websocket /xhr_streaming", "xhr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			chat := chattest.Serve(t, room.Config{})
			web := httptest.NewServer(broken(t, chat.URL, strings.Fields(c.breaks)))
			t.Cleanup(web.Close)
			p := open(t, browser(t), chat.URL+"/?server="+web.URL)
			p.join("ada")
			p.connected(c.want)
			p.say("through")
			p.sees("through")
		})
	}
}

// broken passes requests on, except those that end as given.
func broken(t *testing.T, to string, ends []string) http.Handler {
	t.Helper()
	at, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(at) },
		Transport:     &http.Transport{DisableKeepAlives: true},
		ErrorLog:      log.New(io.Discard, "", 0), // a tab that closes cuts its requests
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, end := range ends {
			if strings.HasSuffix(r.URL.Path, end) {
				http.Error(w, "Not through here.", http.StatusForbidden)
				return
			}
		}
		pass.ServeHTTP(w, r)
	})
}
