package doctor

import (
	"fmt"
	"strings"
)

// check is a judgement of what was seen.
type check func(*sight) []Finding

func checks() []check {
	return []check{
		checkNames, checkPorts, checkToken, checkClock, checkCertificate, checkRedirects, checkHSTS,
		checkPage, checkSockets, checkAround, checkCAs, checkCAA,
	}
}

// report judges everything. cut says that looking was ended early.
func (s *sight) report(cut bool) *Report {
	r := &Report{URL: s.subject.URL.String(), Name: s.subject.Name, At: s.now, Findings: []Finding{}, Methods: methods(s), Unseen: s.unseen(cut)}
	for _, c := range checks() {
		r.Findings = append(r.Findings, c(s)...)
	}
	order(r.Findings)
	r.Summary = summarise(s, r)
	return r
}

// unseen lists what could not be looked at.
func (s *sight) unseen(cut bool) []string {
	var all []string
	add := func(what, why string) { all = append(all, what+": "+why) }
	switch {
	case lost(s):
		add("ports, certificate, page and sockets", "there is no address to look at")
	case len(s.reachable(s.subject.HTTPS, open)) == 0:
		add("certificate and sockets", fmt.Sprintf("port %d does not answer", s.subject.HTTPS))
	case s.page == nil && !s.subject.Socket && len(s.sockjs) == 0:
		add("page", "what answers is no page")
	case len(s.sockets)+len(s.sockjs) == 0:
		add("WebSocket and SockJS", "the page opens none that can be read; name the endpoint to have it tried")
	}
	if cut {
		add("the rest", "time was up, --timeout gives more")
	}
	return all
}

// summarise says in one sentence what stands between a person and a working
// https:// and wss://.
func summarise(s *sight, r *Report) string {
	what := "a working https://" + s.subject.URL.Host + "/"
	if len(s.sockjs)+len(s.sockets) > 0 {
		what = "a working https:// and wss:// at " + s.subject.URL.Host
	}
	problems, warnings := r.Of(Problem), r.Of(Warning)
	switch {
	case len(problems) == 1:
		return fmt.Sprintf("One thing stands between you and %s: %s.", what, problems[0].Says)
	case len(problems) > 1:
		return fmt.Sprintf("%d things stand between you and %s; first of all, %s.", len(problems), what, problems[0].Says)
	case len(s.reachable(s.subject.HTTPS, open)) == 0:
		return fmt.Sprintf("Whether anything stands between you and %s cannot be told from here.", what)
	case len(warnings) > 0:
		return fmt.Sprintf("Nothing stands between you and %s, and %s may hurt: %s.", what, counted(len(warnings), "one thing", "things"), warnings[0].Says)
	}
	return fmt.Sprintf("Nothing stands between you and %s.", strings.TrimSuffix(what, "/"))
}
