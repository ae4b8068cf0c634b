package health

import (
	"fmt"
	"time"

	"github.com/albion-lb/albion"
)

// Result is what one probe found.
type Result struct {
	At      time.Time // when it was known
	Status  int       // of the answer; 0 when there was no complete one
	GRPC    bool      // Status is grpc-status, where 0 says OK
	Timeout bool      // there was none in time
	// NotServing: gRPC's health service answered, and what it said is not SERVING.
	NotServing bool
}

// State is what the probes of one target have come to.
type State struct {
	Health   albion.Health
	passes   int // in a row
	failures int // in a row
}

// Start is the State before the first probe.
func Start(hc albion.HealthCheck, at time.Time) State {
	if hc.Disabled {
		return State{Health: albion.Health{
			State: albion.Unavailable, Reason: albion.ReasonDisabled,
			Description: "Health checks are not enabled for this target", Since: at,
		}}
	}
	return State{Health: albion.Health{
		State: albion.Initial, Reason: albion.ReasonInitial,
		Description: "Initial health checks in progress", Since: at,
	}}
}

// Next is the State after one more probe. A target that was never healthy or
// unhealthy becomes healthy with its first success; otherwise it takes as many
// in a row as hc says (ALB's page "Health checks for your target groups"). A
// reason is that of the last failure.
func (s State) Next(hc albion.HealthCheck, r Result) State {
	if hc.Disabled || s.Health.State == albion.Unavailable || s.Health.State == "" {
		s = Start(hc, r.At)
	}
	if hc.Disabled {
		return s
	}
	if matches(hc.Matcher, r) && !r.Timeout && !r.NotServing {
		return s.pass(hc, r.At)
	}
	return s.fail(hc, r)
}

func (s State) pass(hc albion.HealthCheck, at time.Time) State {
	s.passes, s.failures = s.passes+1, 0
	need := hc.Healthy
	if s.Health.State == albion.Initial {
		need = 1
	}
	if s.Health.State != albion.Healthy && s.passes >= need {
		s.Health = albion.Health{State: albion.Healthy, Since: at}
	}
	return s
}

func (s State) fail(hc albion.HealthCheck, r Result) State {
	s.passes, s.failures = 0, s.failures+1
	if s.Health.State != albion.Unhealthy {
		if s.failures < hc.Unhealthy {
			return s
		}
		s.Health = albion.Health{State: albion.Unhealthy, Since: r.At}
	}
	s.Health.Reason, s.Health.Description = reason(r)
	return s
}

// reason words a failure as DescribeTargetHealth does.
func reason(r Result) (albion.HealthReason, string) {
	switch {
	case r.Timeout:
		return albion.ReasonTimeout, "Request timed out"
	case r.NotServing:
		return albion.ReasonFailed, "The target's health service does not say SERVING"
	case r.Status != 0 || r.GRPC:
		return albion.ReasonMismatch, fmt.Sprintf("Health checks failed with these codes: [%d]", r.Status)
	}
	return albion.ReasonFailed, "Health checks failed"
}

// matches says whether a status is one of a Matcher's. An empty Matcher is ALB's
// default, 200; what cannot be read matches nothing.
func matches(matcher string, r Result) bool {
	if matcher == "" {
		return r.Status == 200
	}
	parse := albion.ParseMatcher
	if r.GRPC {
		parse = albion.ParseGRPCMatcher
	}
	m, err := parse(matcher)
	return err == nil && m.Match(r.Status)
}
