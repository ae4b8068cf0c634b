package albion

import (
	"slices"
	"strings"
	"time"
)

// Request is what a certificate authority that speaks ACME (RFC 8555) is asked
// for, now and at every renewal.
type Request struct {
	Directory string   // URL of the CA's directory, https
	Roots     string   // PEM of the authorities that vouch for the CA's own server; "": the system's
	Email     string   // where the CA writes to; may be ""
	Domains   []string // DNS names in lower case and as A-labels, and IP addresses
	Method    Method   // how they are proved, now and at every renewal
	Argument  string   // of the method: a folder, a file, a zone
	KeyType   KeyType  // "": ECDSA
	Profile   string   // of those that the CA offers; "": its default, for addresses its short-lived one
	Binding   string   `json:",omitempty"` // see CA
	Fallbacks []CA     `json:",omitempty"` // asked in this order while the CA itself cannot issue
}

// Challenge is what a CA asks for to see that a name is ours.
type Challenge string

// The challenges by ACME's names (RFC 8555 §8, RFC 8737).
const (
	ChallengeHTTP Challenge = "http-01"
	ChallengeALPN Challenge = "tls-alpn-01"
	ChallengeDNS  Challenge = "dns-01"
)

// KeyType is the kind of a certificate's key.
type KeyType string

// ECDSA is on P-256, RSA has 2048 bits.
const (
	KeyECDSA KeyType = "ecdsa"
	KeyRSA   KeyType = "rsa"
)

// Registration is an account at a CA. Its key is the Key with the name "account/" and its
// own; it is kept before the CA hears of it, so that asking again finds the same
// account (RFC 8555 §7.3.1).
type Registration struct {
	ID        string
	Directory string
	Email     string
	URL       string    // "" until the CA knows it
	Binding   string    `json:",omitempty"` // identifier of the account elsewhere that it is bound to; see BindingKeyName
	Bound     time.Time // when it was bound first: a CA may take the secret once only
	Blocked   time.Time // the CA asked not to be asked before
	Created   time.Time
}

// KeyName is the name of the Key of this account.
func (a *Registration) KeyName() string { return "account/" + a.ID }

// Issuance is how it stands with a certificate that a CA issues: what was
// journalled of an order, and what decides when the next one begins. There is at
// most one for each certificate, and its identity is the certificate's.
type Issuance struct {
	Certificate ARN

	// Of the contents that the certificate has: who issued them, and when to
	// renew according to the CA.
	Directory string
	Account   string // ID of a Registration
	Window    Window

	Order *Order // under way, or nil
	Turn  int    `json:",omitempty"` // which of the request's CAs the next order is for

	Failures int         // in a row
	Last     *Setback    // why the last attempt failed; nil after a success
	Failed   time.Time   // when
	Next     time.Time   // nothing is tried before
	Reported time.Time   // when hooks were told of a failure, of those in a row
	Begun    []time.Time // orders of the last hour
	Issued   []time.Time // certificates of the last seven days
	Steps    []string    // what the last attempt has done so far, a sentence each

	Sighting *Sighting `json:",omitempty"` // what our listeners show; nil: nobody has looked
}

// OrderKeyName is the name of the Key that an order of this certificate will
// make its key. It is apart from the one that is served.
func OrderKeyName(certificate ARN) string { return "order/" + string(certificate) }

// Window is when a CA suggests to renew (RFC 9773 §4.2).
type Window struct {
	Start, End  time.Time // zero: the CA has not said
	Chosen      time.Time // the moment in the window that fell to us
	Explanation string    // URL of a page that says why, or ""
	Check       time.Time // when to ask again
}

// Order is the journal of one order: all that is needed to go on with it in
// another process.
type Order struct {
	Account        string // ID of a Registration
	Step           Step
	URL            string
	Finalize       string // URL
	Authorizations []string
	Answers        []Answer
	Certificate    string // URL
	Chain          string // PEM
	Replaces       string // RFC 9773 §5; "": none
	Expires        time.Time
}

// Step is how far an order has come.
type Step string

// The steps, in their order. What follows each of them can be done again without
// harm.
const (
	StepBegun      Step = "begun"      // its key is kept
	StepOrdered    Step = "ordered"    // the CA knows it
	StepChosen     Step = "chosen"     // the challenges are chosen, their answers known
	StepAsked      Step = "asked"      // the CA was told that it may look
	StepValidated  Step = "validated"  // every name is ours
	StepIssued     Step = "issued"     // the certificate waits at the CA
	StepDownloaded Step = "downloaded" // it is here
)

// Answer is what proves one name.
type Answer struct {
	Domain        string // DNS name or IP address, without "*."
	Challenge     Challenge
	Authorization string // URL
	URL           string // of the challenge
	Token         string
	Proof         string    // the key authorization (RFC 8555 §8.1)
	Expires       time.Time // when the CA stops waiting; zero: it does not say
}

// Setback is why a step with a CA failed.
type Setback struct {
	Kind     SetbackKind
	Sentence string        // what is wrong
	Advice   string        // what to do next
	Words    string        // the CA's own, or the system's
	Ours     bool          `json:",omitempty"` // the words are not the CA's: whoever presents proofs failed, or the way to the CA
	Until    time.Time     // the CA asked to be left alone until then
	Names    []NameSetback `json:",omitempty"` // of several names those that are to blame
}

// SetbackKind says what a Setback means for the next attempt.
type SetbackKind string

// The kinds of Setback.
const (
	SetbackUnavailable SetbackKind = "unavailable" // the CA cannot be reached or is out of order
	SetbackLimited     SetbackKind = "limited"     // too many requests
	SetbackName        SetbackKind = "name"        // a name could not be proved
	SetbackAccount     SetbackKind = "account"     // the CA does not know the account
	SetbackGone        SetbackKind = "gone"        // the order has ended otherwise
	SetbackRefused     SetbackKind = "refused"     // anything else that the CA said no to
	SetbackClock       SetbackKind = "clock"       // our clock and the CA's differ too much to decide anything
	SetbackHere        SetbackKind = "here"        // this machine cannot keep what would be obtained
)

func (s *Setback) Error() string {
	text := s.Sentence
	if s.Advice != "" {
		text += ": " + s.Advice
	}
	if s.Words != "" {
		text += " (" + s.Words + ")"
	}
	return text
}

// DeleteCertificate deletes a certificate and all that belongs to it, except for
// what an order of it left in the world.
func DeleteCertificate(d *Draft, arn ARN) {
	EndOrder(d, arn)
	Delete[*Certificate](d, string(arn))
	Delete[*Key](d, string(arn))
	Delete[*Issuance](d, string(arn))
	Delete[*Key](d, OrderKeyName(arn))
	DeleteDeliveries(d, arn)
}

// Answers lists what proves the names of the orders that are under way.
func (s *State) Answers() []Answer {
	var all []Answer
	for i := range s.Issuances.All() {
		if i.Order != nil {
			all = append(all, i.Order.Answers...)
		}
	}
	return all
}

// Covers says whether a request asks for exactly these names.
func (r *Request) Covers(domains []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(r.Domains)), slices.Sorted(slices.Values(domains)))
}

// Host is that of the directory, as messages name a CA.
func (r *Request) Host() string {
	_, rest, _ := strings.Cut(r.Directory, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func (a *Registration) Identity() string                   { return a.ID }
func (*Registration) kind() Kind                           { return KindRegistration }
func (*Registration) table(s *State) *Table[*Registration] { return &s.Registrations }

func (i *Issuance) Identity() string               { return string(i.Certificate) }
func (*Issuance) kind() Kind                       { return KindIssuance }
func (*Issuance) table(s *State) *Table[*Issuance] { return &s.Issuances }
