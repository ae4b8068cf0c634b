package sockjstest

import (
	"encoding/json"
	"regexp"
	"strings"
)

func pageCases() []testCase {
	return []testCase{
		{"Greeting/welcomes with and without a slash", greeting},
		{"Greeting/anything else is not found", greetingNotFound},
		{"Iframe/plain address", func(p *probe) { iframes(p, "/iframe.html") }},
		{"Iframe/address with a version", func(p *probe) {
			iframes(p, "/iframe-a.html", "/iframe-.html", "/iframe-0.1.2.html", "/iframe-0.1.2abc-dirty.2144.html")
		}},
		{"Iframe/address with a query", func(p *probe) {
			iframes(p, "/iframe-a.html?t=1234", "/iframe-0.1.2.html?t=123414", "/iframe-0.1.2abc-dirty.2144.html?t=qweqweq123")
		}},
		{"Iframe/malformed addresses are not found", iframeInvalid},
		{"Iframe/can be cached", iframeCaching},
	}
}

func greeting(p *probe) {
	for _, path := range []string{echoPath, echoPath + "/"} {
		a := p.get(path)
		p.is(a, 200, "Welcome to SockJS!\n")
		p.contentType(a, "text/plain;charset=UTF-8")
		p.absent(a, "Set-Cookie")
	}
}

func greetingNotFound(p *probe) {
	for _, suffix := range []string{"/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/"} {
		p.status(p.get(echoPath+suffix), 404)
	}
}

// iframePattern is the page, as the protocol gives it, around an address.
const iframePattern = `^<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script>
    document\.domain = document\.domain;
    _sockjs_onload = function\(\)\{SockJS\.bootstrap_iframe\(\);\};
  </script>
  <script src="((?:/|http)[^"]*)"></script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe\. It's used for cross domain magic\.</p>
</body>
</html>$`

func iframes(p *probe, suffixes ...string) {
	page := regexp.MustCompile(iframePattern)
	for _, suffix := range suffixes {
		a := p.get(echoPath + suffix)
		p.status(a, 200)
		p.contentType(a, "text/html;charset=UTF-8")
		p.cached(a)
		p.present(a, "ETag")
		p.absent(a, "Last-Modified", "Set-Cookie")
		if !page.MatchString(strings.TrimSpace(a.body)) {
			p.t.Errorf("%s is not the page of the protocol:\n%s", suffix, a.body)
		}
	}
}

func iframeInvalid(p *probe) {
	for _, suffix := range []string{
		"/iframe.htm", "/iframe", "/IFRAME.HTML", "/IFRAME", "/iframe.HTML", "/iframe.xml", "/iframe-/.html",
	} {
		p.status(p.get(echoPath+suffix), 404)
	}
}

func iframeCaching(p *probe) {
	a := p.get(echoPath + "/iframe.html")
	b := p.get(echoPath + "/iframe.html")
	p.present(a, "ETag")
	p.equal("second ETag", b.get("ETag"), a.get("ETag"))
	c := p.get(echoPath+"/iframe.html", "If-None-Match: "+a.get("ETag"))
	p.is(c, 304, "")
	p.absent(c, "Content-Type")
}

func infoCases() []testCase {
	return []testCase{
		{"Info/tells what the server can do", infoBasic},
		{"Info/entropy differs", infoEntropy},
		{"Info/has a preflight", func(p *probe) { p.preflight(echoPath+"/info", "OPTIONS, GET") }},
		{"Info/preflight of a page without origin", infoNullOrigin},
		{"Info/websocket can be off", func(p *probe) {
			if info(p, wsOffPath).WebSocket {
				p.t.Error("websocket is true; want false")
			}
		}},
	}
}

// infoDocument has pointers where the protocol wants a value to be there.
type infoDocument struct {
	WebSocket    bool     `json:"websocket"`
	CookieNeeded *bool    `json:"cookie_needed"`
	Origins      []string `json:"origins"`
	Entropy      *uint32  `json:"entropy"`
}

func info(p *probe, prefix string) infoDocument {
	p.t.Helper()
	a := p.get(prefix + "/info")
	p.status(a, 200)
	p.contentType(a, "application/json;charset=UTF-8")
	p.absent(a, "Set-Cookie")
	p.notCached(a)
	p.cors(a, "")
	var doc infoDocument
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		p.t.Fatalf("info is %q: %v", a.body, err)
	}
	if doc.CookieNeeded == nil || doc.Entropy == nil {
		p.t.Fatalf("info is %q; want cookie_needed and entropy", a.body)
	}
	return doc
}

func infoBasic(p *probe) {
	doc := info(p, echoPath)
	if !doc.WebSocket {
		p.t.Error("websocket is false; want true")
	}
	if len(doc.Origins) != 1 || doc.Origins[0] != "*:*" {
		p.t.Errorf("origins are %q; want *:*", doc.Origins)
	}
}

func infoEntropy(p *probe) {
	a, b := info(p, echoPath), info(p, echoPath)
	if *a.Entropy == *b.Entropy {
		p.t.Errorf("entropy is %d twice", *a.Entropy)
	}
}

func infoNullOrigin(p *probe) {
	a := p.do("OPTIONS", echoPath+"/info", "", header{"Origin: null"})
	p.is(a, 204, "")
	p.equal("Access-Control-Allow-Origin", a.get("Access-Control-Allow-Origin"), "*")
}
