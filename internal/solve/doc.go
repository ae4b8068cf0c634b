// Package solve presents what proves names to a CA where our own listeners cannot:
// TXT records at a DNS provider, by a person or by a hook; files of another web
// server; a listener for as long as it takes.
//
//	solvers := solve.New(solve.Config{Resolver: resolver, Dir: folder, Log: log})
//	solver, err := solvers.For(ctx, request, tell) // an acme.Solver
//	err = solver.Present(ctx, presentations)       // returns once the CA may look
//	err = solver.CleanUp(ctx, presentations)
//	solvers.Wait()
//
// What all DNS methods share: the aliases of _acme-challenge.NAME are followed to
// where the record belongs, its zone is found, and after it has been added every
// authoritative server is asked until it shows exactly that value. Other values at
// the same name are never touched.
//
// The package orders nothing and decides nothing about certificates. Errors are
// *albion.Setback wherever a person can do something about them.
package solve
