package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

// freePort is a port that nobody has, over UDP and TCP.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no port is free for both")
	return 0
}

// said is a log that tells what it is told.
type said struct {
	slog.Handler
	lines chan string
}

func newSaid() *said {
	return &said{slog.DiscardHandler, make(chan string, 1000)}
}

func (s *said) Enabled(context.Context, slog.Level) bool { return true }

func (s *said) Handle(_ context.Context, r slog.Record) error {
	s.lines <- r.Message
	return nil
}

// wait returns when a line has been said.
func (s *said) wait(t testing.TB, line string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case got := <-s.lines:
			if got == line {
				return
			}
		case <-deadline:
			t.Fatalf("nobody says %q", line)
		}
	}
}

// start runs a Server until the test ends.
func start(t testing.TB, cfg dns.Config) *dns.Server {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := dns.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// listening adds to a State where names are answered.
func listening(t testing.TB, s *albion.State, at ...string) *albion.State {
	t.Helper()
	d := albion.NewDraft(s)
	albion.Put(d, &albion.NameService{Listen: at})
	return finish(t, d)
}

func state(t testing.TB, text string) *albion.State {
	t.Helper()
	d := albion.NewDraft(&albion.State{})
	zone(t, d, "example.com", text)
	return finish(t, d)
}

func apply(t testing.TB, s *dns.Server, state *albion.State) {
	t.Helper()
	if err := s.Apply(state); err != nil {
		t.Fatal(err)
	}
	for _, k := range s.Seen() {
		if !k.Serving {
			t.Fatalf("%s: %s", k.Address, k.Problem)
		}
	}
}

// program runs one of BIND's programs, which the test cannot do without.
func program(t testing.TB, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(args[0])
	if err != nil {
		t.Fatalf("%s is missing: on Debian or Ubuntu, sudo apt-get install --no-install-recommends bind9-dnsutils bind9-utils", args[0])
	}
	out, err := exec.CommandContext(t.Context(), path, args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

const zoneOfDig = `
@ 900 IN SOA ns1 hostmaster 1 7200 900 1209600 86400
@ 900 IN NS ns1
@ 300 IN MX 10 mail
@ 300 IN CAA 0 issue "ca.example.net"
www 300 IN CNAME web
web 300 IN A 192.0.2.1
web 300 IN AAAA 2001:db8::1
mail 300 IN A 192.0.2.2
_chat._tcp 300 IN SRV 1 10 5269 web
text 300 IN TXT "one; with \"signs\" \\ and \200" "two"
* 300 IN TXT "wild"
10 300 IN PTR host
sub 300 IN NS ns.sub
ns.sub 300 IN A 192.0.2.53
`

// What dig, the program that people ask with, is told.
func TestDigIsAnswered(t *testing.T) {
	port := strconv.Itoa(freePort(t))
	s := start(t, dns.Config{Addresses: func() []netip.Addr { return own }})
	var b strings.Builder
	b.WriteString(zoneOfDig)
	for i := range 100 {
		fmt.Fprintf(&b, "many 60 IN AAAA 2001:db8::%x\n", i)
	}
	apply(t, s, listening(t, state(t, b.String()), "127.0.0.1:"+port))
	for _, c := range []struct{ args, want string }{
		{"web.example.com A +short", `^192\.0\.2\.1\n$`},
		{"www.example.com A +short", `^web\.example\.com\.\n192\.0\.2\.1\n$`},
		{"www.example.com AAAA +short +tcp", `2001:db8::1\n$`},
		{"example.com MX +short", `^10 mail\.example\.com\.\n$`},
		{"example.com CAA +short", `^0 issue "ca\.example\.net"\n$`},
		{"_chat._tcp.example.com SRV +short", `^1 10 5269 web\.example\.com\.\n$`},
		{"text.example.com TXT +short", `^"one; with \\"signs\\" \\\\ and \\200" "two"\n$`},
		{"anything.example.com TXT +short", `^"wild"\n$`},
		{"10.example.com PTR +short", `^host\.example\.com\.\n$`},
		{"example.com SOA +short", `^ns1\.example\.com\. hostmaster\.example\.com\. 1 7200 900 1209600 86400\n$`},
		{"ns1.example.com A +short", `^203\.0\.113\.10\n$`},
		{"WeB.eXaMpLe.CoM A +noall +answer", `^WeB\.eXaMpLe\.CoM\.\s+300\s+IN\s+A\s+192\.0\.2\.1\n$`},
		{"web.example.com A", `status: NOERROR.*\n;; flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1`},
		{"web.example.com A", `EDNS: version: 0, flags:; udp: 1232`},
		{"web.example.com TXT", `status: NOERROR(?s:.*)flags: qr aa;(?s:.*)AUTHORITY SECTION:\nexample\.com\.\s+900\s+IN\s+SOA`},
		{"x.web.example.com A", `status: NXDOMAIN(?s:.*)flags: qr aa;(?s:.*)SOA`},
		{"host.sub.example.com A", `flags: qr;(?s:.*)AUTHORITY SECTION:\nsub\.example\.com\.\s+300\s+IN\s+NS\s+ns\.sub(?s:.*)ADDITIONAL SECTION:\nns\.sub\.example\.com\.\s+300\s+IN\s+A\s+192\.0\.2\.53`},
		{"web.example.com ANY", `HINFO\s+"RFC8482" ""`},
		{"example.org A", `status: REFUSED`},
		{"version.bind TXT CH", `status: REFUSED`},
		{"web.example.com A +opcode=NOTIFY", `opcode: NOTIFY, status: NOTIMP`},
		{"web.example.com A +edns=1 +noednsneg", `status: BADVERS`},
		{"web.example.com A +dnssec +nocookie", `EDNS: version: 0, flags: do; udp: 1232`},
		{"many.example.com AAAA +ignore", `flags: qr aa tc; QUERY: 1, ANSWER: 0`},
		{"many.example.com AAAA +ignore +bufsize=65000", `flags: qr aa tc; QUERY: 1, ANSWER: 0`},
		{"many.example.com AAAA", `Truncated, retrying in TCP mode(?s:.*)ANSWER: 100`},
		{"web.example.com A +noedns +norecurse", `flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0`},
		{"example.com AXFR", `Transfer failed`},
		{"TYPE65400.example.com TYPE65400", `status: NOERROR`},
	} {
		args := append([]string{"dig", "@127.0.0.1", "-p", port, "+norecurse", "+tries=1", "+time=5"}, strings.Fields(c.args)...)
		if strings.Contains(c.args, "AXFR") {
			args = append(args, "+tcp")
		}
		if out := program(t, args...); !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("dig %s\n%s\nwant %s", c.args, out, c.want)
		}
	}
	if out := program(t, "delv", "@127.0.0.1", "-p", port, "-i", "+short", "www.example.com", "A"); !strings.Contains(out, "192.0.2.1") {
		t.Errorf("delv: %s", out)
	}
	metrics := map[string]float64{}
	for _, m := range s.Metrics() {
		key := m.Name
		for _, l := range m.Labels {
			key += " " + l.Value
		}
		metrics[key] = m.Value
	}
	for _, key := range []string{"NOERROR", "NXDOMAIN", "REFUSED", "NOTIMP", "BADSIG"} {
		if metrics["albion_dns_queries_total "+key] == 0 {
			t.Errorf("no %s is counted: %v", key, metrics)
		}
	}
}

// over asks over a connection that takes answers only from where it asked.
func over(t testing.TB, network, at, name string) (*wire.Msg, error) {
	t.Helper()
	c := wire.Client{Net: network, Timeout: 5 * time.Second}
	m, _, err := c.ExchangeContext(t.Context(), new(wire.Msg).SetQuestion(name, wire.TypeA), at)
	return m, err
}

func TestPlacesOpenAndCloseWithTheState(t *testing.T) {
	one, two := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s, all := start(t, dns.Config{}), state(t, small)
	answers := func(at string, want bool) {
		t.Helper()
		for _, network := range []string{"udp", "tcp"} {
			m, err := over(t, network, at, "www.example.com.")
			if (err == nil && len(m.Answer) == 1) != want {
				t.Errorf("%s %s: %v, %v", network, at, m, err)
			}
		}
	}
	apply(t, s, listening(t, all, one))
	answers(one, true)
	apply(t, s, listening(t, all, one, two))
	answers(two, true)
	apply(t, s, listening(t, all, two))
	answers(one, false)
	answers(two, true)
	apply(t, s, all)
	answers(two, false)
	if seen := s.Seen(); len(seen) != 0 {
		t.Errorf("left open: %v", seen)
	}
}

func TestAPortInUseIsExplainedAndTakenWhenItIsFree(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		var taken io.Closer
		var err error
		if network == "udp" {
			taken, err = net.ListenPacket("udp", at)
		} else {
			taken, err = net.Listen("tcp", at)
		}
		if err != nil {
			t.Fatal(err)
		}
		log := newSaid()
		s := start(t, dns.Config{Log: slog.New(log), Retry: time.Millisecond})
		other := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		if err := s.Apply(listening(t, state(t, small), at, other)); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "name server cannot serve")
		if m, err := over(t, "udp", other, "www.example.com."); err != nil || len(m.Answer) != 1 {
			t.Errorf("the other place does not serve: %v", err)
		}
		problem := ""
		for _, k := range s.Seen() {
			if k.Address == at {
				problem = k.Problem
			}
		}
		if !strings.Contains(problem, strings.ToUpper(network)+" address "+at+" is in use by another program: stop it (`ss ") {
			t.Errorf("the problem is %q", problem)
		}
		taken.Close()
		log.wait(t, "name server serves again")
		if m, err := over(t, network, at, "www.example.com."); err != nil || len(m.Answer) != 1 {
			t.Errorf("%s: %v, %v", network, m, err)
		}
	}
}

func TestAliasesFollowTheHealthOfTheirTargets(t *testing.T) {
	health := atomic.Pointer[albion.HealthState]{}
	set := func(h albion.HealthState) { health.Store(&h) }
	set(albion.Healthy)
	log := newSaid()
	s := start(t, dns.Config{Log: slog.New(log), Look: time.Millisecond, Seen: func() albion.Seen {
		return albion.Seen{Targets: []albion.TargetSeen{{Group: "group", Health: albion.Health{State: *health.Load()}}}}
	}})
	d := albion.NewDraft(balanced(t, &albion.RecordSet{Alias: aliasOf("web")}))
	albion.Put(d, &albion.TargetGroup{
		ARN: "group", Name: "group", Protocol: albion.HTTP, Port: 80, HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	})
	albion.Put(d, &albion.Listener{ARN: "listener", LoadBalancer: "web", Protocol: albion.HTTP, Port: 80,
		Default: albion.Action{Forward: &albion.Forward{Groups: []albion.WeightedGroup{{Group: "group", Weight: 1}}}}})
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	apply(t, s, listening(t, finish(t, d), at))
	for _, c := range []struct {
		state   albion.HealthState
		answers int
	}{{albion.Unhealthy, 0}, {albion.Healthy, 1}, {albion.Unhealthy, 0}, {albion.Unavailable, 1}} {
		set(c.state)
		log.wait(t, "alias records follow the health of their load balancers")
		if m, err := over(t, "udp", at, "app.example.com."); err != nil || len(m.Answer) != c.answers || m.Rcode != wire.RcodeSuccess {
			t.Errorf("%s: %v, %v", c.state, m, err)
		}
	}
}

func TestConnectionsOfOneNetworkAreBounded(t *testing.T) {
	s := start(t, dns.Config{})
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	apply(t, s, listening(t, state(t, small), at))
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	askOn := func(c net.Conn) error {
		data := question(t, "www.example.com.", "A", nil)
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := io.ReadFull(c, make([]byte, 14))
		return err
	}
	for i := range dns.MaxOfNetwork + 1 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if err := askOn(c); (err == nil) != (i < dns.MaxOfNetwork) {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	// The end of one makes room for another, once its end has been seen.
	open[0].Close()
	for range 1000 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if err = askOn(c); err == nil {
			return
		}
	}
	t.Error("nobody is let in again")
}

// A connection that says nothing, or a part of a question, is closed in time;
// one that asks without end as well.
func TestConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dns.New(dns.Config{Log: slog.New(slog.DiscardHandler)})
		if err := s.Apply(state(t, small)); err != nil {
			t.Fatal(err)
		}
		data := question(t, "www.example.com.", "A", nil)
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
		for name, send := range map[string][]byte{"nothing": nil, "a part": framed[:9], "too little": {0, 11}, "too much": {0xff, 0xff}} {
			client, server := net.Pipe()
			began, ended := time.Now(), make(chan struct{})
			go func() { defer close(ended); defer server.Close(); s.Converse(server) }()
			if _, err := client.Write(send); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
			<-ended
			if took := time.Since(began); took > dns.IdleTimeout {
				t.Errorf("%s: closed after %s", name, took)
			}
			client.Close()
		}
		client, server := net.Pipe()
		ended := make(chan struct{})
		go func() { defer close(ended); defer server.Close(); s.Converse(server) }()
		asked := 0
		for ; asked < 2*dns.MaxQuestions; asked++ {
			if _, err := client.Write(framed); err != nil {
				break
			}
			head := make([]byte, 2)
			if _, err := io.ReadFull(client, head); err != nil {
				break
			}
			if _, err := io.CopyN(io.Discard, client, int64(binary.BigEndian.Uint16(head))); err != nil {
				break
			}
		}
		<-ended
		if asked != dns.MaxQuestions {
			t.Errorf("%d questions were answered", asked)
		}
		client.Close()
	})
}

// Zones change while they are asked about: every answer is one of before or
// after, and none is lost.
func TestChangesLoseNoAnswer(t *testing.T) {
	s := start(t, dns.Config{Limit: dns.Limit{PerAnswer: 1 << 20, PerSource: 1 << 20}})
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	base := listening(t, state(t, small), at)
	apply(t, s, base)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for _, network := range []string{"udp", "tcp"} {
		wg.Go(func() {
			c := wire.Client{Net: network, Timeout: 20 * time.Second}
			conn, err := c.DialContext(t.Context(), at)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for range 300 {
				m, _, err := c.ExchangeWithConnContext(t.Context(), new(wire.Msg).SetQuestion("WWW.example.com.", wire.TypeA), conn)
				if err != nil || len(m.Answer) != 1 {
					t.Errorf("%s: %v, %v", network, m, err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		d := albion.NewDraft(base)
		for z := range base.HostedZones.All() {
			albion.Put(d, &albion.RecordSet{Zone: z.ID, Name: "www.example.com.", Type: albion.TypeA, Values: []string{fmt.Sprintf("192.0.2.%d", i%250)}})
		}
		apply(t, s, finish(t, d))
	}
}

func TestAfterTheEndNothingIsApplied(t *testing.T) {
	s := dns.New(dns.Config{Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Apply(&albion.State{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
