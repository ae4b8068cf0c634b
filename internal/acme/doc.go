// Package acme gets one certificate from one certificate authority (RFC 8555),
// a step at a time.
//
//	ca, err := acme.New(acme.Config{Directory: request.Directory, Roots: request.Roots})
//	registration, err := ca.Register(ctx, registration, key)
//	for order.Step != albion.StepDownloaded {
//		order, err = ca.Advance(ctx, acme.Task{Registration: registration, …, Order: order})
//		// keep order before going on
//	}
//
// An order is a value that holds all that is needed to go on with it: who keeps
// each step before taking the next may be killed at any moment and costs the CA
// no second order. What goes wrong is an *albion.Setback: one plain sentence,
// what to do next, and the CA's own words.
//
// It decides nothing: when to order, when to try again and which CA to ask is
// for its caller (package acm), and so is answering the challenges: our listeners
// do, or a Solver presents what they cannot.
package acme
