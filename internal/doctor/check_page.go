package doctor

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// checkPage judges what a browser would block of the page (W3C "Mixed Content").
func checkPage(s *sight) []Finding {
	if s.page == nil {
		return nil
	}
	var sockets, active, passive, local []ref
	for _, r := range s.page.refs {
		switch {
		case !r.insecure():
		case loopback(r.host()):
			local = append(local, r)
		case r.kind == refWebSocket || r.kind == refSockJS || r.kind == refEvents:
			sockets = append(sockets, r)
		case r.kind.passive():
			passive = append(passive, r)
		default:
			active = append(active, r)
		}
	}
	var all []Finding
	all = append(all, checkMixed(s, sockets, Finding{
		Grade: Problem, Code: "mixed-socket", Says: "the page opens its socket over plain HTTP, and browsers block that on a page from https://",
	})...)
	all = append(all, checkMixed(s, active, Finding{
		Grade: Problem, Code: "mixed-content", Says: "the page loads or asks over plain HTTP, and browsers block that on a page from https://",
	})...)
	all = append(all, checkMixed(s, passive, Finding{
		Grade: Warning, Code: "mixed-passive", Says: "the page shows or sends over plain HTTP: browsers ask over HTTPS instead, or warn",
	})...)
	if len(local) > 0 {
		all = append(all, Finding{
			Warning, Page, "loopback", "the page goes to the browser's own machine, where nobody but you has a server", refLines(local),
			fmt.Sprintf("write the server's public address at %s", local[0].where),
		})
	}
	if len(s.page.unread) > 0 {
		all = append(all, Finding{Note, Page, "unread", "not every script of the page could be read", s.page.unread, ""})
	}
	if len(sockets)+len(active)+len(passive)+len(local) == 0 {
		all = append(all, Finding{OK, Page, "no-mixed-content", fmt.Sprintf("nothing on the page is plain HTTP (%s looked at)", counted(len(s.page.refs), "one address", "addresses")), nil, ""})
	}
	return all
}

// checkMixed makes a finding of references without TLS.
func checkMixed(s *sight, refs []ref, f Finding) []Finding {
	if len(refs) == 0 {
		return nil
	}
	f.Topic, f.Detail = Page, refLines(refs)
	r := refs[0]
	secure := "https"
	if strings.HasPrefix(strings.ToLower(r.text), "ws://") {
		secure = "wss"
	}
	host := r.host()
	good := s.page.secure[host]
	switch {
	case s.page.upgrade && good:
		f.Grade, f.Code = Note, f.Code+"-upgraded"
		f.Says = "the page names plain HTTP and has browsers ask over HTTPS instead (upgrade-insecure-requests), which is answered"
		f.Next = ""
	case host == "":
		f.Next = fmt.Sprintf("write %s:// at %s", secure, r.where)
	case good:
		f.Next = fmt.Sprintf("write %s:// at %s: %s answers there with a good certificate", secure, r.where, host)
	case host == s.subject.Name:
		f.Next = fmt.Sprintf("put HTTPS in front of that server, `albion up --domain %s --to HOST:PORT`, then write %s:// at %s", host, secure, r.where)
	default:
		f.Next = fmt.Sprintf("put HTTPS in front of that server, on it `albion up --domain %s --to %s`, then write %s://%s… at %s", s.newName(host), backend(r), secure, s.newName(host), r.where)
	}
	return []Finding{f}
}

// newName is the name to give to a server that a page reaches as host.
func (s *sight) newName(host string) string {
	if _, err := netip.ParseAddr(host); err != nil {
		return host
	}
	return "chat.YOURDOMAIN"
}

// backend is where the server behind such an address listens, seen from itself.
func backend(r ref) string {
	port := "80"
	if r.url != nil {
		port = cmp.Or(r.url.Port(), port)
	}
	if port == "80" || port == "443" {
		return "HOST:PORT" // these are to be Albion's own
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// refLines shows references: where, and what.
func refLines(refs []ref) []string {
	const most = 6
	var all []string
	for _, r := range refs {
		line := r.where + ": " + r.text
		if r.kind == refWebSocket || r.kind == refSockJS || r.kind == refEvents {
			line = fmt.Sprintf("%s: new %s(%q)", r.where, r.kind, r.text)
		}
		if !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return all
}

// checkAround judges whether servers can be reached without the balancer.
func checkAround(s *sight) []Finding {
	var lines []string
	for _, a := range s.around {
		if a.how == open {
			lines = append(lines, fmt.Sprintf("%s answers, which is %s", a.addr, a.target))
		}
	}
	if len(lines) == 0 {
		if len(s.around) == 0 {
			return nil
		}
		return []Finding{{OK, Servers, "not-around", "the servers' own ports do not answer at public addresses", nil, ""}}
	}
	port := s.around[slices.IndexFunc(s.around, func(a aroundSeen) bool { return a.how == open })].addr.Port()
	return []Finding{{
		Warning, Servers, "around", "a server answers at a public address without the balancer: whoever knows its port gets around HTTPS", append(lines, "a firewall between this machine and the Internet may close it; this machine looks from inside"),
		fmt.Sprintf("let the server listen on 127.0.0.1 only, or close port %d to all but the balancer", port),
	}}
}
