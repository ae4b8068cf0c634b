package doctor

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// lookAtPage reads the page at the subject and the scripts that it loads from
// its own origin. Where HTTPS does not answer, the page over plain HTTP is read
// as if it were on HTTPS, since that is where it is meant to go.
func (s *sight) lookAtPage(ctx context.Context, e *eye) {
	var from *walkSeen
	if len(s.reachable(s.subject.HTTPS, open)) > 0 {
		s.secure = e.walk(ctx, s.subject.URL)
		from = s.secure
	}
	if !s.secure.arrived() && len(s.reachable(s.subject.HTTP, open)) > 0 {
		plain := s.subject.plainURL(s.subject.URL.Path)
		plain.RawQuery = s.subject.URL.RawQuery
		from = e.walk(ctx, plain)
	}
	if !from.arrived() {
		return
	}
	h := from.last()
	if h.status != http.StatusOK || !strings.Contains(strings.ToLower(h.header.Get("Content-Type")), "html") {
		return
	}
	s.page = e.read(ctx, h, from.body)
	s.page.secure = e.answerSecurely(ctx, s.page.refs)
}

// read finds what a page uses, its scripts included.
func (e *eye) read(ctx context.Context, h *hop, body []byte) *pageSeen {
	base := *h.url
	base.Scheme = "https"
	doc := scanHTML(&base, body)
	out := &pageSeen{url: &base, refs: doc.refs, paths: doc.paths, upgrade: doc.upgrade || upgrades(h.header.Get("Content-Security-Policy"))}
	scripts := doc.inline
	read := make([]script, len(doc.files))
	failed := make([]string, len(doc.files))
	each(len(doc.files), func(i int) {
		at := *doc.files[i]
		at.Scheme = h.url.Scheme
		w, text, _, err := e.get(ctx, &at, nil)
		switch {
		case err != nil:
			failed[i] = fileName(&at) + ": " + err.Error()
		case w.status != http.StatusOK:
			failed[i] = fileName(&at) + ": it is answered with " + strconv.Itoa(w.status)
		case library(text):
			// The client itself names addresses only as examples and in messages.
			read[i] = script{}
		default:
			read[i] = readScript(fileName(&at), 1, string(text))
		}
	})
	for i := range failed {
		if failed[i] != "" {
			out.unread = append(out.unread, failed[i])
		}
	}
	opened, uses := connections(doc.base, append(scripts, read...))
	out.refs = append(out.refs, opened...)
	out.sockjs = uses || doc.sockjs
	return out
}

// library says whether a script is a SockJS client itself.
func library(text []byte) bool {
	head := string(text[:min(len(text), 400)])
	return strings.Contains(head, "sockjs-client") || strings.HasPrefix(strings.TrimSpace(head), "/*! sockjs")
}

// answerSecurely finds out which of the hosts that a page goes to without TLS
// would have answered with it.
func (e *eye) answerSecurely(ctx context.Context, refs []ref) map[string]bool {
	const most = 4
	var hosts []string
	out := map[string]bool{}
	for _, r := range refs {
		if h := r.host(); r.insecure() && h != "" && !loopback(h) {
			if _, known := out[h]; !known && len(hosts) < most {
				out[h] = false
				hosts = append(hosts, h)
			}
		}
	}
	good := make([]bool, len(hosts))
	each(len(hosts), func(i int) { good[i] = e.shakes(ctx, hosts[i]) })
	for i, h := range hosts {
		out[h] = good[i]
	}
	return out
}

// shakes says whether a host shows a good certificate on port 443.
func (e *eye) shakes(ctx context.Context, host string) bool {
	return e.trusts(ctx, host, 443) == nil
}

// trusts says why a browser would not trust what a host shows; nil: it would.
func (e *eye) trusts(ctx context.Context, host string, port uint16) error {
	all := e.addresses
	if host != e.name {
		if a, err := netip.ParseAddr(host); err == nil {
			all = []netip.Addr{a}
		} else {
			all, _ = e.cfg.lookup(ctx, host)
		}
	}
	if len(all) == 0 {
		return errors.New("it has no address")
	}
	other := &eye{cfg: e.cfg, name: host, addresses: all}
	seen := other.handshake(ctx, netip.AddrPortFrom(all[0], port))
	if seen.err != nil {
		return seen.err
	}
	return seen.private
}

// elsewhere is trusts for an endpoint of another host or port than the subject's,
// whose certificate is judged apart.
func (e *eye) elsewhere(ctx context.Context, s *sight, u *url.URL) error {
	if u.Scheme != "https" || origin(u) == origin(s.subject.URL) {
		return nil
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	if err != nil {
		return err
	}
	return e.trusts(ctx, u.Hostname(), uint16(port))
}

// loopback says whether a host is the browser's own machine.
func loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// endpoint is an address as a socket is opened there: with http's scheme.
func endpoint(u *url.URL) *url.URL {
	out := *u
	switch out.Scheme {
	case "wss":
		out.Scheme = "https"
	case "ws":
		out.Scheme = "http"
	}
	out.Fragment = ""
	return &out
}
