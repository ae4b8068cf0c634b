package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// checkPorts judges whether both ports can be connected to at every address.
func checkPorts(s *sight) []Finding {
	if len(s.ports) == 0 {
		return nil
	}
	all := checkPort(s, s.subject.HTTPS, true)
	return append(all, checkPort(s, s.subject.HTTP, false)...)
}

func checkPort(s *sight, port uint16, secure bool) []Finding {
	opened, shut, silent := s.reachable(port, open), s.reachable(port, closed, cutShort), s.reachable(port, filtered)
	failing := append(slices.Clone(shut), silent...)
	// Plain HTTP may be missed; HTTPS is what everybody came for.
	bad := orWarning(secure, Problem)
	what := "so no browser gets https:// or wss://"
	if !secure {
		what = "so http:// addresses lead nowhere, and a CA cannot ask over HTTP"
	}
	switch {
	case len(failing) == 0 && len(opened) == 0:
		return []Finding{{Note, Ports, "no-way", fmt.Sprintf("this machine has no way to %s, such as no IPv6: port %d cannot be tried from here", join(s.reachable(port, noWay)), port), nil, ""}}
	case len(failing) == 0:
		return []Finding{{OK, Ports, "open", fmt.Sprintf("port %d answers at %s", port, join(opened)), nil, ""}}
	case len(opened) > 0:
		return []Finding{{
			bad, Ports, "partly-open", fmt.Sprintf("port %d answers at %s and not at %s: who is sent there by chance fails", port, join(opened), join(failing)), nil,
			s.openNext(port, failing, len(silent) > 0),
		}}
	case len(shut) > 0:
		return []Finding{{bad, Ports, "closed", fmt.Sprintf("nothing listens on port %d at %s, %s", port, join(shut), what), nil, s.listenNext(port, secure)}}
	}
	return []Finding{{
		bad, Ports, "filtered", fmt.Sprintf("port %d at %s does not answer at all, %s", port, join(silent), what), nil,
		fmt.Sprintf("let TCP port %d in where packets are filtered: the firewall of the machine, the security group or firewall of its host, the router's port forwarding", port),
	}}
}

// openNext is for a port that is open at some addresses only.
func (s *sight) openNext(port uint16, failing []netip.Addr, silent bool) string {
	if slices.ContainsFunc(failing, netip.Addr.Is6) && !slices.ContainsFunc(failing, netip.Addr.Is4) {
		return fmt.Sprintf("serve port %d over IPv6 too, or delete the AAAA record of %s: CAs prefer IPv6", port, s.subject.Name)
	}
	if silent {
		return fmt.Sprintf("let TCP port %d in at %s, or delete the records that lead there", port, join(failing))
	}
	return fmt.Sprintf("serve port %d at %s, or delete the records that lead there", port, join(failing))
}

// listenNext is for a port that nobody listens on.
func (s *sight) listenNext(port uint16, secure bool) string {
	for _, l := range s.known.Listeners {
		if l.Port == port && l.Problem != "" {
			return fmt.Sprintf("the listener on port %d here has failed (%s): `albion status` shows it", port, l.Problem)
		}
		if l.Port == port && l.Serving {
			return fmt.Sprintf("Albion serves port %d here, so something in between refuses: forward port %d of the router to this machine", port, port)
		}
	}
	flag := ""
	if secure && port != 443 {
		flag = fmt.Sprintf(" --https-port %d", port)
	}
	if !secure && port != 80 {
		flag = fmt.Sprintf(" --http-port %d", port)
	}
	return fmt.Sprintf("start it there: `albion up --domain %s --to HOST:PORT%s` serves both ports", s.subject.Name, flag)
}

// checkToken judges who answers what a CA would ask.
func checkToken(s *sight) []Finding {
	t := s.token
	if t == nil {
		return nil
	}
	at := "http://" + hostPort(s.subject.Name, s.subject.HTTP, 80) + challengePath + "…"
	last := t.walk.last()
	switch {
	case last == nil:
		return nil // the port's finding says it
	case t.want != "" && strings.TrimSpace(string(t.walk.body)) == t.want:
		return []Finding{{OK, Ports, "reaches-us", "what a CA asks over HTTP reaches this Albion", nil, ""}}
	case t.walk.loop || t.walk.endless:
		return []Finding{{Problem, Ports, "challenge-loop", "what a CA asks over HTTP is redirected without end", hopLines(&t.walk), "exempt " + challengePath + " from redirects on the server that answers"}}
	case t.want != "":
		return []Finding{{
			Warning, Ports, "reaches-other", fmt.Sprintf("what a CA asks over HTTP is answered by %s, not by the Albion that runs here", answerer(last)), append(hopLines(&t.walk), "a router that cannot send a machine's own packets back to it looks alike"),
			"forward port 80 of " + s.subject.Name + " to this machine, or prove the name by DNS",
		}}
	case last.status == 401 || last.status == 403:
		return []Finding{{
			Warning, Ports, "challenge-denied", fmt.Sprintf("%s answers %d to what a CA asks over HTTP", answerer(last), last.status), hopLines(&t.walk),
			"let " + challengePath + " through without signing in, or let Albion have port 80: it answers before any rule",
		}}
	case elsewhereHop(s, last):
		return []Finding{{
			Warning, Ports, "challenge-redirected", fmt.Sprintf("what a CA asks over HTTP is redirected to %s, which would have to know the answer", last.url.Host), hopLines(&t.walk),
			"exempt " + challengePath + " from redirects to other names",
		}}
	}
	return []Finding{{OK, Ports, "challenge-path", fmt.Sprintf("%s is answered by %s (%d); a running Albion answers there before any rule", at, answerer(last), last.status), nil, ""}}
}

// elsewhereHop says whether an answer comes from another name.
func elsewhereHop(s *sight, h *hop) bool { return h.url.Hostname() != s.subject.Name }

// answerer is who answered, as far as it says so.
func answerer(h *hop) string {
	if who, ok := hostOfAnswer(h.header); ok {
		return who.name
	}
	if server := h.header.Get("Server"); server != "" {
		return "a server that calls itself " + quoted(server)
	}
	return "somebody who does not say who it is"
}

func quoted(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most]
	}
	return "“" + printable(s) + "”"
}

// hopLines shows a way through redirects.
func hopLines(w *walkSeen) []string {
	const most = 6
	var all []string
	for _, h := range w.hops[:min(len(w.hops), most)] {
		line := fmt.Sprintf("%d %s", h.status, printable(h.url.Redacted()))
		if server := h.header.Get("Server"); server != "" {
			line += " (" + printable(server[:min(len(server), 60)]) + ")"
		}
		all = append(all, line)
	}
	if len(w.hops) > most {
		all = append(all, fmt.Sprintf("and %d more", len(w.hops)-most))
	}
	return all
}

// Clocks that differ by less are as right as they need to be; CAs date
// certificates back by an hour, and a day ruins every decision about renewal.
const (
	clockNote  = 5 * time.Minute
	clockWrong = time.Hour
)

// checkClock holds this machine's clock against those of others.
func checkClock(s *sight) []Finding {
	var off []time.Duration
	var lines []string
	compare := func(who string, theirs, ours time.Time) {
		if theirs.IsZero() {
			return
		}
		d := ours.Sub(theirs).Round(time.Second)
		off = append(off, d)
		lines = append(lines, fmt.Sprintf("%s: %s", who, theirs.UTC().Format(time.RFC1123)))
	}
	for _, ca := range s.cas {
		compare(caName(ca.Directory), ca.date, s.now)
	}
	if len(off) == 0 { // a CA's clock counts; others are as good as anybody's
		if h := s.secure.last(); h != nil {
			compare(h.url.Host, h.date, h.at)
		}
		if h := s.plain.last(); h != nil {
			compare(h.url.Host, h.date, h.at)
		}
	}
	if len(off) == 0 {
		return nil
	}
	// Against one that is wrong itself, the one that agrees best counts.
	best := slices.MinFunc(off, func(a, b time.Duration) int { return int(a.Abs() - b.Abs()) })
	if best.Abs() < clockNote {
		return []Finding{{OK, Clock, "clock", "this machine's clock is right", nil, ""}}
	}
	word := "ahead of"
	if best < 0 {
		word = "behind"
	}
	return []Finding{{
		orWarning(best.Abs() >= clockWrong, Problem), Clock, "clock", fmt.Sprintf("this machine's clock is %s %s others: certificates look expired, or not valid yet, when they are neither", best.Abs(), word), lines,
		"set the clock by the network: `timedatectl set-ntp true`",
	}}
}
