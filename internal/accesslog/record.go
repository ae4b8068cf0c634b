package accesslog

import (
	"crypto/tls"
	"net/netip"
	"strconv"
	"time"
)

// Type is the kind of request, the first field of a line.
type Type uint8

// The types of ALB's page "Access logs for your Application Load Balancer".
const (
	HTTP  Type = iota // HTTP/1 in the clear
	HTTPS             // HTTP/1 over TLS
	H2                // HTTP/2 over TLS
	GRPCS             // gRPC over TLS
	WS                // WebSocket in the clear
	WSS               // WebSocket over TLS
)

func (t Type) String() string {
	switch t {
	case HTTPS:
		return "https"
	case H2:
		return "h2"
	case GRPCS:
		return "grpcs"
	case WS:
		return "ws"
	case WSS:
		return "wss"
	}
	return "http"
}

// scheme is what the type's URLs begin with. A WebSocket is asked for by HTTP.
func (t Type) scheme() string {
	if t == HTTP || t == WS {
		return "http"
	}
	return "https"
}

// Outcome is what the rules of a listener decided. The zero Outcome: they were
// not asked, because the request never got that far.
type Outcome struct {
	Evaluated bool
	Priority  int // of the rule that matched; 0: the default action; −1: evaluation failed
}

// Record is one request, in the words of ALB's page "Access logs for your
// Application Load Balancer", in the order of its fields. Zero values stand for
// what did not happen and are written as ALB writes them: "-", or -1 for a
// duration.
//
// The bytes and strings are only looked at while Append or Write runs. What
// comes from the network may hold anything.
type Record struct {
	Type         Type
	Time         time.Time      // when the answer was complete, or the WebSocket closed
	LoadBalancer string         // app/NAME/ID
	Client       netip.AddrPort // who is connected to us
	Target       string         // HOST:PORT of the target that answered, or was tried last

	// From the last byte from one side to the first to the other. A duration of
	// 0 did not happen.
	RequestProcessing  time.Duration // request received → sent to the target
	TargetProcessing   time.Duration // request sent → head of the answer received
	ResponseProcessing time.Duration // head received → answer sent to the client

	Status        int   // what the client got
	TargetStatus  int   // what the target gave
	ReceivedBytes int64 // from the client
	SentBytes     int64 // to the client

	// The request line, METHOD scheme://HOST:PORT/URI PROTO. No Method: what
	// arrived was no request.
	Method []byte
	Host   []byte // without a port
	Port   uint16 // of the listener
	URI    []byte // path and query as they came
	Proto  string // HTTP/1.1, HTTP/2.0

	UserAgent      []byte // cut at 8 KiB
	Cipher         uint16 // tls.ConnectionState's CipherSuite; 0 without TLS
	TLSVersion     uint16 // tls.ConnectionState's Version
	TargetGroup    string // ARN
	TraceID        []byte // X-Amzn-Trace-Id
	Domain         string // the name that the client asked for in the TLS handshake
	CertificateARN string
	Rule           Outcome
	Created        time.Time // when the request began

	Actions              string // forward; redirect; fixed-response; several with commas
	RedirectURL          []byte
	ErrorReason          string // ALB's code
	Classification       string // Acceptable, Ambiguous, Severe; "" for a compliant request
	ClassificationReason string
	ConnTraceID          string // TID_ and 32 hexadecimal digits
	TransformedHost      []byte
	TransformedURI       []byte
	TransformStatus      string
	Node                 netip.Addr // ours, to which the client connected
}

// Limits of what one field may bring into a line, in bytes before escaping: of
// the user agent as ALB documents it, of the others ALB's quota for a request
// line. What is longer is cut.
const (
	maxUserAgent = 8 << 10
	maxField     = 16 << 10
)

// Append appends the line, its newline included, and returns the longer slice.
// Whatever the Record holds it is one line of 34 fields, in ASCII. Bytes that
// could break it come out as \x and two hexadecimal digits: quotes, backslashes,
// control characters, everything beyond ASCII, and spaces where a field may
// have none.
func (r *Record) Append(dst []byte) []byte {
	dst = r.appendOutcome(dst)
	dst = r.appendRequest(dst)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.UserAgent, maxUserAgent, text)
	dst = append(dst, ' ')
	dst = append(dst, CipherName(r.Cipher)...)
	dst = append(dst, ' ')
	dst = append(dst, VersionName(r.TLSVersion)...)
	dst = append(dst, ' ')
	dst = appendToken(dst, r.TargetGroup)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.TraceID, maxField, text)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.Domain, maxField, text)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.CertificateARN, maxField, text)
	dst = append(dst, ' ')
	dst = r.appendDecision(dst)
	dst = r.appendTransform(dst)
	return append(dst, '\n')
}

// appendOutcome appends fields 1 to 12, from type to sent_bytes.
func (r *Record) appendOutcome(dst []byte) []byte {
	dst = append(dst, r.Type.String()...)
	dst = append(dst, ' ')
	dst = appendTime(dst, r.Time)
	dst = append(dst, ' ')
	dst = appendToken(dst, r.LoadBalancer)
	dst = append(dst, ' ')
	dst = appendClient(dst, r.Client)
	dst = append(dst, ' ')
	dst = appendToken(dst, r.Target)
	for _, d := range [...]time.Duration{r.RequestProcessing, r.TargetProcessing, r.ResponseProcessing} {
		dst = append(dst, ' ')
		dst = appendSeconds(dst, d)
	}
	dst = append(dst, ' ')
	dst = appendStatus(dst, r.Status)
	dst = append(dst, ' ')
	dst = appendStatus(dst, r.TargetStatus)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, max(r.ReceivedBytes, 0), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, max(r.SentBytes, 0), 10)
	return append(dst, ' ')
}

// appendRequest appends field 13, request.
func (r *Record) appendRequest(dst []byte) []byte {
	if len(r.Method) == 0 {
		// What ALB writes where there was no request line to speak of: the
		// last part is a minus and a space.
		return append(dst, `"- - - "`...)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, r.Method, maxField, token)
	dst = append(dst, ' ')
	dst = append(dst, r.Type.scheme()...)
	dst = append(dst, "://"...)
	dst = appendEscaped(dst, r.Host, maxField, token)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(r.Port), 10)
	if len(r.URI) == 0 || r.URI[0] != '/' {
		dst = append(dst, '/') // of "OPTIONS *" ALB, too, makes a path
	}
	dst = appendEscaped(dst, r.URI, maxField, token)
	dst = append(dst, ' ')
	dst = appendEscaped(dst, r.Proto, maxField, token)
	return append(dst, '"')
}

// appendDecision appends fields 21 to 29, from matched_rule_priority to
// classification_reason.
func (r *Record) appendDecision(dst []byte) []byte {
	if r.Rule.Evaluated {
		dst = strconv.AppendInt(dst, int64(r.Rule.Priority), 10)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, ' ')
	dst = appendTime(dst, r.Created)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.Actions, maxField, text)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.RedirectURL, maxField, text)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.ErrorReason, maxField, token)
	// The lists have at most one item, as in ALB.
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.Target, maxField, token)
	dst = append(dst, ` "`...)
	dst = appendStatus(dst, r.TargetStatus)
	dst = append(dst, `" `...)
	dst = appendQuoted(dst, r.Classification, maxField, token)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.ClassificationReason, maxField, token)
	return append(dst, ' ')
}

// appendTransform appends fields 30 to 34, from conn_trace_id to ip_address.
func (r *Record) appendTransform(dst []byte) []byte {
	dst = appendToken(dst, r.ConnTraceID)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.TransformedHost, maxField, text)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.TransformedURI, maxField, text)
	dst = append(dst, ' ')
	dst = appendQuoted(dst, r.TransformStatus, maxField, text)
	dst = append(dst, ' ')
	if !r.Node.IsValid() {
		return append(dst, '-')
	}
	return r.Node.Unmap().WithZone("").AppendTo(dst)
}

// CipherName is OpenSSL's name of a cipher suite, which ALB logs: "-" for 0 and
// for what we do not offer.
func CipherName(id uint16) string {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256"
	case tls.TLS_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384"
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		return "ECDHE-ECDSA-AES128-GCM-SHA256"
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
		return "ECDHE-RSA-AES128-GCM-SHA256"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return "ECDHE-ECDSA-AES256-GCM-SHA384"
	case tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return "ECDHE-RSA-AES256-GCM-SHA384"
	case tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return "ECDHE-ECDSA-CHACHA20-POLY1305"
	case tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return "ECDHE-RSA-CHACHA20-POLY1305"
	}
	return oldCipherName(id)
}

// oldCipherName knows the suites of the policies that allow old clients.
func oldCipherName(id uint16) string {
	switch id {
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:
		return "ECDHE-ECDSA-AES128-SHA256"
	case tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:
		return "ECDHE-RSA-AES128-SHA256"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:
		return "ECDHE-ECDSA-AES128-SHA"
	case tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:
		return "ECDHE-RSA-AES128-SHA"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		return "ECDHE-ECDSA-AES256-SHA"
	case tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:
		return "ECDHE-RSA-AES256-SHA"
	case tls.TLS_RSA_WITH_AES_128_GCM_SHA256:
		return "AES128-GCM-SHA256"
	case tls.TLS_RSA_WITH_AES_256_GCM_SHA384:
		return "AES256-GCM-SHA384"
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA256:
		return "AES128-SHA256"
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA:
		return "AES128-SHA"
	case tls.TLS_RSA_WITH_AES_256_CBC_SHA:
		return "AES256-SHA"
	}
	return "-"
}

// VersionName is OpenSSL's name of a version of TLS, which ALB logs: "-" for 0
// and for what we do not speak.
func VersionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return "-"
}
