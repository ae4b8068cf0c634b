package sockjstest

import (
	"strings"
)

const (
	goAway      = `c[3000,"Go away!"]`
	stillOpen   = `c[2010,"Another connection still open"]`
	interrupted = `c[1002,"Connection interrupted"]`
	form        = "Content-Type: application/x-www-form-urlencoded"
)

func sessionCases() []testCase {
	return []testCase{
		{"SessionURLs/server and session may be anything", anyValue},
		{"SessionURLs/but neither empty nor dotted", invalidPaths},
		{"SessionURLs/the server part is ignored", ignoringServer},
		{"Protocol/opens, carries messages, refuses a second receiver", simpleSession},
		{"Protocol/a closed session says so every time", closedSession},
	}
}

func anyValue(p *probe) {
	for _, part := range []string{"/a/a", "/_/_", "/1/1", "/abcdefgh_i-j%20/abcdefg_i-j%20"} {
		p.is(p.post(echoPath+part+"/xhr", ""), 200, "o\n")
	}
}

func invalidPaths(p *probe) {
	for _, part := range []string{"//", "/a./a", "/a/a.", "/./.", "/", "///"} {
		p.status(p.get(echoPath+part+"/xhr"), 404)
		p.status(p.post(echoPath+part+"/xhr", ""), 404)
	}
}

func ignoringServer(p *probe) {
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	p.is(p.post(path+"/xhr_send", `["a"]`), 204, "")
	p.is(p.post(strings.Replace(path, "/000/", "/999/", 1)+"/xhr", ""), 200, "a[\"a\"]\n")
}

func simpleSession(p *probe) {
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	p.is(p.post(path+"/xhr_send", `["a"]`), 204, "")
	p.is(p.post(path+"/xhr", ""), 200, "a[\"a\"]\n")
	p.status(p.post(session(echoPath)+"/xhr_send", `["a"]`), 404)
	secondPoll(p, path).cut()
}

// secondPoll lets two polls compete for a session: the one that comes second
// has to be refused; the other is returned.
func secondPoll(p *probe, path string) *wire {
	p.t.Helper()
	polls := []*wire{p.dial(), p.dial()}
	type result struct {
		i   int
		a   *answer
		err error
	}
	results := make(chan result, len(polls))
	for i, w := range polls {
		w.ask("POST", path+"/xhr", "1.1", "", nil)
		go func() {
			a, err := w.whole()
			results <- result{i, a, err}
		}()
	}
	r := <-results
	if r.err != nil {
		p.t.Fatal(r.err)
	}
	p.is(r.a, 200, stillOpen+"\n")
	select {
	case other := <-results:
		p.t.Fatalf("the first poll was answered too: %+v, %v", other.a, other.err)
	default:
	}
	p.t.Cleanup(func() {
		polls[1-r.i].cut()
		<-results
	})
	return polls[1-r.i]
}

func closedSession(p *probe) {
	path := session(closePath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	p.is(p.post(path+"/xhr", ""), 200, goAway+"\n")
	p.is(p.post(path+"/xhr", ""), 200, goAway+"\n")
}

func xhrCases() []testCase {
	return []testCase{
		{"XHRPolling/has preflights", func(p *probe) {
			p.preflight(echoPath+"/abc/abc/xhr", "OPTIONS, POST")
			p.preflight(echoPath+"/abc/abc/xhr_send", "OPTIONS, POST")
		}},
		{"XHRPolling/carries messages", xhrTransport},
		{"XHRPolling/a session that is not there", func(p *probe) {
			p.status(p.post(session(echoPath)+"/xhr_send", `["x"]`), 404)
		}},
		{"XHRPolling/broken and missing payload", xhrInvalid},
		{"XHRPolling/any content type", xhrContentTypes},
		{"XHRPolling/reflects the requested headers", xhrRequestHeaders},
	}
}

func xhrTransport(p *probe) {
	path := session(echoPath)
	a := p.post(path+"/xhr", "")
	p.is(a, 200, "o\n")
	p.contentType(a, "application/javascript;charset=UTF-8")
	p.cors(a, "")
	p.notCached(a)

	a = p.post(path+"/xhr_send", `["x"]`)
	p.is(a, 204, "")
	p.contentType(a, "text/plain;charset=UTF-8")
	p.cors(a, "")
	p.notCached(a)

	p.is(p.post(path+"/xhr", ""), 200, "a[\"x\"]\n")
}

func xhrInvalid(p *probe) {
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	p.says(p.post(path+"/xhr_send", `["x`), 500, "Broken JSON encoding.")
	p.says(p.post(path+"/xhr_send", ""), 500, "Payload expected.")
	p.is(p.post(path+"/xhr_send", `["a"]`), 204, "")
	p.is(p.post(path+"/xhr", ""), 200, "a[\"a\"]\n")
}

func xhrContentTypes(p *probe) {
	path := session(echoPath)
	p.is(p.post(path+"/xhr", ""), 200, "o\n")
	types := []string{
		"text/plain", "T", "application/json", "application/xml", "",
		"application/json; charset=utf-8", "text/xml; charset=utf-8", "text/xml",
	}
	for _, typ := range types {
		p.is(p.post(path+"/xhr_send", `["a"]`, "Content-Type: "+typ), 204, "")
	}
	want := "a[" + strings.TrimSuffix(strings.Repeat(`"a",`, len(types)), ",") + "]\n"
	p.is(p.post(path+"/xhr", ""), 200, want)
}

func xhrRequestHeaders(p *probe) {
	for _, c := range []struct {
		h    header
		want string
	}{
		{header{"Access-Control-Request-Headers: a, b, c"}, "a, b, c"},
		{header{"Access-Control-Request-Headers: "}, ""},
		{nil, ""},
	} {
		a := p.post(session(echoPath)+"/xhr", "", c.h...)
		p.status(a, 200)
		p.cors(a, "")
		p.equal("Access-Control-Allow-Headers", a.get("Access-Control-Allow-Headers"), c.want)
	}
}

func jsonpCases() []testCase {
	return []testCase{
		{"JSONPPolling/carries messages", jsonpTransport},
		{"JSONPPolling/needs a callback", func(p *probe) {
			p.says(p.get(echoPath+"/a/a/jsonp"), 500, `"callback" parameter required`)
		}},
		{"JSONPPolling/broken and missing payload", jsonpInvalid},
		{"JSONPPolling/forms and other content types", jsonpContentTypes},
		{"JSONPPolling/a closed session says so every time", jsonpClose},
	}
}

func jsonpTransport(p *probe) {
	path := session(echoPath)
	a := p.get(path + "/jsonp?c=%63allback")
	p.is(a, 200, "callback(\"o\");\r\n")
	p.contentType(a, "application/javascript;charset=UTF-8")
	p.notCached(a)

	a = p.post(path+"/jsonp_send", "d=%5B%22x%22%5D", form)
	p.is(a, 200, "ok")
	p.contentType(a, "text/plain;charset=UTF-8")
	p.notCached(a)

	p.is(p.get(path+"/jsonp?c=%63allback"), 200, `callback("a[\"x\"]");`+"\r\n")
}

func jsonpInvalid(p *probe) {
	path := session(echoPath)
	p.is(p.get(path+"/jsonp?c=x"), 200, "x(\"o\");\r\n")
	p.says(p.post(path+"/jsonp_send", "d=%5B%22x", form), 500, "Broken JSON encoding.")
	for _, body := range []string{"", "d=", "p=p"} {
		p.says(p.post(path+"/jsonp_send", body, form), 500, "Payload expected.")
	}
	p.is(p.post(path+"/jsonp_send", "d=%5B%22b%22%5D", form), 200, "ok")
	p.is(p.get(path+"/jsonp?c=x"), 200, `x("a[\"b\"]");`+"\r\n")
}

func jsonpContentTypes(p *probe) {
	path := session(echoPath)
	p.is(p.get(path+"/jsonp?c=x"), 200, "x(\"o\");\r\n")
	p.is(p.post(path+"/jsonp_send", "d=%5B%22abc%22%5D", form), 200, "ok")
	p.is(p.post(path+"/jsonp_send", `["%61bc"]`, "Content-Type: text/plain"), 200, "ok")
	p.is(p.get(path+"/jsonp?c=x"), 200, `x("a[\"abc\",\"%61bc\"]");`+"\r\n")
}

func jsonpClose(p *probe) {
	path := session(closePath)
	p.is(p.get(path+"/jsonp?c=x"), 200, "x(\"o\");\r\n")
	for range 2 {
		p.is(p.get(path+"/jsonp?c=x"), 200, `x("c[3000,\"Go away!\"]");`+"\r\n")
	}
}

func cookieCases() []testCase {
	opened := func(method, suffix string) func(*probe) {
		return func(p *probe) {
			a, w := p.open(method, session(cookiePath)+suffix)
			defer w.cut()
			p.status(a, 200)
			p.cookie(a, "dummy")
		}
	}
	return []testCase{
		{"Cookie/info says that it is needed", func(p *probe) {
			if !*info(p, cookiePath).CookieNeeded {
				p.t.Error("cookie_needed is false; want true")
			}
		}},
		{"Cookie/xhr sets it, or echoes the client's", cookieXHR},
		{"Cookie/xhr_streaming sets it", opened("POST", "/xhr_streaming")},
		{"Cookie/eventsource sets it", opened("GET", "/eventsource")},
		{"Cookie/htmlfile sets it", opened("GET", "/htmlfile?c=%63allback")},
		{"Cookie/jsonp and jsonp_send set it", cookieJSONP},
	}
}

func cookieXHR(p *probe) {
	a := p.post(session(cookiePath)+"/xhr", "")
	p.is(a, 200, "o\n")
	p.cookie(a, "dummy")
	a = p.post(session(cookiePath)+"/xhr", "", "Cookie: JSESSIONID=abcdef")
	p.is(a, 200, "o\n")
	p.cookie(a, "abcdef")
}

func cookieJSONP(p *probe) {
	path := session(cookiePath)
	a := p.get(path + "/jsonp?c=%63allback")
	p.is(a, 200, "callback(\"o\");\r\n")
	p.cookie(a, "dummy")
	a = p.post(path+"/jsonp_send", "d=%5B%22x%22%5D", form)
	p.is(a, 200, "ok")
	p.cookie(a, "dummy")
}
