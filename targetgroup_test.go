package albion_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
)

func TestGRPCMatcher(t *testing.T) {
	for _, c := range []struct {
		matcher string
		yes, no []int
	}{
		{"12", []int{12}, []int{0, 11, 13}},
		{"0", []int{0}, []int{1, 12}},
		{"0-99", []int{0, 12, 99}, []int{100, -1}},
		{"0,12,14-16", []int{0, 12, 15}, []int{1, 13, 17}},
	} {
		m, err := albion.ParseGRPCMatcher(c.matcher)
		if err != nil {
			t.Errorf("%s: %v", c.matcher, err)
		}
		for _, code := range c.yes {
			if !m.Match(code) {
				t.Errorf("%s does not match %d", c.matcher, code)
			}
		}
		for _, code := range c.no {
			if m.Match(code) {
				t.Errorf("%s matches %d", c.matcher, code)
			}
		}
	}
	for _, bad := range []string{"", "100", "200", "0-100", "5-4", "-1", "+1", "a", "0,", "0 "} {
		if _, err := albion.ParseGRPCMatcher(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestTheHealthCheckOfEachVersion(t *testing.T) {
	for version, want := range map[albion.ProtocolVersion]string{
		"": "/ 200", albion.HTTP1: "/ 200", albion.HTTP2: "/ 200", albion.GRPC: "/AWS.ALB/healthcheck 12",
	} {
		h := version.DefaultHealthCheck()
		if got := h.Path + " " + h.Matcher; got != want {
			t.Errorf("%s: %s", version, got)
		}
		if _, err := version.ParseMatcher(h.Matcher); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// speaking returns a State with one group of this version.
func speaking(t *testing.T, base *albion.State, version albion.ProtocolVersion) (*albion.State, error) {
	t.Helper()
	d := albion.NewDraft(base)
	g := &albion.TargetGroup{
		ARN: albion.TargetGroupARN("calls", [8]byte{1}), Name: "calls", Protocol: albion.HTTP, ProtocolVersion: version, Port: 50051,
		HealthCheck: version.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	}
	albion.Put(d, g)
	return d.Finish()
}

func TestTheProtocolVersionOfAGroupStays(t *testing.T) {
	grpc, err := speaking(t, &albion.State{}, albion.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := speaking(t, grpc, albion.GRPC); err != nil {
		t.Errorf("the same version: %v", err)
	}
	_, err = speaking(t, grpc, albion.HTTP2)
	var wrong *albion.Error
	if !errors.As(err, &wrong) || wrong.Code != albion.CodeInvalidConfiguration || wrong.Field != "ProtocolVersion" || !strings.Contains(wrong.Message, "GRPC and cannot become HTTP2") {
		t.Errorf("another version: %v", err)
	}
	plain, err := speaking(t, &albion.State{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := speaking(t, plain, albion.HTTP1); err != nil {
		t.Errorf("the version that it always had, named: %v", err)
	}
	if _, err := speaking(t, &albion.State{}, "HTTP3"); albion.CodeOf(err) != albion.CodeValidation {
		t.Errorf("no version: %v", err)
	}
}
