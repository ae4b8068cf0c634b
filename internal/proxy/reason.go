package proxy

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// The reasons that the access log gives as error_reason.
//
// Unlike AWS, which leaves the field empty for nearly all of these, every answer
// of the balancer's own and every exchange that broke says why, in one word.
const (
	reasonForwardedFor = "ForwardedForTooLong"        // 463
	reasonRedirect     = "RedirectUrlLimitExceeded"   // 507
	reasonNoWeight     = "TargetGroupsWithoutWeight"  // 503
	reasonNoTarget     = "NoRegisteredTarget"         // 503
	reasonGone         = "ClientClosed"               // 460, or a broken answer
	reasonShort        = "ClientClosedWithinBody"     // 400
	reasonShortHead    = "ClientClosedWithinHead"     // 400
	reasonLargeHead    = "HeadTooLarge"               // 413
	reasonSlowHead     = "SlowHead"                   // 408
	reasonBadBody      = "MalformedBody"              // 400
	reasonSlow         = "SlowBody"                   // 408
	reasonTimeout      = "TargetTimeout"              // 504
	reasonExpired      = "DeregistrationDelayElapsed" // 502
	reasonRefused      = "TargetConnectionRefused"    // 502
	reasonReset        = "TargetConnectionReset"      // 502
	reasonClosed       = "TargetClosed"               // 502
	reasonMalformed    = "MalformedTargetAnswer"      // 502
	reasonUnasked      = "UnexpectedProtocolSwitch"   // 502
	reasonConnection   = "TargetConnectionError"      // 502
	reasonIdle         = "IdleTimeout"                // of a tunnel
	reasonTunnel       = "TunnelBroken"               // of a tunnel: one side vanished
)

// reasonOf finds the word for what went wrong between us and the target.
func (x *exchange) reasonOf(err error) string {
	var malformed *h1.Error
	switch {
	case errors.Is(err, errAborted):
		_, reason := x.f.pump.verdict().status()
		return reason
	case x.f.up != nil && x.f.up.Expired(), errors.Is(err, target.ErrExpired):
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
