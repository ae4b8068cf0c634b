// Package resolvetest runs BIND inside a test: a tree of name servers on loopback
// addresses, from a root to the zones that the test names, and a recursive server
// that finds its way through them.
//
//	net := resolvetest.New(t, resolvetest.Zone{Name: "example.test", Servers: 2, Text: "www A 192.0.2.1"})
//	r, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port})
//
// It is for tests only.
package resolvetest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// KeyName, KeySecret and KeyAlgorithm are of the key that may update zones.
const (
	KeyName      = "albion-test"
	KeySecret    = "cGhyYXNlIHRoYXQgaXMgdXNlZCBpbiB0ZXN0cyBvbmx5IQ=="
	KeyAlgorithm = "hmac-sha256"
)

// Zone is one zone of the tree.
type Zone struct {
	Name    string
	Text    string // its records besides SOA and NS, as in a zone file
	Servers int    // how many speak for it; 0: one
	// Lagging makes all servers but the first secondaries that are not told of
	// changes: Network.Notify does.
	Lagging bool
	// Undelegated keeps the zone above from naming it.
	Undelegated bool
	// Extra are names of further servers, which the zone above names and nobody runs.
	Extra []string
	// Bogus has the recursive server expect signatures of a key that nobody has, so
	// that it fails.
	Bogus bool
	// IPv6 gives the first server the address ::1 too.
	IPv6 bool
}

// Network is a running tree.
type Network struct {
	Recursive string // address and port of the recursive server
	Port      int    // of all of them

	t       testing.TB
	zones   []Zone
	servers []*server
	relays  []*relay
}

// server is one named.
type server struct {
	cmd  *exec.Cmd
	mu   sync.Mutex // guards what follows
	log  []string
	more chan struct{} // closed at the next line
}

// address of the i-th authoritative server: 127.0.0.2 and on.
func address(i int) string { return fmt.Sprintf("127.0.0.%d", i+2) }

// root is the address of the server above all. It is no other's: one that held a
// zone besides would not refer to that zone's servers, and so not say where they are.
const root = "127.0.0.200"

// New starts the tree, which ends with the test.
func New(t testing.TB, zones ...Zone) *Network {
	t.Helper()
	count := 1
	for i := range zones {
		zones[i].Servers = max(zones[i].Servers, 1)
		count = max(count, zones[i].Servers)
	}
	n := &Network{t: t, zones: zones, Port: freePort(t, count)}
	n.Recursive = fmt.Sprintf("127.0.0.1:%d", n.Port)
	n.behind(n.root, root)
	for i := range count {
		s, r := n.behind(n.authority(i), address(i))
		n.servers, n.relays = append(n.servers, s), append(n.relays, r)
	}
	newRelay(t, fmt.Sprintf("[::1]:%d", n.Port), n.relays[0].to)
	for _, z := range zones {
		for i := 1; z.Lagging && i < z.Servers; i++ {
			n.servers[i].await(t, "transfer of '"+z.Name+"/IN'", "Transfer status: success")
		}
	}
	n.start(n.Port, n.recursor)
	return n
}

// behind starts a named behind an address.
func (n *Network) behind(zones func(dir string) string, host string) (*server, *relay) {
	n.t.Helper()
	port := freePort(n.t, 0)
	r := newRelay(n.t, fmt.Sprintf("%s:%d", host, n.Port), fmt.Sprintf("127.0.0.1:%d", port))
	return n.start(port, zones), r
}

// freePort finds a port that is free for UDP and TCP on all addresses.
func freePort(t testing.TB, count int) int {
	t.Helper()
	hosts := []string{"127.0.0.1", "::1", root}
	for i := range count {
		hosts = append(hosts, address(i))
	}
	for range 50 {
		first, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := first.LocalAddr().(*net.UDPAddr).Port
		first.Close()
		if allFree(hosts, port) {
			return port
		}
	}
	t.Fatal("no port is free on all addresses")
	return 0
}

func allFree(hosts []string, port int) bool {
	for _, host := range hosts {
		at := net.JoinHostPort(host, fmt.Sprint(port))
		udp, err := net.ListenPacket("udp", at)
		if err != nil {
			return false
		}
		defer udp.Close()
		tcp, err := net.Listen("tcp", at)
		if err != nil {
			return false
		}
		defer tcp.Close()
	}
	return true
}

// start runs one named and waits until it answers.
func (n *Network) start(port int, zones func(dir string) string) *server {
	n.t.Helper()
	dir := n.t.TempDir()
	conf := fmt.Sprintf(`
options {
	directory %q;
	port %d;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none; session-keyfile none; lock-file none;
	dnssec-validation yes; qname-minimization off; notify no; allow-transfer { any; }; minimal-responses no;
	prefetch 0; empty-zones-enable no;
};
controls { };
key %s { algorithm %s; secret %q; };
`, dir, n.Port, port, KeyName, KeyAlgorithm, KeySecret) + zones(dir)
	file := filepath.Join(dir, "named.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		n.t.Fatal(err)
	}
	s := &server{cmd: exec.Command("named", "-g", "-n", "1", "-c", file), more: make(chan struct{})}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		n.t.Fatalf("start BIND: %v (scripts/tools installs it)", err)
	}
	var reader sync.WaitGroup
	reader.Go(func() { s.read(bufio.NewScanner(out)) })
	n.t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM)
		reader.Wait()
		s.cmd.Wait()
		if n.t.Failed() {
			n.t.Logf("BIND on port %d:\n%s", port, strings.Join(s.log[max(0, len(s.log)-30):], "\n"))
		}
	})
	s.await(n.t, " running\n")
	return s
}

// read keeps what a server logs.
func (s *server) read(lines *bufio.Scanner) {
	for lines.Scan() {
		s.mu.Lock()
		s.log = append(s.log, lines.Text())
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.log = append(s.log, "(ended)")
	close(s.more)
	s.more = make(chan struct{})
	s.mu.Unlock()
}

// await returns once the server has logged a line with all of these words.
func (s *server) await(t testing.TB, words ...string) {
	t.Helper()
	for seen := 0; ; {
		s.mu.Lock()
		fresh, more := s.log[seen:], s.more
		seen = len(s.log)
		s.mu.Unlock()
		for _, line := range fresh {
			if hasAll(line, words) {
				return
			}
			if line == "(ended)" {
				t.Fatalf("BIND ended before %q:\n%s", words, strings.Join(fresh, "\n"))
			}
		}
		<-more
	}
}

func hasAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line+"\n", word) {
			return false
		}
	}
	return true
}

// recursor is the configuration of the recursive server.
func (n *Network) recursor(dir string) string {
	hints := ". 3600 NS ns.root.\nns.root. 3600 A " + root + "\n"
	n.write(dir, "hints", hints)
	conf := "zone \".\" { type hint; file \"hints\"; };\n"
	for _, z := range n.zones {
		if z.Bogus {
			conf += fmt.Sprintf("trust-anchors { %q static-ds 1 13 2 %q; };\n", z.Name, strings.Repeat("00", 32))
		}
	}
	return conf
}

// root is the configuration of the server above all.
func (n *Network) root(dir string) string {
	n.write(dir, "root", "$TTL 60\n. SOA ns.root. root. 1 60 60 600 1\n. NS ns.root.\nns.root. A "+root+"\n"+n.delegations(""))
	return "zone \".\" { type primary; file \"root\"; };\n"
}

// authority is the configuration of the i-th authoritative server.
func (n *Network) authority(i int) func(dir string) string {
	return func(dir string) string {
		var b strings.Builder
		b.WriteString("// zones\n")
		for k, z := range n.zones {
			if i >= z.Servers {
				continue
			}
			if i > 0 && z.Lagging {
				fmt.Fprintf(&b, "zone %q { type secondary; primaries { %s port %d; }; allow-notify { any; }; };\n", z.Name, address(0), n.Port)
				continue
			}
			file := fmt.Sprintf("zone%d", k)
			n.write(dir, file, n.zoneFile(z))
			fmt.Fprintf(&b, "zone %q { type primary; file %q; update-policy { grant %s zonesub TXT CNAME; }; };\n", z.Name, file, KeyName)
		}
		return b.String()
	}
}

// zoneFile is the contents of a zone.
func (n *Network) zoneFile(z Zone) string {
	return fmt.Sprintf("$ORIGIN %s.\n$TTL 60\n@ SOA ns1 root 1 600 600 6000 1\n%s%s\n%s\n", z.Name, n.names(z), z.Text, n.delegations(z.Name))
}

// names are the NS records of a zone and the addresses of its servers.
func (n *Network) names(z Zone) string {
	var b strings.Builder
	for i := range z.Servers {
		fmt.Fprintf(&b, "%s. NS ns%d.%s.\nns%d.%s. A %s\n", z.Name, i+1, z.Name, i+1, z.Name, address(i))
		if i == 0 && z.IPv6 {
			fmt.Fprintf(&b, "ns1.%s. AAAA ::1\n", z.Name)
		}
	}
	for _, extra := range z.Extra {
		fmt.Fprintf(&b, "%s. NS %s.\n", z.Name, extra)
	}
	return b.String()
}

// delegations are what a zone says of those below it.
func (n *Network) delegations(above string) string {
	var b strings.Builder
	for _, z := range n.zones {
		if !z.Undelegated && n.above(z.Name) == above {
			b.WriteString(n.names(z))
		}
	}
	return b.String()
}

// above is the zone of the tree that a zone is in.
func (n *Network) above(name string) string {
	best := ""
	for _, z := range n.zones {
		if z.Name != name && strings.HasSuffix(name, "."+z.Name) && len(z.Name) > len(best) {
			best = z.Name
		}
	}
	return best
}

func (n *Network) write(dir, name, text string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// Server is the address and port of the i-th authoritative server, from 0.
func (n *Network) Server(i int) string { return fmt.Sprintf("%s:%d", address(i), n.Port) }

// Notify tells a lagging secondary that its zone has changed (RFC 1996).
func (n *Network) Notify(i int, zone string) {
	n.t.Helper()
	m := new(dns.Msg).SetNotify(zone + ".")
	if _, err := dns.Exchange(m, n.Server(i)); err != nil {
		n.t.Errorf("notify: %v", err)
	}
}

// Silence keeps the i-th authoritative server from hearing anything, or lets it
// hear again.
func (n *Network) Silence(i int, silent bool) { n.relays[i].silent.Store(silent) }
