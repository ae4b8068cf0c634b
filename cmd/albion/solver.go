package main

import (
	"context"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/solve"
)

// solver is who presents the proofs of a request, and tells what it waits for.
func (s *server) solver(ctx context.Context, _ *albion.State, r *albion.Request, tell func([]albion.Wanted)) (acme.Solver, error) {
	if r.Method == albion.MethodDelegated {
		return &solve.Delegated{State: s.store.State, Request: r, Resolver: s.resolve, Tell: tell}, nil
	}
	return s.solvers.For(ctx, r, tell)
}
