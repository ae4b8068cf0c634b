package sockjs

import (
	"net/url"
	"strings"
)

// Longest session id, in bytes, once decoded. Clients use 8 or 36; the rest
// is room for those that are not browsers.
const maxSessionID = 256

// place is where a request wants to go, below the prefix.
type place struct {
	// name is "greeting", "iframe", "info", "websocket" (raw), or, when
	// session is not empty, the name of a transport's endpoint.
	name    string
	session string
}

// route reads the path of a URL, still escaped, that begins with prefix.
// What it does not know is answered with 404. SockJS 0.3.3, "Session URLs":
// server and session may be anything but empty or dotted; the server part is
// for balancers and names nothing here. Every path may end in one slash.
func route(prefix, path string) (place, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return place{}, false
	}
	if rest == "" || rest == "/" {
		return place{name: "greeting"}, true
	}
	rest, ok = strings.CutPrefix(rest, "/")
	if !ok || len(rest) > 4*maxSessionID {
		return place{}, false
	}
	rest = strings.TrimSuffix(rest, "/")
	parts := strings.Split(rest, "/")
	switch len(parts) {
	case 1:
		return routePage(parts[0])
	case 3:
		return routeSession(parts[0], parts[1], parts[2])
	}
	return place{}, false
}

func routePage(name string) (place, bool) {
	switch {
	case name == "info" || name == "websocket":
		return place{name: name}, true
	case iframeName(name):
		return place{name: "iframe"}, true
	}
	return place{}, false
}

// iframeName matches iframe[-._a-z0-9]*.html: clients put their version
// there, so that a new version is not served an old copy.
func iframeName(name string) bool {
	version, ok := strings.CutPrefix(name, "iframe")
	if !ok {
		return false
	}
	version, ok = strings.CutSuffix(version, ".html")
	if !ok {
		return false
	}
	return strings.Trim(version, "-._0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

func routeSession(server, session, endpoint string) (place, bool) {
	_, ok := pathID(server)
	id, ok2 := pathID(session)
	if !ok || !ok2 || endpoint == "" {
		return place{}, false
	}
	return place{name: endpoint, session: id}, true
}

// pathID decodes a server or session part.
func pathID(part string) (string, bool) {
	id, err := url.PathUnescape(part)
	if err != nil || id == "" || len(id) > maxSessionID || strings.ContainsAny(id, "./") {
		return "", false
	}
	return id, true
}
