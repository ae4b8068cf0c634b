package doctor

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// checkSockets judges the WebSockets and SockJS endpoints that were opened.
func checkSockets(s *sight) []Finding {
	var all []Finding
	for i := range s.sockets {
		all = append(all, checkTrust(s.sockets[i].url, s.sockets[i].trust)...)
		all = append(all, checkSocket(&s.sockets[i]))
	}
	for i := range s.sockjs {
		all = append(all, checkTrust(s.sockjs[i].url, s.sockjs[i].trust)...)
		all = append(all, checkSockJS(s, &s.sockjs[i])...)
	}
	if s.page != nil && s.page.sockjs && len(s.sockjs) == 0 && !pageMixed(s) {
		all = append(all, Finding{
			Note, Sockets, "endpoint-unknown", "the page uses SockJS, and where it connects to cannot be read from its scripts", nil,
			"name the endpoint to have its transports tried: `albion doctor https://" + s.subject.URL.Host + "/chat`",
		})
	}
	return all
}

// pageMixed says whether the page's own sockets are plain, so that where they
// lead is known well enough.
func pageMixed(s *sight) bool {
	for _, r := range s.page.refs {
		if r.kind == refSockJS && r.insecure() {
			return true
		}
	}
	return false
}

// checkTrust judges the certificate of a host that the page's sockets lead to.
func checkTrust(u *url.URL, trust error) []Finding {
	if trust == nil {
		return nil
	}
	return []Finding{{
		Problem, Sockets, "socket-certificate", fmt.Sprintf("browsers do not trust %s, where the page opens its socket, and say nothing of it on the page", u.Host), []string{trust.Error()},
		"find out what is wrong with it: `albion doctor " + u.String() + "`",
	}}
}

func checkSocket(w *socketSeen) Finding {
	at := *w.url
	at.Scheme = "wss"
	switch {
	case w.opened:
		return Finding{OK, Sockets, "websocket", fmt.Sprintf("%s opens", &at), nil, ""}
	case w.status == 0 || w.status == http.StatusSwitchingProtocols:
		f := Finding{Problem, Sockets, "websocket-fails", fmt.Sprintf("%s does not open", &at), nil, "look at what answers there: `albion status`"}
		if w.err != nil {
			f.Detail = []string{w.err.Error()}
		}
		return f
	}
	f := Finding{Problem, Sockets, "websocket-refused", fmt.Sprintf("%s does not open: it is answered with %d instead of 101", &at, w.status), nil, ""}
	switch w.status {
	case http.StatusNotFound:
		f.Next = "correct the path, or forward it to the server that has it"
	case http.StatusForbidden:
		f.Next = "have the server allow the page's origin; --origin says which one is tried"
	default:
		f.Next = "have every proxy on the way pass Upgrade and Connection on (nginx: `proxy_http_version 1.1` and both headers); Albion does"
	}
	return f
}

// checkSockJS judges one endpoint.
func checkSockJS(s *sight, k *sockjsSeen) []Finding {
	at := k.url.String()
	switch i := k.info; {
	case i.err != nil:
		return []Finding{{Problem, Sockets, "sockjs-info", fmt.Sprintf("%s/info is not answered as SockJS does", at), []string{i.err.Error()}, "correct the endpoint's path, or forward it, with all below it, to the server"}}
	case i.status != http.StatusOK:
		return []Finding{{Problem, Sockets, "sockjs-info", fmt.Sprintf("%s/info is answered with %d", at, i.status), nil, "correct the endpoint's path, or forward it, with all below it, to the server"}}
	}
	var all []Finding
	all = append(all, checkCORS(k)...)
	all = append(all, checkTransports(k)...)
	all = append(all, checkFrame(k)...)
	return append(all, checkSticky(s, k)...)
}

// checkCORS judges whether a page of another origin may use the endpoint. SockJS
// clients send credentials, so that "*" does not do (Fetch §3.2.5).
func checkCORS(k *sockjsSeen) []Finding {
	if k.origin == origin(k.url) {
		return nil
	}
	if strings.EqualFold(k.info.allow, k.origin) && k.info.creds {
		return []Finding{{OK, Sockets, "cors", fmt.Sprintf("a page from %s may use %s", k.origin, k.url), nil, ""}}
	}
	line := "Access-Control-Allow-Origin: " + printable(k.info.allow)
	switch {
	case k.info.allow == "":
		line = "no Access-Control-Allow-Origin is sent"
	case !k.info.creds:
		line += ", without Access-Control-Allow-Credentials: true"
	}
	return []Finding{{
		Problem, Sockets, "cors", fmt.Sprintf("a page from %s may not use %s: browsers keep the answers from it", k.origin, k.url), []string{line},
		fmt.Sprintf("have the server allow the origin %s (Spring: `setAllowedOrigins`)", k.origin),
	}}
}

// slowFrame is how late a first frame is when something holds it back.
const slowFrame = 2 * time.Second

// checkTransports judges each transport: one that fails alone falls back to
// another, and all together mean that nothing gets through.
func checkTransports(k *sockjsSeen) []Finding {
	var opened, failed, lines []string
	var buffered bool
	socket := true
	for _, t := range k.transports {
		if t.name == "websocket" && !k.info.websocket {
			continue // the server says that it has none
		}
		if t.opened {
			opened = append(opened, t.name)
			buffered = buffered || streams(t.name) && t.took > slowFrame
			continue
		}
		socket = socket && t.name != "websocket"
		buffered = buffered || streams(t.name) && (t.began && t.status == http.StatusOK || !t.began)
		failed = append(failed, t.name)
		lines = append(lines, transportLine(t))
	}
	at := k.url.String()
	var all []Finding
	switch {
	case len(opened) == 0:
		return []Finding{{Problem, Sockets, "sockjs-fails", fmt.Sprintf("no transport of %s opens", at), lines, "look at the log of the server: /info is answered, and sessions are not"}}
	case !socket:
		all = append(all, Finding{
			Warning, Sockets, "sockjs-websocket", fmt.Sprintf("WebSockets do not get through to %s, so SockJS falls back to %s", at, opened[0]), lines,
			"have every proxy on the way pass Upgrade and Connection on (nginx: `proxy_http_version 1.1` and both headers); Albion does",
		})
	case len(failed) > 0 && !buffered:
		all = append(all, Finding{Note, Sockets, "sockjs-transports", fmt.Sprintf("%s works over %s, and not over %s", at, strings.Join(opened, ", "), strings.Join(failed, ", ")), lines, ""})
	}
	if buffered && opened[len(opened)-1] != "websocket" {
		all = append(all, Finding{
			Warning, Sockets, "buffered", fmt.Sprintf("something before %s keeps streams back until they end, so the streaming transports do not work", at), lines,
			"switch buffering off there (nginx: `proxy_buffering off`); Albion passes everything on at once",
		})
	}
	if !k.info.websocket {
		all = append(all, Finding{Note, Sockets, "sockjs-no-websocket", fmt.Sprintf("the server at %s has WebSockets switched off", at), nil, "switch them on: Albion carries them"})
	}
	if len(failed) == 0 && !buffered {
		all = append(all, Finding{OK, Sockets, "sockjs", fmt.Sprintf("%s opens over %s", at, strings.Join(opened, ", ")), nil, ""})
	}
	return all
}

// streams says whether a transport needs its answer passed on while it goes on.
func streams(name string) bool {
	return name == "xhr_streaming" || name == "eventsource" || name == "htmlfile"
}

func transportLine(t transportSeen) string {
	switch {
	case t.err != nil && t.status != 0:
		return fmt.Sprintf("%s: %d, %v", t.name, t.status, t.err)
	case t.err != nil:
		return fmt.Sprintf("%s: %v", t.name, t.err)
	}
	return fmt.Sprintf("%s: answered with %d", t.name, t.status)
}

// checkFrame judges the page of the iframe transports, which only old browsers
// need.
func checkFrame(k *sockjsSeen) []Finding {
	f := k.frame
	options := strings.ToUpper(strings.TrimSpace(f.options))
	for _, r := range f.scripts {
		if r.kind == refScript && r.insecure() {
			return []Finding{{Warning, Sockets, "iframe-mixed", fmt.Sprintf("%s/iframe.html loads the client over plain HTTP, which browsers block", k.url), refLines([]ref{r}), "have the server name it with https:// (Spring: `setClientLibraryUrl`)"}}
		}
	}
	switch {
	case f.err == nil && f.status != http.StatusOK:
		return []Finding{{Note, Sockets, "iframe-missing", fmt.Sprintf("%s/iframe.html is answered with %d: only browsers without CORS need it", k.url, f.status), nil, ""}}
	case options == "DENY" || options == "SAMEORIGIN" && k.origin != origin(k.url):
		return []Finding{{Note, Sockets, "iframe-denied", fmt.Sprintf("%s/iframe.html may not be framed (X-Frame-Options: %s): only browsers without CORS need it", k.url, options), nil, ""}}
	}
	return nil
}

// checkSticky judges whether the requests of one session reach one server.
func checkSticky(s *sight, k *sockjsSeen) []Finding {
	var with, bare *stickySeen
	for i := range k.sticky {
		if k.sticky[i].asked == 0 {
			continue
		}
		if k.sticky[i].cookies {
			with = &k.sticky[i]
		} else {
			bare = &k.sticky[i]
		}
	}
	next := "in albion.yaml give the target group `stickiness: sockjs`, which needs no cookie"
	if !s.known.Running {
		next = "make the balancer send a session to one server by its path (Albion: `stickiness: sockjs`)"
	}
	switch {
	case with != nil && with.lost > 0:
		return []Finding{{
			Problem, Sockets, "not-sticky", fmt.Sprintf("requests of one SockJS session reach several servers: %d of %d were answered 404", with.lost, with.asked), nil, next,
		}}
	case bare != nil && bare.lost > 0:
		return []Finding{{
			Warning, Sockets, "sticky-by-cookie", fmt.Sprintf("a SockJS session stays with its server by a cookie only: without it %d of %d requests were answered 404, and browsers send none from a page of another site", bare.lost, bare.asked), nil, next,
		}}
	case with != nil && bare != nil:
		return []Finding{{OK, Sockets, "sticky", fmt.Sprintf("all requests of a SockJS session reach one server (%d tried, without cookies too)", with.asked+bare.asked), nil, ""}}
	}
	return nil
}
