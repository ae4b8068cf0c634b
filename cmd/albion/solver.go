package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/solve"
)

// solveOptions is what proving names takes of a server's options.
type solveOptions struct {
	resolvers []string // recursive name servers; none: the machine's
	dnsPort   int      // of the authoritative name servers of others; 0: 53
	httpPort  int      // where CAs ask by HTTP; 0: 80
}

// openSolvers makes who presents proofs where our own listeners cannot.
func (s *server) openSolvers(o solveOptions) (err error) {
	s.resolver, err = resolve.New(resolve.Config{Servers: o.resolvers, Port: o.dnsPort})
	if err != nil {
		return fmt.Errorf("--resolver: %w", err)
	}
	s.solvers = solve.New(solve.Config{Resolver: s.resolver, Dir: filepath.Join(s.dataDir, "proofs"), Log: s.log, HTTPPort: o.httpPort})
	return nil
}

// solver is who presents the proofs of a request, and tells what it waits for.
func (s *server) solver(ctx context.Context, _ *albion.State, r *albion.Request, tell func([]albion.Wanted)) (acme.Solver, error) {
	if r.Method == albion.MethodDelegated {
		return &solve.Delegated{State: s.store.State, Request: r, Resolver: s.resolver, Tell: tell}, nil
	}
	return s.solvers.For(ctx, r, tell)
}
