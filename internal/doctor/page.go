package doctor

import (
	"bytes"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// refKind is how a page uses an address.
type refKind string

const (
	refScript    refKind = "script"
	refStyle     refKind = "stylesheet"
	refFrame     refKind = "frame"
	refImage     refKind = "image or sound"
	refForm      refKind = "form"
	refFetch     refKind = "request"
	refEvents    refKind = "EventSource"
	refWebSocket refKind = "WebSocket"
	refSockJS    refKind = "SockJS"
)

// passive things are shown or asked for over HTTPS by browsers of today, and not
// blocked at once.
func (k refKind) passive() bool { return k == refImage || k == refForm }

// ref is an address that a page uses.
type ref struct {
	kind  refKind
	text  string   // as it is written, or put together
	url   *url.URL // what it leads to; nil when only its beginning can be read
	where string   // FILE:LINE
}

// insecure says whether a browser would go there without TLS.
func (r *ref) insecure() bool {
	t := strings.ToLower(r.text)
	return strings.HasPrefix(t, "http://") || strings.HasPrefix(t, "ws://")
}

// host is where the address leads, "" when that cannot be read.
func (r *ref) host() string {
	if r.url != nil {
		return strings.ToLower(r.url.Hostname())
	}
	_, rest, _ := strings.Cut(r.text, "://")
	host, _, found := strings.Cut(rest, "/")
	if !found {
		return ""
	}
	if u, err := url.Parse("http://" + host); err == nil {
		return strings.ToLower(u.Hostname())
	}
	return ""
}

// Bounds of a page.
const (
	maxRefs    = 500
	maxScripts = 20  // files of a page that are read
	maxText    = 512 // of an address that is shown, in bytes
)

// document is what the HTML of a page says.
type document struct {
	base    *url.URL
	refs    []ref
	files   []*url.URL // scripts of the same origin
	inline  []script
	upgrade bool     // Content-Security-Policy: upgrade-insecure-requests
	sockjs  bool     // a SockJS client is loaded
	paths   []string // in data- attributes, which scripts take addresses from
}

// place is FILE:LINE.
func place(file string, line int) string { return file + ":" + strconv.Itoa(line) }

// fileName is what people call what is at a URL.
func fileName(u *url.URL) string {
	if name := path.Base(u.Path); name != "/" && name != "." {
		return printable(name)
	}
	return "the page"
}

// scanHTML reads a page. It never fails: what is no HTML has no references.
func scanHTML(at *url.URL, body []byte) document {
	s := scanner{doc: document{base: at}, file: fileName(at), line: 1, self: origin(at)}
	z := html.NewTokenizer(bytes.NewReader(body))
	for len(s.doc.refs) < maxRefs {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		lines := bytes.Count(z.Raw(), []byte("\n"))
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			s.tag(z)
		case html.TextToken:
			if s.code {
				s.doc.inline = append(s.doc.inline, readScript(s.file, s.line, string(z.Raw())))
			}
			s.code = false
		case html.EndTagToken:
			s.code = false
		}
		s.line += lines
	}
	return s.doc
}

type scanner struct {
	doc  document
	file string
	line int
	self string // the page's own origin
	code bool   // inside a script
}

func (s *scanner) tag(z *html.Tokenizer) {
	raw, more := z.TagName()
	name := string(raw)
	attrs := map[string]string{}
	for more && len(attrs) < 100 {
		var k, v []byte
		k, v, more = z.TagAttr()
		if _, known := attrs[string(k)]; !known {
			attrs[string(k)] = string(v)
		}
	}
	s.paths(attrs)
	switch name {
	case "base":
		if u, err := s.doc.base.Parse(attrs["href"]); err == nil && attrs["href"] != "" {
			s.doc.base = u
		}
	case "meta":
		if strings.EqualFold(attrs["http-equiv"], "Content-Security-Policy") && upgrades(attrs["content"]) {
			s.doc.upgrade = true
		}
	case "script":
		s.script(attrs)
	case "link":
		s.link(attrs)
	case "iframe", "frame", "embed":
		s.add(refFrame, attrs["src"])
	case "object":
		s.add(refFrame, attrs["data"])
	case "img", "audio", "video", "source", "track":
		s.add(refImage, attrs["src"])
		s.add(refImage, attrs["poster"])
		for candidate := range strings.SplitSeq(attrs["srcset"], ",") {
			first, _, _ := strings.Cut(strings.TrimSpace(candidate), " ")
			s.add(refImage, first)
		}
	case "form":
		s.add(refForm, attrs["action"])
	case "button", "input":
		s.add(refForm, attrs["formaction"])
	}
}

func upgrades(policy string) bool {
	return strings.Contains(strings.ToLower(policy), "upgrade-insecure-requests")
}

// paths collects what looks like the path of an endpoint.
func (s *scanner) paths(attrs map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		v := attrs[k]
		if strings.HasPrefix(k, "data-") && strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "//") && len(v) < 100 && len(s.doc.paths) < 4 {
			s.doc.paths = append(s.doc.paths, v)
		}
	}
}

func (s *scanner) script(attrs map[string]string) {
	kind := strings.ToLower(strings.TrimSpace(attrs["type"]))
	javascript := kind == "" || kind == "module" || strings.Contains(kind, "javascript") || strings.Contains(kind, "ecmascript")
	src, linked := attrs["src"]
	if !linked {
		s.code = javascript
		return
	}
	if strings.Contains(strings.ToLower(src), "sockjs") {
		s.doc.sockjs = true
	}
	s.add(refScript, src)
	u, err := s.doc.base.Parse(src)
	if err == nil && javascript && origin(u) == s.self && len(s.doc.files) < maxScripts && !slices.ContainsFunc(s.doc.files, func(f *url.URL) bool { return *f == *u }) {
		s.doc.files = append(s.doc.files, u)
	}
}

func (s *scanner) link(attrs map[string]string) {
	for rel := range strings.FieldsSeq(strings.ToLower(attrs["rel"])) {
		switch rel {
		case "stylesheet":
			s.add(refStyle, attrs["href"])
		case "modulepreload", "preload", "manifest":
			s.add(refScript, attrs["href"])
		case "icon":
			s.add(refImage, attrs["href"])
		}
	}
}

// add keeps a reference. Data and the like lead nowhere.
func (s *scanner) add(kind refKind, text string) {
	text = strings.TrimSpace(text)
	if text == "" || len(s.doc.refs) >= maxRefs {
		return
	}
	if r, ok := newRef(s.doc.base, kind, text, true, place(s.file, s.line)); ok {
		s.doc.refs = append(s.doc.refs, r)
	}
}

// newRef is the address that a text stands for on a page; whole is false for the
// beginning of one.
func newRef(base *url.URL, kind refKind, text string, whole bool, where string) (ref, bool) {
	r := ref{kind: kind, text: printable(text), where: where}
	u, err := base.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return r, r.insecure()
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ws" && u.Scheme != "wss":
		return ref{}, false
	}
	if !whole {
		return r, r.insecure()
	}
	// "//host/x" takes the page's own scheme, and so does what has none.
	if r.url = u; !strings.Contains(text, "://") {
		r.text = printable(u.String())
	}
	return r, true
}

// connections are the addresses that the scripts of a page open, put together
// from all of them, since one may name what another opens.
func connections(base *url.URL, scripts []script) (refs []ref, sockjs bool) {
	names := map[string]string{}
	for _, s := range scripts {
		sockjs = sockjs || s.uses
		for name, text := range s.names {
			if _, known := names[name]; !known {
				names[name] = text
			}
		}
	}
	self := &location{protocol: base.Scheme + ":", host: base.Host, hostname: base.Hostname(), origin: origin(base)}
	seen := map[string]bool{}
	for _, s := range scripts {
		for _, c := range s.calls {
			text, whole := evaluate(c.arg, names, self)
			if text == "" || len(refs) >= maxRefs {
				continue
			}
			r, ok := newRef(base, c.kind, text, whole, c.where)
			if key := r.where + " " + r.text; ok && !seen[key] {
				seen[key] = true
				refs = append(refs, r)
			}
		}
	}
	return refs, sockjs
}

// printable cuts what a page says to a length, and to what cannot disturb a
// terminal.
func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
}
