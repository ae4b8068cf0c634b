package h2_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/albion-lb/albion/internal/wire/h2"
)

// The public conformance suite passes whole, in its strict mode.
func TestH2Spec(t *testing.T) {
	s := serve(t, h2.Config{Handler: app})
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{
		Host: host, Port: number, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000,
		Strict: true, TLS: true, Insecure: true,
	}
	passed := 0
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		group.Test(c)
		passed += group.PassedCount
		failures(t, group)
	}
	if passed < 145 {
		t.Errorf("%d cases passed: the suite was not run whole", passed)
	}
	t.Logf("%d cases passed", passed)
}

func failures(t *testing.T, g *spec.TestGroup) {
	for _, c := range g.Tests {
		if c.Result != nil && (c.Result.Failed || c.Result.Skipped) {
			t.Errorf("%s %s: %s", g.ID(), c.Desc, c.Result.Error)
		}
	}
	for _, inner := range g.Groups {
		failures(t, inner)
	}
}
