//go:build !race

// The race detector makes sync.Pool drop some of what it is given.

package proxy_test

import (
	"testing"

	"github.com/albion-lb/albion/internal/proxy"
)

// In steady state a request costs no allocation, logged or not.
func TestForwardingAllocatesNothing(t *testing.T) {
	for name, logged := range map[string]bool{"logged": true, "not logged": false} {
		b := newBalancer(t, func(v *proxy.View) {
			if !logged {
				v.Log = nil
			}
		}, swift(t))
		a := newAsker(b.dial())
		for range 200 {
			a.once(t)
		}
		// The log's writer and the garbage collector's own work count too, and come
		// to less than one for each request.
		if got := testing.AllocsPerRun(1000, func() { a.once(t) }); got >= 1 {
			t.Errorf("%s: %v allocations for each request", name, got)
		}
	}
}
