// Package edge makes a State live: it opens and closes sockets, compiles what
// each listener does, and lets what is gone end in peace.
//
//	e := edge.New(edge.Config{…})
//	go e.Run(ctx)          // returns when everything has drained
//	e.Apply(state)         // again whenever the State changes
//	e.Seen()               // what became of it
//
// A socket that cannot be opened marks its own listener as not serving, is tried
// again, and holds nothing else up. A connection whose listener and target still
// exist after a change never notices the change.
package edge
