package proxy

import (
	"bytes"
	"time"

	"github.com/albion-lb/albion/internal/accesslog"
	"github.com/albion-lb/albion/internal/wire"
)

// log hands the exchange to the access log, in ALB's words.
func (x *exchange) log() {
	c, r := x.c, &x.c.req
	// The log of now, not of the request's beginning: that one may be closed.
	log := c.listener.view.Load().Log
	if log == nil {
		return
	}
	record := accesslog.Record{
		Type: x.kind(), Time: time.Now(), LoadBalancer: x.view.LoadBalancer,
		Client: c.client.Remote, Node: c.client.Local.Addr(),
		Status: x.status, ReceivedBytes: x.f.received, SentBytes: x.sent,
		Method: r.Method, Host: withoutPort(r.Host), Port: x.view.Port, URI: originForm(r), Proto: "HTTP/1.1",
		UserAgent: r.Get(wire.UserAgent), TraceID: x.trace,
		Created: x.started, Actions: x.action, RedirectURL: x.location, ErrorReason: x.reason,
	}
	if r.Major == 2 {
		record.Proto = "HTTP/2.0"
	} else if r.Minor == 0 {
		record.Proto = "HTTP/1.0"
	}
	if r.Class != wire.Compliant {
		record.Classification, record.ClassificationReason = r.Class.String(), r.Reason
	}
	if t := c.client.TLS; t != nil {
		record.Cipher, record.TLSVersion = t.Cipher, t.Version
		record.Domain, record.CertificateARN = t.ServerName, t.Certificate
	}
	if x.decision != nil {
		record.Rule = accesslog.Outcome{Evaluated: true, Priority: x.decision.Priority}
	}
	x.logTarget(&record)
	log.Write(&record)
}

func (x *exchange) logTarget(record *accesslog.Record) {
	f := &x.f
	if x.group == nil {
		return
	}
	record.TargetGroup = string(x.group.ARN())
	t := f.lease.Target()
	if t == nil {
		return
	}
	record.Target, record.TargetStatus = t.Name(), f.status
	if f.asked.IsZero() {
		return
	}
	record.RequestProcessing = f.asked.Sub(x.started)
	if f.status != 0 {
		record.TargetProcessing = f.answered.Sub(f.asked)
		record.ResponseProcessing = record.Time.Sub(f.answered)
	}
}

func (x *exchange) kind() accesslog.Type {
	switch secure := x.c.client.TLS != nil; {
	case x.ws && secure:
		return accesslog.WSS
	case x.ws:
		return accesslog.WS
	case x.c.stream != nil && secure && isGRPC(&x.c.req):
		return accesslog.GRPCS
	case x.c.stream != nil:
		return accesslog.H2
	case secure:
		return accesslog.HTTPS
	}
	return accesslog.HTTP
}

// isHead says that the request wants no body.
func isHead(r *wire.Request) bool { return bytes.Equal(r.Method, []byte("HEAD")) }
