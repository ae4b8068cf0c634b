package albion

import (
	"errors"
	"fmt"
)

// Code is AWS's own name for what a user did wrong.
type Code string

// The codes of the Elastic Load Balancing and ACM APIs that the model itself
// gives. One place, in front of each protocol, turns a code into a status.
const (
	CodeValidation             Code = "ValidationError"
	CodeDuplicateLoadBalancer  Code = "DuplicateLoadBalancerName"
	CodeDuplicateTargetGroup   Code = "DuplicateTargetGroupName"
	CodeDuplicateListener      Code = "DuplicateListener"
	CodePriorityInUse          Code = "PriorityInUse"
	CodeResourceInUse          Code = "ResourceInUse"
	CodeLoadBalancerNotFound   Code = "LoadBalancerNotFound"
	CodeListenerNotFound       Code = "ListenerNotFound"
	CodeTargetGroupNotFound    Code = "TargetGroupNotFound"
	CodeCertificateNotFound    Code = "CertificateNotFound"
	CodeSecurityGroupNotFound  Code = "InvalidSecurityGroup"
	CodeSSLPolicyNotFound      Code = "SSLPolicyNotFound"
	CodeInvalidConfiguration   Code = "InvalidConfigurationRequest"
	CodeInvalidAction          Code = "InvalidLoadBalancerAction"
	CodeInvalidTarget          Code = "InvalidTarget"
	CodeIncompatibleProtocols  Code = "IncompatibleProtocols"
	CodeUnsupportedProtocol    Code = "UnsupportedProtocol"
	CodeTooManyRules           Code = "TooManyRules"
	CodeTooManyListeners       Code = "TooManyListeners"
	CodeTooManyTargets         Code = "TooManyTargets"
	CodeTooManyCertificates    Code = "TooManyCertificates"
	CodeTooManyActions         Code = "TooManyActions"
	CodeTooManyTargetGroups    Code = "TooManyTargetGroups"
	CodeTooManyLoadBalancers   Code = "TooManyLoadBalancers"
	CodeGroupAssociationLimit  Code = "TargetGroupAssociationLimit"
	CodeInvalidParameter       Code = "InvalidParameterException" // ACM's word for ValidationError
	CodeResourceNotFound       Code = "ResourceNotFoundException" // ACM's
	CodeDuplicateSecurityGroup Code = "InvalidGroup.Duplicate"    // EC2's
)

// Error is something the user did. What broke on our side is a plain error.
// Kind, ID and Field say which object and which part of it, so that a front
// end can point at the place in a file or a form.
type Error struct {
	Code    Code
	Message string
	Kind    Kind
	ID      string
	Field   string
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error with a code and a message that says what, where and
// what to do.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first Error in err's tree, or "".
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
