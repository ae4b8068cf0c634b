package doctor

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Servers are looked for at their own public addresses, or at the balancer's.
func TestWhereServersAreLookedFor(t *testing.T) {
	var mu sync.Mutex // guards dialled
	var dialled []string
	dial := func(_ context.Context, _, at string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		dialled = append(dialled, at)
		if at == "192.0.2.7:8080" {
			a, b := net.Pipe()
			b.Close()
			return a, nil
		}
		return nil, syscall.ECONNREFUSED
	}
	s := usual(t)
	s.known.Targets = []string{"127.0.0.1:8080", "198.51.100.1:81", "10.0.0.5:443", "server.internal:82"}
	s.lookAround(t.Context(), &eye{cfg: Config{Dial: dial}.whole(), name: s.subject.Name})
	slices.Sort(dialled)
	if want := []string{"192.0.2.7:8080", "192.0.2.7:82", "198.51.100.1:81"}; !slices.Equal(dialled, want) {
		t.Errorf("looked at %q, want %q", dialled, want)
	}
	if f := checkAround(s); len(f) != 1 || f[0].Grade != Warning || !strings.Contains(f[0].Detail[0], "192.0.2.7:8080") {
		t.Errorf("%+v", f)
	}
	// Where the name leads to nothing public, nobody gets around.
	s = usual(t)
	s.names.a, s.known.Targets = []netip.Addr{inside}, []string{"127.0.0.1:8080"}
	s.lookAround(t.Context(), &eye{cfg: Config{Dial: dial}.whole()})
	if len(s.around) != 0 {
		t.Errorf("looked at %+v", s.around)
	}
}

func TestHowConnectingWent(t *testing.T) {
	for want, err := range map[reach]error{
		open: nil, closed: syscall.ECONNREFUSED, noWay: syscall.ENETUNREACH, filtered: context.DeadlineExceeded, cutShort: syscall.ECONNRESET,
	} {
		if err != nil {
			err = &net.OpError{Op: "dial", Err: err}
		}
		if got := reachOf(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}

// Scripts that were made to be slow to read are read all the same: the cost of
// each is in proportion to its length, and this test ends.
func TestScriptsMadeToBeSlow(t *testing.T) {
	const length = 1 << 18
	for _, piece := range []string{"(/[", "/*/", "'\\", "`${", "${}", "a=/", "new SockJS(", `x="http://a.example/";`, "fetch(x);", "location.", "<img srcset=,", "<a b=", "//\n"} {
		text := strings.Repeat(piece, length/len(piece))
		base := usual(t).subject.URL
		refs, _ := connections(base, []script{readScript("a.js", 1, text)})
		if doc := scanHTML(base, []byte(text)); len(refs) > maxRefs || len(doc.refs) > maxRefs+10 {
			t.Errorf("%q: %d and %d references", piece, len(refs), len(doc.refs))
		}
	}
}
