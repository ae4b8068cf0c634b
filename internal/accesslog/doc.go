// Package accesslog writes ALB's access log: one line of 34 fields for every
// request, so that what reads ALB's log reads ours.
//
//	l := accesslog.New(accesslog.Config{File: "/var/log/albion/web.log"})
//	go func() { done <- l.Run(ctx) }()
//	l.Write(&accesslog.Record{Type: accesslog.HTTPS, …}) // from any goroutine
//
// Write never waits for the disk: lines gather in buffers, and one goroutine,
// Run's, writes them out, at least once a second. When the disk does not keep
// up, lines are dropped and counted rather than requests delayed. Lines are
// therefore only roughly in the order of their times, as in AWS's files.
//
// Not here: what a request was. The caller measures and fills a Record.
package accesslog
