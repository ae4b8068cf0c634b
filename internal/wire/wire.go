// Package wire holds what every version of HTTP has in common: the head of a
// request and of an answer, as views into the buffer they were read from, and
// the way a body is framed. Reading and writing those bytes is h1's work (and
// h2's); deciding what to do with them is the data plane's.
//
// Nothing here allocates or copies: a head is valid until its buffer is reused.
package wire

// Name tells apart the header fields that the balancer itself acts on, so that
// the request path compares a small number and not a string.
type Name uint8

// The fields that somebody above this package asks for by name.
const (
	Other Name = iota // every field that nobody here acts on
	Host
	ContentLength
	TransferEncoding
	Connection
	KeepAlive
	ProxyConnection
	ProxyAuthenticate
	ProxyAuthorization
	TE
	Trailer
	Upgrade
	Expect
	Cookie
	SetCookie
	Date
	Server
	Origin
	UserAgent
	XForwardedFor
	XForwardedProto
	XForwardedPort
	XAmznTraceID
)

// Field is one header or trailer field. Name keeps the sender's spelling; Value
// has no leading or trailing white space.
type Field struct {
	Name  []byte
	Value []byte
	ID    Name
	// Hop says that the field speaks of this connection alone and must not be
	// forwarded: one of RFC 9110 §7.6.1, or named by the Connection field.
	Hop bool
}

// Framing is how the end of a body is known (RFC 9112 §6.3).
type Framing uint8

// The framings of RFC 9112 §6.3. UntilClose exists for answers only.
const (
	NoBody Framing = iota
	Sized
	Chunked
	UntilClose
)

// Class is ALB's measure of how far a request strays from RFC 9110/9112 (the
// page "Desync mitigation mode").
type Class uint8

// Compliant and Acceptable requests are served; Ambiguous ones are served in
// defensive mode and both connections closed afterwards; Severe ones are
// refused with 400.
const (
	Compliant Class = iota
	Acceptable
	Ambiguous
	Severe
)

// String gives the word that ALB's access log uses.
func (c Class) String() string {
	return [...]string{"Compliant", "Acceptable", "Ambiguous", "Severe"}[c&3]
}

// Request is the head of a request.
type Request struct {
	Method []byte
	Target []byte // the request target as sent
	Scheme []byte // of an absolute-form target, else nil
	// Host is the authority asked for: that of an absolute-form target, else the
	// Host field; port included when sent. Empty only for HTTP/1.0 without Host.
	Host  []byte
	Path  []byte // of the target; begins with "/", or is "*"
	Query []byte // without "?"; nil when the target has none, empty for a lone "?"

	Major, Minor uint8
	Fields       []Field

	Framing Framing
	Length  int64 // of a Sized body in bytes, else 0
	Close   bool  // the sender ends the connection after this exchange
	Upgrade []byte
	Expect  bool // waits for 100 (Continue) before it sends the body that is framed

	Class  Class
	Reason string // ALB's name for what made Class worse than Compliant
}

// Get returns the value of the first field with this ID, or nil.
func (r *Request) Get(id Name) []byte { return get(r.Fields, id) }

// Response is the head of an answer.
type Response struct {
	Status       int
	Reason       []byte
	Major, Minor uint8
	Fields       []Field

	Framing Framing
	Length  int64 // of a Sized body in bytes, else 0; what HEAD's answer states is in Fields only
	Close   bool  // the connection ends after this answer
	Upgrade []byte
}

// Get returns the value of the first field with this ID, or nil.
func (r *Response) Get(id Name) []byte { return get(r.Fields, id) }

func get(fields []Field, id Name) []byte {
	for i := range fields {
		if fields[i].ID == id {
			return fields[i].Value
		}
	}
	return nil
}
