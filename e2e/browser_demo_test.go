package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// What somebody sees who types `albion demo` and opens what it says: a warning
// until the CA is imported, then the chat, on a desk and on a phone.
func TestBrowserShowsTheDemo(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	dir := t.TempDir()
	https, http := freePort(t), freePort(t)
	p := start(t, filepath.Join(buildPrograms(t), "albion"), "demo", "--data", dir,
		"--https-port", fmt.Sprint(https), "--http-port", fmt.Sprint(http))
	address := p.says(`Open +(https://localhost:\d+/)`)
	authority, err := os.ReadFile(p.says(`\n +(/\S+\.pem)\n`))
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, address)
	b := chromium(t, string(authority))
	// The plain address leads to the other.
	ada, bo, kim := open(t, b, fmt.Sprintf("http://localhost:%d", http)), open(t, b, address), open(t, b, address+"?transports=xhr-streaming")
	if at := evaluate[string](ada, `location.href`); at != address {
		t.Errorf("the plain address leads to %s, want %s", at, address)
	}
	converse(t, ada, bo, kim)
	for _, c := range []struct {
		name          string
		width, height int64
		phone         bool
	}{{"desk", 1280, 800, false}, {"phone", 390, 844, true}} {
		t.Run(c.name, func(t *testing.T) {
			size := chromedp.EmulateViewport(c.width, c.height)
			if c.phone {
				size = chromedp.EmulateViewport(c.width, c.height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
			}
			ada.do(size)
			ada.until(fmt.Sprintf(`innerWidth === %d && document.getAnimations().every((a) => a.playState === 'finished')`, c.width))
			wantFitting(t, ada)
			ada.picture(filepath.Join(t.ArtifactDir(), "chat-"+c.name+".png"))
		})
	}
	for _, p := range []*tab{ada, bo, kim} {
		p.clean()
	}
}

// wantRefused wants a browser that does not know the CA to refuse the address:
// what the other tests see is not for free.
func wantRefused(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium(t, ""))
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("a browser that does not know the CA says %v", err)
	}
}

// converse lets three people talk, so that there is something to look at.
func converse(t *testing.T, ada, bo, kim *tab) {
	t.Helper()
	ada.connected("websocket")
	ada.join("ada", "lobby")
	bo.join("bo", "lobby")
	kim.connected("xhr-streaming")
	lines := []struct {
		who  *tab
		text string
	}{
		{ada, "Morning! Is the certificate on the new address yet?"},
		{bo, "Yes, since last night. The padlock is there on my phone too."},
		{bo, "And http:// sends you on to https:// by itself."},
		{kim, "Nice. I'm behind a proxy that eats WebSockets, so this goes by XHR. Looks the same from here."},
		{ada, "That was the plan :)"},
		{ada, "Notes are at https://example.com/notes?id=7, please add what I forgot."},
		{bo, "On it."},
	}
	var texts []string
	for i, line := range lines {
		if i == 3 {
			kim.join("kim", "lobby")
		}
		line.who.say(line.text)
		texts = append(texts, line.text)
		line.who.sees(texts...)
	}
	for _, p := range []*tab{ada, bo, kim} {
		p.sees(texts...)
		p.until(`document.querySelectorAll('#people li').length === 3`)
	}
}

// wantFitting wants nothing to stick out of the window, and what one needs to
// be in it.
func wantFitting(t *testing.T, p *tab) {
	t.Helper()
	if wide := evaluate[int](p, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("the page is %d pixels too wide", wide)
	}
	out := evaluate[[]string](p, `['here', 'state', 'message', 'send', 'leave'].filter((id) => {
		const r = document.getElementById(id).getBoundingClientRect();
		return r.width === 0 || r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight;
	})`)
	if len(out) > 0 {
		t.Errorf("not in the window: %q", out)
	}
	hidden := evaluate[bool](p, `(() => {
		const last = [...document.querySelectorAll('#messages .text')].pop().getBoundingClientRect();
		return last.bottom > document.getElementById('compose').getBoundingClientRect().top;
	})()`)
	if hidden {
		t.Error("the last message is hidden")
	}
}
