package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/albion-lb/albion/internal/resolve"
)

// sight is everything that was seen of a subject: values only. What was not
// looked at is nil or empty.
type sight struct {
	subject Subject
	known   Known
	now     time.Time
	from    netip.Addr // looked at this address instead of where the name leads
	origin  string     // of the page that opens the sockets

	names   *namesSeen
	cas     []caSeen
	ports   []portSeen
	plain   *walkSeen  // what http:// leads to
	token   *tokenSeen // what a CA would be told
	tls     []tlsSeen
	secure  *walkSeen // what the subject's own address leads to
	page    *pageSeen
	sockets []socketSeen
	sockjs  []sockjsSeen
	around  []aroundSeen
}

// namesSeen is what name servers say.
type namesSeen struct {
	addresses answerSeen // A and AAAA, of whatever the aliases lead to
	a, aaaa   []netip.Addr
	chain     []string // what the name is an alias of, in turn
	chainErr  error
	zone      resolve.Zone
	zoneErr   error
	said      []resolve.Statement // each authoritative server on A
	unchecked bool                // with DNSSEC left aside there is an answer
	wildcard  bool                // names that nobody made answer the same
	caa       resolve.CAASet
	caaErr    error
	challenge challengeSeen
}

// answerSeen is how asking went.
type answerSeen struct {
	missing bool // there is no such name
	empty   bool // it has no address
	err     error
}

// challengeSeen is what stands at _acme-challenge.
type challengeSeen struct {
	chain    []string // what it is an alias of, in turn
	chainErr error
	texts    []string
	wildcard []resolve.Record // what names beside it answer that nobody made
}

// caSeen is a CA that is, or would be, asked.
type caSeen struct {
	CA
	identities []string // what CAA records call it
	date       time.Time
	took       time.Duration
	err        error
}

// portSeen is what an address does with a connection.
type portSeen struct {
	addr netip.AddrPort
	how  reach
}

// reach is how a connection went.
type reach string

const (
	open      reach = "open"
	closed    reach = "closed"   // refused: the machine is there, nobody listens
	filtered  reach = "filtered" // nothing comes back
	noWay     reach = "no way"   // this machine has no route, such as without IPv6
	cutShort  reach = "cut"      // anything else
	unlooked  reach = ""
	slowReach       = 5 * time.Second
)

// hop is one answer on the way to a page.
type hop struct {
	url    *url.URL
	status int
	header http.Header
	date   time.Time // the server's clock, zero when it does not say
	at     time.Time // ours, halfway through
}

// walkSeen is a way through redirects.
type walkSeen struct {
	hops    []hop
	loop    bool // an address came twice
	endless bool // more redirects than a browser follows
	err     error
	body    []byte // of the last hop
	cut     bool   // the body is longer than what was read
}

func (w *walkSeen) last() *hop {
	if w == nil || len(w.hops) == 0 {
		return nil
	}
	return &w.hops[len(w.hops)-1]
}

// arrived says whether the way ends in an answer that is no redirect.
func (w *walkSeen) arrived() bool {
	return w != nil && len(w.hops) > 0 && w.err == nil && !w.loop && !w.endless
}

// tokenSeen is the answer to what a CA would ask on port 80.
type tokenSeen struct {
	walk walkSeen
	want string // what a running Albion answers; "": it was not asked to
}

// tlsSeen is a handshake with one address.
type tlsSeen struct {
	addr    netip.AddrPort
	err     error
	version uint16
	chain   []*x509.Certificate
	verdict error // of a browser on the chain and the name
	private error // the same with the authorities that were named beside the public ones
	old     uint16
}

// versionName is TLS 1.3 and so on.
func versionName(v uint16) string { return tls.VersionName(v) }

// pageSeen is what the page uses.
type pageSeen struct {
	url     *url.URL // https
	refs    []ref
	upgrade bool
	sockjs  bool
	paths   []string
	secure  map[string]bool // hosts that answer with a good certificate
	unread  []string        // scripts that could not be read
}

// socketSeen is a WebSocket that was opened.
type socketSeen struct {
	url    *url.URL
	status int
	opened bool
	err    error
	trust  error // of a browser in the certificate, when the host is another
}

// sockjsSeen is a SockJS endpoint.
type sockjsSeen struct {
	url        *url.URL
	origin     string
	trust      error // as of a WebSocket
	info       infoSeen
	frame      frameSeen
	transports []transportSeen
	sticky     []stickySeen
}

// infoSeen is what a SockJS server says of itself.
type infoSeen struct {
	status    int
	websocket bool
	cookie    bool
	allow     string // Access-Control-Allow-Origin
	creds     bool   // Access-Control-Allow-Credentials
	err       error
}

// frameSeen is the page for the iframe transports.
type frameSeen struct {
	status  int
	options string // X-Frame-Options
	scripts []ref
	err     error
}

// transportSeen is one transport of an endpoint.
type transportSeen struct {
	name   string
	status int
	opened bool          // the first frame came
	began  bool          // the answer's head came
	took   time.Duration // until the first frame
	err    error
}

// stickySeen is a session whose requests come by several connections.
type stickySeen struct {
	cookies     bool // the client sends cookies back
	asked, lost int
	err         error
}

// aroundSeen is a target's port, asked without the balancer.
type aroundSeen struct {
	target string // as it is registered
	addr   netip.AddrPort
	how    reach
}

// reachable lists the addresses with a port in some state.
func (s *sight) reachable(port uint16, how ...reach) []netip.Addr {
	var all []netip.Addr
	for _, p := range s.ports {
		if p.addr.Port() == port && slices.Contains(how, p.how) {
			all = append(all, p.addr.Addr())
		}
	}
	return all
}

// addresses is where the name leads.
func (s *sight) addresses() []netip.Addr {
	switch {
	case s.from.IsValid():
		return []netip.Addr{s.from}
	case s.subject.Addr.IsValid():
		return []netip.Addr{s.subject.Addr}
	case s.names != nil:
		return append(slices.Clone(s.names.a), s.names.aaaa...)
	}
	return nil
}
