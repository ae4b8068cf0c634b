package admin

import (
	"context"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/doctor"
)

// Known tells the doctor what the State knows and how it fares. A running server
// adds a token that it answers, by which it is recognised from outside.
func (s *Service) Known() *doctor.Known {
	var seen albion.Seen
	if s.cfg.Seen != nil {
		seen = s.cfg.Seen()
	}
	known := doctor.Know(s.cfg.Store.State(), s.cfg.Seen != nil, seen)
	known.Authority = s.Status().Authority
	if s.cfg.Beacon != nil {
		known.Token, known.Answer = s.cfg.Beacon()
	}
	return &known
}

// Known tells the doctor what the State knows.
func (c *Client) Known(ctx context.Context) (*doctor.Known, error) {
	return ask[doctor.Known](ctx, c, "known", struct{}{})
}
