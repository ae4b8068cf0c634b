package config_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

func TestTheProtocolVersionOfATargetGroup(t *testing.T) {
	w := newWorld()
	var state *albion.State
	apply := func(text string) (*albion.TargetGroup, error) {
		f, err := config.Parse("albion.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		next, _, err := w.run(f, state)
		if err != nil {
			return nil, err
		}
		state = next
		for g := range next.TargetGroups.All() {
			return g, nil
		}
		return nil, nil
	}
	g, err := apply("target_groups: {calls: {targets: 127.0.0.1:50051, protocol_version: GRPC}}")
	if err != nil || g.Version() != albion.GRPC || g.HealthCheck.Path != "/AWS.ALB/healthcheck" || g.HealthCheck.Matcher != "12" {
		t.Errorf("%+v %v", g, err)
	}
	// In any order, and what is said counts.
	g, err = apply("target_groups: {calls: {health_check: {matcher: 0-5, path: /a.B/C}, protocol_version: GRPC, targets: 127.0.0.1:50051}}")
	if err != nil || g.HealthCheck.Path != "/a.B/C" || g.HealthCheck.Matcher != "0-5" {
		t.Errorf("%+v %v", g, err)
	}
	_, err = apply("target_groups:\n  calls:\n    targets: 127.0.0.1:50051\n    protocol_version: HTTP2\n")
	if err == nil || !strings.Contains(err.Error(), "albion.yaml:4:23") || !strings.Contains(err.Error(), "GRPC and cannot become HTTP2") {
		t.Errorf("another version: %v", err)
	}
}
