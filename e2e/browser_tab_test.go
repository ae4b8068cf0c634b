package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// chromium starts a browser with a profile of its own. It finds *.test on this
// machine, and trusts, besides what every browser does, the given CA (PEM; none:
// ""), as if its user had imported it: certificate errors are still errors.
func chromium(t *testing.T, authority string) context.Context {
	t.Helper()
	needs(t, "chromium", "chromium")
	home := t.TempDir()
	if authority != "" {
		trust(t, home, authority)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("headless", "new"), chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), chromedp.Flag("no-proxy-server", true),
		chromedp.WindowSize(1280, 800), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 90*time.Second)
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

// trust imports a CA where Chromium looks for what its user trusts.
func trust(t *testing.T, home, authority string) {
	t.Helper()
	needs(t, "certutil", "libnss3-tools")
	db, file := filepath.Join(home, ".pki", "nssdb"), filepath.Join(home, "ca.pem")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(authority), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "albion", "-i", file}} {
		if out, err := exec.CommandContext(t.Context(), "certutil", append(args, "-d", "sql:"+db)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
}

// listens notes the id of every message that reaches the page, whatever brought
// it, before the page looks at it: a message that comes twice is there twice.
const listens = `window.heard = [];
const parse = JSON.parse;
JSON.parse = function (...given) {
  const value = parse.apply(this, given);
  if (value && value.type === 'message') window.heard.push(value.id);
  return value;
};`

// withoutWebSocket is what a browser is like whose WebSockets are disabled.
const withoutWebSocket = `delete window.WebSocket;`

// tab is an open page and what the browser has told of it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex // guards what follows
	sockets []*tabSocket
	asked   map[network.RequestID]string // URLs
	answers []string                     // "STATUS URL"
	blocked []string                     // "REASON URL"
	faults  []string                     // errors on the console
}

// tabSocket is one WebSocket, as the browser saw it.
type tabSocket struct {
	id     network.RequestID
	url    string
	ids    []float64 // of the chat's messages in its frames
	closed bool
}

// open opens a page in a tab that shares nothing with others. The scripts run
// before the page's own.
func open(t *testing.T, browser context.Context, address string, scripts ...string) *tab {
	t.Helper()
	p := &tab{t: t, asked: map[network.RequestID]string{}}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.note))
	t.Cleanup(cancel)
	p.ctx = ctx
	t.Cleanup(p.keep)
	// The first run makes the tab, and a deadline of it would be the tab's.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument,
			page.AddScriptToEvaluateOnNewDocumentParams{Source: strings.Join(append([]string{listens}, scripts...), "\n")})
		return err
	}), chromedp.Navigate(address), chromedp.WaitVisible("#name"))
	return p
}

// note takes what the browser tells; it must not block.
func (p *tab) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked[e.RequestID] = e.Request.URL
	case *network.EventResponseReceived:
		p.answers = append(p.answers, fmt.Sprintf("%d %s", int(e.Response.Status), e.Response.URL))
	case *network.EventLoadingFailed:
		if e.BlockedReason != "" {
			p.blocked = append(p.blocked, fmt.Sprintf("%s %s", e.BlockedReason, p.asked[e.RequestID]))
		}
	case *network.EventWebSocketCreated:
		p.sockets = append(p.sockets, &tabSocket{id: e.RequestID, url: e.URL})
	case *network.EventWebSocketClosed:
		p.socket(e.RequestID).closed = true
	case *network.EventWebSocketFrameReceived:
		s := p.socket(e.RequestID)
		s.ids = append(s.ids, messageIDs(e.Response.PayloadData)...)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.faults = append(p.faults, e.Entry.Text)
		}
	}
}

// socket is the one with that id. The caller holds the lock.
func (p *tab) socket(id network.RequestID) *tabSocket {
	for _, s := range p.sockets {
		if s.id == id {
			return s
		}
	}
	return &tabSocket{}
}

// messageIDs are those of the chat's messages in one SockJS frame.
func messageIDs(frame []byte) (ids []float64) {
	var texts []string
	if len(frame) == 0 || frame[0] != 'a' || json.Unmarshal(frame[1:], &texts) != nil {
		return nil
	}
	for _, text := range texts {
		var m struct {
			Type string
			ID   any // a number in a message, text in others
		}
		if json.Unmarshal([]byte(text), &m) != nil || m.Type != "message" {
			continue
		}
		if id, ok := m.ID.(float64); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// seen returns a copy of what the browser has told.
func (p *tab) seen() (sockets []tabSocket, answers, blocked, faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sockets {
		c := *s
		c.ids = slices.Clone(s.ids)
		sockets = append(sockets, c)
	}
	return sockets, slices.Clone(p.answers), slices.Clone(p.blocked), slices.Clone(p.faults)
}

// keep saves a picture of the page when the test has failed.
func (p *tab) keep() {
	if !p.t.Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "albion-browser-")
	if err != nil {
		p.t.Logf("no picture: %v", err)
		return
	}
	p.t.Logf("the page at the end: %s", p.picture(filepath.Join(dir, "page.png")))
}

// picture saves what the tab shows, and returns the file's name.
func (p *tab) picture(file string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stagePatience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		p.t.Errorf("picture: %v", err)
	}
	return file
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stagePatience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v; the page says:\n%s", err, p.body())
	}
}

func (p *tab) body() string {
	ctx, cancel := context.WithTimeout(p.ctx, stagePatience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text("body"))
	if err != nil {
		return err.Error()
	}
	_, _, blocked, faults := p.seen()
	return strings.Join(slices.Concat([]string{text}, blocked, faults), "\n")
}

// evaluate runs JavaScript in the page, waits for a promise, and returns what
// comes out.
func evaluate[T any](p *tab, script string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stagePatience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v; the page says:\n%s", script, err, p.body())
	}
	return value
}

// until waits for a JavaScript expression to be true.
func (p *tab) until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stagePatience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(stageLook), chromedp.WithPollingTimeout(0))); err != nil {
		p.t.Fatalf("%s: %v; the page says:\n%s", expression, err, p.body())
	}
}

// connected waits for the connection, and returns which chat server it is to.
func (p *tab) connected(transport string) (instance string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector('#state[data-state=connected][data-transport=%q]')`, transport))
	return evaluate[string](p, `document.getElementById('state').dataset.instance`)
}

// connectedTo opens the page anew until it is connected to that chat server:
// where a new session goes is the balancer's choice.
func (p *tab) connectedTo(transport, instance string) {
	p.t.Helper()
	for range 20 {
		if p.connected(transport) == instance {
			return
		}
		p.do(chromedp.Reload(), chromedp.WaitVisible("#name"))
	}
	p.t.Fatalf("twenty new sessions, and none came to chat server %s", instance)
}

func (p *tab) join(name, room string) {
	p.t.Helper()
	p.do(chromedp.SetValue("#name", name), chromedp.SetValue("#room", room), chromedp.Click("#join"))
	p.until(`document.querySelector('#people li[data-name="` + name + `"]') && document.getElementById('entry').hidden`)
}

// say types a message and sends it.
func (p *tab) say(text string) {
	p.t.Helper()
	p.do(chromedp.SendKeys("#message", text), chromedp.Click("#send"))
}

// texts are the messages that the page shows as said, in order.
func (p *tab) texts() []string {
	p.t.Helper()
	return evaluate[[]string](p, `[...document.querySelectorAll('#messages li[data-id] .text')].map((e) => e.textContent)`)
}

// sees waits for the last message, and wants exactly these.
func (p *tab) sees(texts ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`[...document.querySelectorAll('#messages li[data-id] .text')].some((e) => e.textContent === %q)`, texts[len(texts)-1]))
	if got := p.texts(); !slices.Equal(got, texts) {
		p.t.Errorf("the page shows %q, want %q", got, texts)
	}
}

// heard are the ids of all messages that reached the page.
func (p *tab) heard() []float64 {
	p.t.Helper()
	return evaluate[[]float64](p, `window.heard`)
}

// clean wants the console without errors.
func (p *tab) clean() {
	p.t.Helper()
	if _, _, blocked, faults := p.seen(); len(blocked)+len(faults) > 0 {
		p.t.Errorf("the browser complains: %q", slices.Concat(blocked, faults))
	}
}

// with adds a query to an address.
func with(address string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return address + "/?" + q.Encode()
}
