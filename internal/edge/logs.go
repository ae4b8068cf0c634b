package edge

import (
	"context"
	"path/filepath"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/accesslog"
)

// logFile is an access log that some load balancer of the State writes to.
type logFile struct {
	log    *accesslog.Log
	config albion.AccessLog
	cancel context.CancelFunc // nil until it has begun
	done   chan struct{}
}

// logPlan is the logs that a State wants, by file.
type logPlan map[string]*logFile

// accessLog returns the log for a load balancer's setting: the one that is
// running with just these settings, or a new one that beginLogs begins. Load
// balancers with the same file share it; a State lets them only with the same
// settings. nil: none.
func (e *Edge) accessLog(plan logPlan, a albion.AccessLog) *accesslog.Log {
	if a.File == "" {
		return nil
	}
	a.File = filepath.Clean(a.File)
	l := plan[a.File]
	if l == nil {
		if l = e.logs[a.File]; l == nil || l.config != a {
			l = e.newLog(a)
		}
		plan[a.File] = l
	}
	return l.log
}

func (e *Edge) newLog(a albion.AccessLog) *logFile {
	return &logFile{
		config: a,
		done:   make(chan struct{}),
		log: accesslog.New(accesslog.Config{
			File: a.File, MaxSize: a.MaxSize, Keep: a.Keep, Stdout: e.cfg.Stdout, Logger: e.cfg.Log,
		}),
	}
}

// beginLogs begins what is new in plan, once every listener writes to it. A file
// belongs to one log at a time: the old one writes its last lines and closes it
// before the new one, which keeps what it is given meanwhile, opens it.
func (e *Edge) beginLogs(plan logPlan) {
	for file, l := range plan {
		old := e.logs[file]
		if old == l {
			continue
		}
		if old != nil {
			for p := range e.retiring {
				p.moveLog(old.log, l.log)
			}
			e.stop(old)
		}
		e.logs[file] = l
		e.run(l)
	}
	e.endLogs()
}

func (e *Edge) run(l *logFile) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { // joined by stop
		defer close(l.done)
		if err := l.log.Run(ctx); err != nil {
			e.cfg.Log.Error("access log stopped", "file", l.config.File, "error", err.Error())
		}
	}()
}

// lastLines is how long a log that is ended may take to write what it holds. One
// that goes to a pipe which nobody reads would otherwise hold up every change,
// and the end of the program.
const lastLines = 5 * time.Second

// stop writes the last lines.
func (e *Edge) stop(l *logFile) {
	l.cancel()
	late := time.NewTimer(lastLines)
	defer late.Stop()
	select {
	case <-l.done:
	case <-late.C:
		e.cfg.Log.Warn("the access log does not take its last lines, which are lost", "file", l.config.File)
	}
}

// endLogs ends the logs that nothing writes to any more.
func (e *Edge) endLogs() {
	used := map[*accesslog.Log]bool{}
	for _, p := range e.ports {
		used[p.now.Load().view.Log] = true
	}
	for p := range e.retiring {
		used[p.now.Load().view.Log] = true
	}
	for file, l := range e.logs {
		if !used[l.log] {
			e.stop(l)
			delete(e.logs, file)
		}
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
