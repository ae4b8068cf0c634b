package admin

import (
	"slices"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// states are the words by which a certificate's state is measured: one of them
// is 1, the others are 0, so that an alarm can be set on each.
func states() []string {
	return []string{
		acm.StatusOK, acm.StatusPending, acm.StatusWaiting, acm.StatusRenewing, acm.StatusRetrying, acm.StatusUnserved, acm.StatusAtRisk,
		acm.StatusExpiring, acm.StatusExpired, acm.StatusEarly, acm.StatusUnused,
	}
}

// certificateMetrics tells whether the configuration file is in force, how each
// certificate fares, and what waits for hooks.
func (s *Service) certificateMetrics() []albion.Metric {
	var all []albion.Metric
	gauge := func(name, help string, value float64, labels ...albion.Label) {
		all = append(all, albion.Metric{Name: name, Help: help, Kind: albion.Gauge, Value: value, Labels: labels})
	}
	if s.cfg.Refused != nil {
		value := 0.0
		if s.refused() != nil {
			value = 1
		}
		gauge("albion_configuration_refused", "1 while the configuration file holds an edit that was refused: what runs is what it said before.", value)
	}
	for _, c := range s.Certificates() {
		labels := []albion.Label{{Name: "name", Value: c.Name}, {Name: "arn", Value: string(c.ARN)}}
		gauge("albion_certificate_expiry_timestamp_seconds", "When the certificate expires, Unix time (DaysToExpiry).", float64(c.NotAfter.Unix()), labels...)
		for _, state := range states() {
			value := 0.0
			if state == c.Status {
				value = 1
			}
			gauge("albion_certificate_state", "1 for the state that the certificate is in, as `albion cert list` has it.", value, append(slices.Clone(labels), albion.Label{Name: "state", Value: state})...)
		}
		if c.Issuance == nil {
			continue
		}
		gauge("albion_certificate_failures", "Attempts in a row that have failed.", float64(c.Issuance.Failures), labels...)
		if c.Issuance.Due != nil {
			gauge("albion_certificate_next_attempt_timestamp_seconds", "When the CA is asked for new contents next, Unix time.", float64(c.Issuance.Due.Unix()), labels...)
		}
	}
	for _, h := range s.Hooks() {
		gauge("albion_hook_notices_waiting", "Events that the hook has not taken yet.", float64(h.Waiting), albion.Label{Name: "hook", Value: h.Name})
	}
	return all
}
