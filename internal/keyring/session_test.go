package keyring_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
)

// pocket keeps the latest session and offers it whatever it is asked for: a
// client that does not look where it goes.
type pocket struct{ session *tls.ClientSessionState }

func (p *pocket) Get(string) (*tls.ClientSessionState, bool) { return p.session, p.session != nil }
func (p *pocket) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		p.session = s
	}
}

func versions() map[string]uint16 {
	return map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}
}

// returning is a client that comes back with the session that it has.
func returning(s shelf, version uint16) *tls.Config {
	c := dialer(s, "chat.example.com")
	c.MaxVersion = version
	c.ClientSessionCache = &pocket{}
	c.Time = time.Now
	return c
}

// resume shakes hands and reports whether a session was resumed.
func resume(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	m := shake(t, server, client)
	if m.err != nil {
		t.Fatalf("client: %v, server: %v", m.err, m.refuse)
	}
	if m.client.DidResume != m.server.DidResume {
		t.Fatal("the two sides disagree")
	}
	if !m.client.DidResume && m.chosen == "" || m.client.DidResume && m.client.Version == tls.VersionTLS13 && m.chosen != "" {
		t.Fatalf("resumed: %t, and the connection was told %q", m.client.DidResume, m.chosen)
	}
	return m.client.DidResume
}

// bubble runs f in a synctest bubble that begins when the certificates of the
// tests are valid.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wait := time.NewTimer(time.Until(noon.AddDate(0, 0, -50)))
		<-wait.C
		f(t)
	})
}

func TestSessionSurvivesNewCertificatesAndNewConfigs(t *testing.T) {
	old, fresh := both(t), both(t)
	for name, version := range versions() {
		k := keyring.New(keyring.Config{Now: at(noon)})
		var live atomic.Pointer[keyring.Ring]
		live.Store(compile(t, k, old))
		first, err := k.Config(standard, live.Load)
		must(t, err)
		client := returning(old, version)
		client.Time = at(noon)
		if resume(t, first, client) {
			t.Fatalf("%s: the first handshake resumed something", name)
		}
		live.Store(compile(t, k, fresh))
		if !resume(t, first, client) {
			t.Errorf("%s: lost when the certificates changed", name)
		}
		second, err := k.Config(standard, live.Load)
		must(t, err)
		if !resume(t, second, client) {
			t.Errorf("%s: lost when the listener was made again", name)
		}
	}
}

func TestSessionIsBoundToPolicyAndName(t *testing.T) {
	s := stock(t, spec{names: []string{"chat.example.com", "admin.example.com"}, key: p256()})
	for name, version := range versions() {
		k := keyring.New(keyring.Config{Now: at(noon)})
		ring := compile(t, k, s)
		wide := config(t, k, "ELBSecurityPolicy-TLS13-1-2-2021-06", ring)
		strict := config(t, k, "ELBSecurityPolicy-TLS13-1-2-Res-2021-06", ring)
		client := returning(s, version)
		client.Time = at(noon)
		resume(t, wide, client)
		if resume(t, strict, client) {
			t.Errorf("%s: a session of a wider policy was resumed", name)
		}
		if !resume(t, strict, client) {
			t.Errorf("%s: a session of the same policy was not resumed", name)
		}
		other := client.Clone()
		other.ServerName = "admin.example.com"
		if resume(t, strict, other) {
			t.Errorf("%s: a session of another name was resumed", name)
		}
	}
}

func TestForeignTicketsAreIgnored(t *testing.T) {
	s := both(t)
	for name, version := range versions() {
		client := returning(s, version)
		client.Time = at(noon)
		for range 2 { // another process each time
			k := keyring.New(keyring.Config{Now: at(noon)})
			if resume(t, config(t, k, standard, compile(t, k, s)), client) {
				t.Errorf("%s: a ticket was opened without its key", name)
			}
		}
	}
}

// TestTicketKeysRotate keeps the session of the first hour: it can be resumed
// until its key is forgotten, in every Config, whenever that was made.
func TestTicketKeysRotate(t *testing.T) {
	s := both(t)
	for name, version := range versions() {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { rotation(t, s, version) }) })
	}
}

func rotation(t *testing.T, s shelf, version uint16) {
	k := keyring.New(keyring.Config{})
	ring := compile(t, k, s)
	server := config(t, k, standard, ring)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	client := returning(s, version)
	resume(t, server, client)
	kept := client.ClientSessionCache.(*pocket).session
	synctest.Wait()
	start := time.Now()
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{
		{11 * time.Hour, true}, {13 * time.Hour, true}, {35 * time.Hour, true}, {37 * time.Hour, false},
	} {
		<-time.After(c.after - time.Since(start))
		synctest.Wait()
		client.ClientSessionCache = &pocket{kept}
		if got := resume(t, server, client); got != c.want {
			t.Errorf("after %v: resumed is %t", c.after, got)
		}
	}
}

func TestRunReportsThatRandomnessEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keyring.New(keyring.Config{Rand: empty{}})
		if err := k.Run(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

// TestHotSwapUnderLoad changes certificates all the while clients shake hands:
// each gets one that was live at some time, and none fails.
func TestHotSwapUnderLoad(t *testing.T) {
	old, fresh := both(t), both(t)
	old.roots.AddCert(parseLeaf(t, fresh, 0))
	old.roots.AddCert(parseLeaf(t, fresh, 1))
	k := keyring.New(keyring.Config{Now: at(noon)})
	var live atomic.Pointer[keyring.Ring]
	live.Store(compile(t, k, old))
	server, err := k.Config(standard, live.Load)
	must(t, err)

	const clients, handshakes = 4, 25
	done := make(chan bool)
	for range clients {
		go func() {
			ok := true
			for range handshakes {
				m := shake(t, server, dialer(old, "chat.example.com"))
				if m.err != nil || m.chosen != arn(0) {
					t.Errorf("client: %v, server: %v, chosen %s", m.err, m.refuse, m.chosen)
					ok = false
				}
			}
			done <- ok
		}()
	}
	swaps := 0
	for left := clients; left > 0; {
		select {
		case <-done:
			left--
		default:
			next := []shelf{old, fresh}[swaps%2]
			live.Store(compile(t, k, next))
			swaps++
		}
	}
	if swaps < 10 {
		t.Errorf("only %d swaps", swaps)
	}
}

// TestChangedContentsAreServed renews in place: the same ARN, another serial
// number.
func TestChangedContentsAreServed(t *testing.T) {
	s := stock(t, spec{names: []string{"chat.example.com"}, key: p256()})
	k := keyring.New(keyring.Config{Now: at(noon)})
	var live atomic.Pointer[keyring.Ring]
	live.Store(compile(t, k, s))
	server, err := k.Config(standard, live.Load)
	must(t, err)
	before := shake(t, server, dialer(s, "chat.example.com"))

	d := albion.NewDraft(s.state)
	s.roots.AddCert(put(t, d, spec{names: []string{"chat.example.com"}, key: p256(), arn: arn(0)}))
	s.state = &d.State
	live.Store(compile(t, k, s))
	after := shake(t, server, dialer(s, "chat.example.com"))
	must(t, before.err)
	must(t, after.err)
	one, two := before.client.PeerCertificates[0], after.client.PeerCertificates[0]
	if one.SerialNumber.Cmp(two.SerialNumber) == 0 || before.chosen != after.chosen {
		t.Errorf("serial %v then %v, chosen %s then %s", one.SerialNumber, two.SerialNumber, before.chosen, after.chosen)
	}
}
