package proxy

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire/h1"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// The reasons that the access log gives as error_reason.
//
// Unlike AWS, which leaves the field empty for nearly all of these, every answer
// of the balancer's own and every exchange that broke says why, in one word.
const (
	reasonForwardedFor = "ForwardedForTooLong"         // 463
	reasonRedirect     = "RedirectUrlLimitExceeded"    // 507
	reasonProtocol     = "IncompatibleProtocolVersion" // 464
	reasonNoWeight     = "TargetGroupsWithoutWeight"   // 503
	reasonNoTarget     = "NoRegisteredTarget"          // 503
	reasonGone         = "ClientClosed"                // 460, or a broken answer
	reasonShort        = "ClientClosedWithinBody"      // 400
	reasonShortHead    = "ClientClosedWithinHead"      // 400
	reasonLargeHead    = "HeadTooLarge"                // 413
	reasonSlowHead     = "SlowHead"                    // 408
	reasonBadBody      = "MalformedBody"               // 400
	reasonSlow         = "SlowBody"                    // 408
	reasonTimeout      = "TargetTimeout"               // 504
	reasonExpired      = "DeregistrationDelayElapsed"  // 502
	reasonRefused      = "TargetConnectionRefused"     // 502
	reasonReset        = "TargetConnectionReset"       // 502
	reasonClosed       = "TargetClosed"                // 502
	reasonMalformed    = "MalformedTargetAnswer"       // 502
	reasonTooLarge     = "HeadTooLargeForTarget"       // 502
	reasonStreamReset  = "TargetResetStream"           // 502
	reasonNoHTTP2      = "TargetSpeaksNoHTTP2"         // 502
	reasonUnasked      = "UnexpectedProtocolSwitch"    // 502
	reasonConnection   = "TargetConnectionError"       // 502
	reasonIdle         = "IdleTimeout"                 // of a tunnel, or of a stream that both sides left open
	reasonTunnel       = "TunnelBroken"                // of a tunnel: one side vanished
)

// reasonOf finds the word for what went wrong between us and the target.
func (x *exchange) reasonOf(err error) string {
	var malformed *h1.Error
	if reason := streamReason(err); reason != "" && !x.f.lease.Target().Expired() {
		return reason
	}
	switch {
	case errors.Is(err, errAborted):
		_, reason := x.f.pump.verdict().status()
		return reason
	case x.f.up != nil && x.f.up.Expired(), errors.Is(err, target.ErrExpired), errors.Is(err, h2.ErrGone):
		return reasonExpired
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, target.ErrTimeout):
		return reasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return reasonRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reasonReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return reasonClosed
	case errors.Is(err, errUnasked):
		return reasonUnasked
	case errors.Is(err, errTooLarge), errors.Is(err, errInterim), errors.As(err, &malformed):
		return reasonMalformed
	}
	return reasonConnection
}

// streamReason is the word for what went wrong with a target of HTTP/2, "" for
// what can go wrong with every target.
func streamReason(err error) string {
	var reset *h2.ResetError
	switch {
	case errors.Is(err, errIdle):
		return reasonIdle
	case errors.Is(err, h2.ErrNotHTTP2), errors.Is(err, target.ErrNoALPN):
		return reasonNoHTTP2
	case errors.Is(err, h2.ErrMalformed):
		return reasonMalformed
	case errors.Is(err, h2.ErrRefused), errors.As(err, &reset):
		return reasonStreamReset
	case errors.Is(err, h2.ErrHeadTooLarge):
		return reasonTooLarge
	case errors.Is(err, h2.ErrGone):
		return reasonClosed
	}
	return ""
}
