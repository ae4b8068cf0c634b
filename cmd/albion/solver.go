package main

import (
	"context"
	"fmt"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/solve"
)

// solver is who presents the proofs of a request, and tells what it waits for.
func (s *server) solver(_ context.Context, _ *albion.State, r *albion.Request, tell func([]albion.Wanted)) (acme.Solver, error) {
	switch r.Method {
	case albion.MethodDelegated:
		return &solve.Delegated{State: s.store.State, Request: r, Resolver: s.resolve, Tell: tell}, nil
	}
	return nil, fmt.Errorf("the challenge %s is not built", r.Method)
}
