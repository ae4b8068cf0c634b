package acmetest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// DNS answers that every name is this machine, and with the TXT records that it
// was given.
type DNS struct {
	Address string // HOST:PORT, UDP and TCP

	mu   sync.Mutex // guards what follows
	txt  map[string][]string
	lost map[string]bool

	stale map[string]int // questions for TXT until one is not answered
}

func newDNS(t testing.TB) *DNS {
	t.Helper()
	d := &DNS{txt: map[string][]string{}, lost: map[string]bool{}, stale: map[string]int{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Address = listener.Addr().String()
	started, ended := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{Listener: listener, Handler: d, NotifyStartedFunc: func() { close(started) }}
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return d
}

// Lose makes a name have no address.
func (d *DNS) Lose(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost[name] = true
}

// Stale makes the n-th question for the TXT records of a name from now on find
// nothing, as a server does that lags behind the others.
func (d *DNS) Stale(name string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stale[name] = n
}

// Add presents a TXT record.
func (d *DNS) Add(name, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.txt[name] = append(d.txt[name], value)
}

// Remove removes one TXT record.
func (d *DNS) Remove(name, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var rest []string
	for _, v := range d.txt[name] {
		if v != value {
			rest = append(rest, v)
		}
	}
	d.txt[name] = rest
}

// Records is the TXT records of a name.
func (d *DNS) Records(name string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.txt[name]...)
}

// ServeDNS implements dns.Handler.
func (d *DNS) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	for _, q := range r.Question {
		name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
		header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}
		d.mu.Lock()
		switch {
		case q.Qtype == dns.TypeA && !d.lost[name]:
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
		case q.Qtype == dns.TypeTXT && d.lags(name):
		case q.Qtype == dns.TypeTXT:
			for _, v := range d.txt[name] {
				m.Answer = append(m.Answer, &dns.TXT{Hdr: header, Txt: []string{v}})
			}
		}
		d.mu.Unlock()
	}
	_ = w.WriteMsg(m) // whoever asked is gone otherwise
}

// lags counts down to the question that finds nothing. The caller holds mu.
func (d *DNS) lags(name string) bool {
	if d.stale[name] == 0 {
		return false
	}
	d.stale[name]--
	return d.stale[name] == 0
}
