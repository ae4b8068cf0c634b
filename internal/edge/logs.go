package edge

import (
	"context"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/accesslog"
)

// logFile is an access log that some load balancer of the State writes to.
type logFile struct {
	log    *accesslog.Log
	config albion.AccessLog
	cancel context.CancelFunc
	done   chan struct{}
	needed bool // by the State that is being applied
}

// stop writes the last lines.
func (l *logFile) stop() {
	l.cancel()
	<-l.done
}

// accessLog returns the log for a load balancer's setting, begun when it is
// asked for first; load balancers with the same file share it. nil: none.
func (e *Edge) accessLog(a albion.AccessLog) *accesslog.Log {
	if a.File == "" {
		return nil
	}
	l := e.logs[a.File]
	if l == nil {
		l = e.beginLog(a)
		e.logs[a.File] = l
	}
	l.needed = true
	return l.log
}

func (e *Edge) beginLog(a albion.AccessLog) *logFile {
	ctx, cancel := context.WithCancel(context.Background())
	l := &logFile{
		log: accesslog.New(accesslog.Config{
			File: a.File, MaxSize: a.MaxSize, Keep: a.Keep, Stdout: e.cfg.Stdout, Logger: e.cfg.Log,
		}),
		config: a, cancel: cancel, done: make(chan struct{}),
	}
	go func() { // joined by stop
		defer close(l.done)
		if err := l.log.Run(ctx); err != nil {
			e.cfg.Log.Error("access log stopped", "file", a.File, "error", err.Error())
		}
	}()
	return l
}

// endLogs ends the logs that nothing writes to any more.
func (e *Edge) endLogs() {
	for file, l := range e.logs {
		if !l.needed {
			l.stop()
			delete(e.logs, file)
		}
		l.needed = false
	}
}

// Reopen makes every access log open its file anew, after somebody moved it.
func (e *Edge) Reopen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.logs {
		l.log.Reopen()
	}
}
