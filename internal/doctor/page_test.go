package doctor

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// opened is what a page's scripts open: kind, address, place.
func opened(t testing.TB, scripts ...string) []string {
	t.Helper()
	var read []script
	for i, s := range scripts {
		read = append(read, readScript(string(rune('a'+i))+".js", 1, s))
	}
	refs, _ := connections(address(t, "https://page.example.org:8443/dir/index.html"), read)
	all := []string{}
	for _, r := range refs {
		text := string(r.kind) + " " + r.text + " " + r.where
		if r.url == nil {
			text += " …"
		}
		all = append(all, text)
	}
	return all
}

func TestWhatScriptsOpen(t *testing.T) {
	for _, c := range []struct {
		name    string
		scripts []string
		want    []string
	}{
		{"a SockJS client", []string{`const s = new SockJS("http://192.0.2.9/chat");`}, []string{"SockJS http://192.0.2.9/chat a.js:1"}},
		{"of a window", []string{"\n\nnew window.SockJS('/chat', null, {})"}, []string{"SockJS https://page.example.org:8443/chat a.js:3"}},
		{"a WebSocket", []string{"new WebSocket(`wss://a.example/x`)"}, []string{"WebSocket wss://a.example/x a.js:1"}},
		{"by a name", []string{`var url = "http://a.example/chat"; var s = new SockJS(url);`}, []string{"SockJS http://a.example/chat a.js:1"}},
		{"by a name in another file", []string{`const config = { server: 'http://a.example' }`, `new SockJS(config.server + "/chat")`}, []string{"SockJS http://a.example/chat b.js:1"}},
		{"by a template", []string{"const host = 'a.example'; new SockJS(`http://${host}/chat`)"}, []string{"SockJS http://a.example/chat a.js:1"}},
		{"where the page is", []string{`new SockJS(location.origin + "/chat"); new WebSocket("ws://" + window.location.host + "/x")`}, []string{
			"SockJS https://page.example.org:8443/chat a.js:1", "WebSocket ws://page.example.org:8443/x a.js:1", "WebSocket ws:// a.js:1 …",
		}[:2]},
		{"its protocol", []string{"new SockJS(location.protocol + '//' + location.hostname + ':9/chat')"}, []string{"SockJS https://page.example.org:9/chat a.js:1"}},
		{"what cannot be known", []string{`new SockJS(where()); new SockJS("http://" + where() + "/chat")`}, []string{"SockJS http:// a.js:1 …"}},
		{"requests", []string{`fetch("http://a.example/1"); axios.post('http://a.example/2', x); xhr.open("GET", "http://a.example/3"); $.getJSON("http://a.example/4")`}, []string{
			"request http://a.example/1 a.js:1", "request http://a.example/2 a.js:1", "request http://a.example/3 a.js:1", "request http://a.example/4 a.js:1",
		}},
		{"EventSource", []string{`new EventSource("http://a.example/e")`}, []string{"EventSource http://a.example/e a.js:1"}},
		{"an address of sockets anywhere", []string{`client = new Client({ brokerURL: "ws://a.example/stomp" })`}, []string{"WebSocket ws://a.example/stomp a.js:1"}},
		{"an image", []string{`img.src = "http://a.example/x.png"`}, []string{"image or sound http://a.example/x.png a.js:1"}},
		{"either protocol", []string{`const p = location.protocol === "https:" ? "wss://" : "ws://"; new WebSocket(p + location.host)`}, []string{}},
		{"comments", []string{"// new SockJS('http://a.example/chat')\n/* fetch('http://a.example/') */"}, []string{}},
		{"texts that are shown", []string{`alert("see http://a.example/"); const ns = "http://www.w3.org/2000/svg"`}, []string{}},
		{"regular expressions", []string{`if (/["'/]/.test(x)) new SockJS("http://a.example/chat")`}, []string{"SockJS http://a.example/chat a.js:1"}},
		{"division", []string{`let x = a / b; let y = "http://a.example" / 2; new SockJS("/chat")`}, []string{"SockJS https://page.example.org:8443/chat a.js:1"}},
		{"window.open", []string{`window.open("http://a.example/")`}, []string{}},
		{"broken texts", []string{"const a = 'http://a.example\nnew SockJS('/chat')"}, []string{"SockJS https://page.example.org:8443/chat a.js:2"}},
		{"comparisons give no names", []string{`if (url == "http://a.example/") new SockJS(url)`}, []string{}},
	} {
		if got := opened(t, c.scripts...); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%q, want\n%q", c.name, got, c.want)
		}
	}
}

func TestWhatPagesUse(t *testing.T) {
	const html = `<!doctype html><html><head>
<base href="https://cdn.example.com/v1/">
<link rel="stylesheet" href="http://a.example/1.css"><link rel=canonical href="http://a.example/">
<script src="http://a.example/2.js"></script>
<script src="sockjs.min.js"></script>
</head><body data-prefix="/chat" data-other="x">
<img src="http://a.example/3.png" srcset="http://a.example/4.png 2x, data:image/png;base64,AA 3x">
<iframe src="http://a.example/5"></iframe><object data="http://a.example/6"></object>
<form action="http://a.example/7"><button formaction="http://a.example/8"></button></form>
<a href="http://a.example/9">a link leads away and is no part of the page</a>
<img src="data:image/png;base64,AA"><a href="javascript:void(0)"></a>
<script type="text/template"><img src="http://a.example/10"></script>
<script>
  new SockJS("http://a.example/11");
</script>
</body></html>`
	doc := scanHTML(address(t, "https://page.example.org/"), []byte(html))
	var got []string
	for _, r := range doc.refs {
		if r.insecure() {
			got = append(got, string(r.kind)+" "+strings.TrimPrefix(r.text, "http://a.example/")+" "+r.where)
		}
	}
	want := []string{
		"stylesheet 1.css the page:3", "script 2.js the page:4", "image or sound 3.png the page:7", "image or sound 4.png the page:7",
		"frame 5 the page:8", "frame 6 the page:8", "form 7 the page:9", "form 8 the page:9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want\n%q", got, want)
	}
	if !doc.sockjs || !slices.Equal(doc.paths, []string{"/chat"}) || len(doc.files) != 0 {
		t.Errorf("sockjs %t, paths %q, files %v", doc.sockjs, doc.paths, doc.files)
	}
	refs, uses := connections(doc.base, doc.inline)
	if len(refs) != 1 || refs[0].where != "the page:14" || !uses {
		t.Errorf("%+v", refs)
	}
}

func TestScriptsOfTheSameOriginAreRead(t *testing.T) {
	doc := scanHTML(address(t, "https://page.example.org/d/"), []byte(`<script src="a.js"></script><script src="/b.js" type=module></script>
<script src="a.js"></script><script src="https://cdn.example.com/c.js"></script><script src="d.json" type="application/json"></script>`))
	var got []string
	for _, u := range doc.files {
		got = append(got, u.String())
	}
	if want := []string{"https://page.example.org/d/a.js", "https://page.example.org/b.js"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a page says is bounded, and nothing of it can disturb a terminal.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`<script>new SockJS("http://a.example/chat")</script>`, "<img srcset='http://a 1x,http://b 2x'>", "<base href='http://x/'><form action=y>",
		"<script>`${a}${b`/*", "<script>'\\\n'//\n/[/]/", "<script>new WebSocket(\"ws://\\u001b[2J\")", "<meta http-equiv=content-security-policy content=x>",
		"<script>var a='http://x';fetch(a+b.c.d+`${location.host}`)</script><", "\x00\xff<iframe src=\"http://\x1b[31m\">",
	} {
		f.Add(seed)
	}
	base, err := url.Parse("https://page.example.org/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc := scanHTML(base, []byte(text))
		refs, _ := connections(doc.base, append(doc.inline, readScript("a.js", 1, text)))
		if len(doc.refs) > maxRefs+10 || len(refs) > maxRefs || len(doc.files) > maxScripts {
			t.Errorf("%d and %d references, %d files", len(doc.refs), len(refs), len(doc.files))
		}
		s := usual(t)
		s.page = &pageSeen{url: base, refs: append(doc.refs, refs...), paths: doc.paths, secure: map[string]bool{}}
		for _, finding := range checkPage(s) {
			wellSaid(t, finding)
		}
	})
}

// A text that a script was given comes out as it went in, wherever it stands and
// whatever stands before it.
func TestTextsSurviveReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOf(rapid.SampledFrom([]string{"// it's\n", "/* \" */", "x = 'a'; ", "y = /'/; ", "z = a / b / c;\n", "`a${b}`;", "f(1);\n"})).Draw(t, "before")
		text := rapid.StringMatching(`http://[a-z]{1,9}\.example/[a-z0-9/'"\\-]{0,9}`).Draw(t, "text")
		quote := rapid.SampledFrom([]string{"'", `"`, "`"}).Draw(t, "quote")
		escaped := strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), quote, `\`+quote)
		src := strings.Join(before, "") + "new SockJS(" + quote + escaped + quote + ")"
		read := readScript("a.js", 1, src)
		i := slices.IndexFunc(read.calls, func(c call) bool { return c.kind == refSockJS })
		if i < 0 {
			t.Fatalf("%s: no call was found", src)
		}
		if got, whole := evaluate(read.calls[i].arg, nil, &location{}); got != text || !whole {
			t.Errorf("%s: %q (%t)", src, got, whole)
		}
	})
}
