package health_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/health"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// results are probes a second apart: "." 200, "x" 503, "t" no answer in time,
// "-" no answer at all.
func results(story string) (all []health.Result) {
	for i, c := range story {
		r := health.Result{At: began.Add(time.Duration(i+1) * time.Second)}
		switch c {
		case '.':
			r.Status = 200
		case 'x':
			r.Status = 503
		case 't':
			r.Timeout = true
		}
		all = append(all, r)
	}
	return all
}

func TestThresholds(t *testing.T) {
	hc := albion.DefaultHealthCheck() // 5 and 2
	hc.Healthy = 3
	tests := []struct {
		story       string
		state       albion.HealthState
		reason      albion.HealthReason
		description string
		since       int // probes after which the state was reached
	}{
		{"", albion.Initial, albion.ReasonInitial, "Initial health checks in progress", 0},
		{".", albion.Healthy, "", "", 1},
		{"x", albion.Initial, albion.ReasonInitial, "Initial health checks in progress", 0},
		{"x.", albion.Healthy, "", "", 2},
		{"xx", albion.Unhealthy, albion.ReasonMismatch, "Health checks failed with these codes: [503]", 2},
		{"tt", albion.Unhealthy, albion.ReasonTimeout, "Request timed out", 2},
		{"--", albion.Unhealthy, albion.ReasonFailed, "Health checks failed", 2},
		{".x", albion.Healthy, "", "", 1},
		{".x.x.x", albion.Healthy, "", "", 1},
		{".xx", albion.Unhealthy, albion.ReasonMismatch, "Health checks failed with these codes: [503]", 3},
		{".xt", albion.Unhealthy, albion.ReasonTimeout, "Request timed out", 3},
		{"xx-", albion.Unhealthy, albion.ReasonFailed, "Health checks failed", 2},
		{"xx..", albion.Unhealthy, albion.ReasonMismatch, "Health checks failed with these codes: [503]", 2},
		{"xx..x..", albion.Unhealthy, albion.ReasonMismatch, "Health checks failed with these codes: [503]", 2},
		{"xx...", albion.Healthy, "", "", 5},
	}
	for _, tt := range tests {
		s := health.Start(hc, began)
		for _, r := range results(tt.story) {
			s = s.Next(hc, r)
		}
		want := albion.Health{State: tt.state, Reason: tt.reason, Description: tt.description, Since: began.Add(time.Duration(tt.since) * time.Second)}
		if s.Health != want {
			t.Errorf("%q:\n got %+v\nwant %+v", tt.story, s.Health, want)
		}
	}
}

func TestDisabledChecksAreUnavailableUntilTheyAreEnabled(t *testing.T) {
	off := albion.HealthCheck{Disabled: true}
	s := health.Start(off, began)
	if s.Health.State != albion.Unavailable || s.Health.Reason != albion.ReasonDisabled {
		t.Fatalf("%+v", s.Health)
	}
	s = s.Next(albion.DefaultHealthCheck(), results(".")[0])
	if s.Health.State != albion.Healthy {
		t.Fatalf("enabled, and one success: %+v", s.Health)
	}
	if s = s.Next(off, results(".")[0]); s.Health.State != albion.Unavailable {
		t.Fatalf("disabled again: %+v", s.Health)
	}
}

// TestThresholdsHoldForEveryStory compares with what the last results in a row
// must mean.
func TestThresholdsHoldForEveryStory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hc := albion.DefaultHealthCheck()
		hc.Healthy, hc.Unhealthy = rapid.IntRange(2, 10).Draw(t, "healthy"), rapid.IntRange(2, 10).Draw(t, "unhealthy")
		story := rapid.StringOfN(rapid.RuneFrom([]rune("...x-t")), 0, 60, -1).Draw(t, "story")
		s := health.Start(hc, began)
		for i, r := range results(story) {
			before := s
			s = s.Next(hc, r)
			past := story[:i+1]
			passes := len(past) - len(strings.TrimRight(past, "."))
			failures := len(past) - len(strings.TrimRight(past, "x-t"))
			want := before.Health.State
			switch {
			case passes > 0 && want == albion.Initial, passes >= hc.Healthy:
				want = albion.Healthy
			case failures >= hc.Unhealthy:
				want = albion.Unhealthy
			}
			if s.Health.State != want {
				t.Fatalf("%q: %s, want %s", past, s.Health.State, want)
			}
			if (s.Health.State == albion.Healthy) != (s.Health.Reason == "") {
				t.Fatalf("%q: %+v", past, s.Health)
			}
			if want == before.Health.State && s.Health.Since != before.Health.Since || want != before.Health.State && s.Health.Since != r.At {
				t.Fatalf("%q: since %v", past, s.Health.Since)
			}
		}
	})
}

func TestMatcher(t *testing.T) {
	for _, tt := range []struct {
		matcher string
		yes, no []int
	}{
		{"", []int{200}, []int{0, 201, 302}},
		{"200", []int{200}, []int{0, 199, 201, 500}},
		{"200-299", []int{200, 250, 299}, []int{199, 300}},
		{"200,202", []int{200, 202}, []int{201}},
		{"200-204,301", []int{200, 204, 301}, []int{205, 300, 302}},
		{"x,,-,200-,-300,-1--2", nil, []int{0, 1, 200, 300}},
	} {
		for _, status := range tt.yes {
			if !health.Matches(tt.matcher, status) {
				t.Errorf("%q does not match %d", tt.matcher, status)
			}
		}
		for _, status := range tt.no {
			if health.Matches(tt.matcher, status) {
				t.Errorf("%q matches %d", tt.matcher, status)
			}
		}
	}
}

func FuzzMatcher(f *testing.F) {
	for _, s := range []string{"", "200", "200-299", "200,301-302", "-", ",", "9999999999999999999-1"} {
		f.Add(s, 200)
	}
	f.Fuzz(func(t *testing.T, matcher string, status int) {
		if health.Matches(matcher, 0) {
			t.Fatalf("%q takes no answer for an answer", matcher)
		}
		m, err := albion.ParseMatcher(matcher)
		if err == nil && m.Match(status) != health.Matches(matcher, status) {
			t.Fatalf("%q says different things of %d", matcher, status)
		}
		if err != nil && matcher != "" && health.Matches(matcher, status) {
			t.Fatalf("%q, which is no matcher, matches %d", matcher, status)
		}
	})
}
