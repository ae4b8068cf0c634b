package albion

import (
	"slices"
	"strings"
	"time"
)

// CA is a certificate authority that a request may go to.
type CA struct {
	Directory string // URL, https
	Roots     string `json:",omitempty"` // PEM of the authorities that vouch for the CA's own server; "": the system's
	Profile   string `json:",omitempty"` // of those that the CA offers; "": its default
	Binding   string `json:",omitempty"` // identifier of the account elsewhere to which ours is bound; "": none
}

// CAs lists the CAs that a request may go to, the preferred one first.
func (r *Request) CAs() []CA {
	return append([]CA{{r.Directory, r.Roots, r.Profile, r.Binding}}, r.Fallbacks...)
}

// At is the request as it is put to one of its CAs.
func (r *Request) At(ca CA) *Request {
	out := *r
	out.Directory, out.Roots, out.Profile, out.Binding, out.Fallbacks = ca.Directory, ca.Roots, ca.Profile, ca.Binding, nil
	return &out
}

// MayGoTo says whether a CA, by its directory, is one of the request's.
func (r *Request) MayGoTo(directory string) bool {
	return slices.ContainsFunc(r.CAs(), func(ca CA) bool { return ca.Directory == directory })
}

// BindingKeyName is the name of the Key that binds the account to one that was
// made elsewhere (RFC 8555 §7.3.4): base64url without padding, as text.
func (a *Registration) BindingKeyName() string { return "eab/" + a.ID }

// Sighting is what our own listeners showed after the contents of a certificate
// had changed.
type Sighting struct {
	Serial  string    // of the contents that were looked for
	At      time.Time // when
	Problem string    `json:",omitempty"` // which listener shows something else; "": each that could be asked shows them
	Note    string    `json:",omitempty"` // which listener could not be asked, and why
}

// NameSetback is why one name of several could not be proved.
type NameSetback struct {
	Domain   string
	Sentence string
	Words    string `json:",omitempty"` // the CA's own
}

const (
	maxFallbacks = 8
	maxBinding   = 512
)

// authorities checks which CAs a request may go to.
func (s subject) authorities(r *Request) {
	if len(r.Fallbacks) > maxFallbacks {
		s.wrong(CodeValidation, "Request.Fallbacks", "%d CAs to fall back on; at most %d are allowed", len(r.Fallbacks), maxFallbacks)
		return
	}
	seen := map[string]bool{}
	for i, ca := range r.CAs() {
		field := "Request"
		if i > 0 {
			field = index("Request.Fallbacks", i-1)
		}
		s.httpsURL(field+".Directory", ca.Directory)
		if ca.Roots != "" {
			s.chain(ca.Roots)
		}
		if len(ca.Profile) > 64 || !visible(ca.Profile) {
			s.wrong(CodeValidation, field+".Profile", "a profile is at most 64 visible ASCII characters")
		}
		if len(ca.Binding) > maxBinding || !visible(ca.Binding) {
			s.wrong(CodeValidation, field+".Binding", "the identifier of an account elsewhere is at most %d visible ASCII characters", maxBinding)
		}
		if seen[ca.Directory] {
			s.wrong(CodeValidation, field+".Directory", "%s is named twice: a CA is no fallback for itself", shown(ca.Directory))
		}
		seen[ca.Directory] = true
	}
}

// sighting checks what was seen of a certificate, and setback why an attempt
// failed: both hold words of others.
func (s subject) sighting(w *Sighting) {
	if w != nil && max(len(w.Problem), len(w.Note)) > maxWords {
		s.wrong(CodeValidation, "Sighting", "what was seen is longer than %d bytes", maxWords)
	}
}

func (s subject) setback(w *Setback) {
	if w == nil {
		return
	}
	if max(len(w.Sentence), len(w.Advice), len(w.Words)) > maxWords {
		s.wrong(CodeValidation, "Last", "what the CA said is longer than %d bytes", maxWords)
	}
	if len(w.Names) > MaxNamesPerRequest {
		s.wrong(CodeValidation, "Last.Names", "the CA names more than %d names", MaxNamesPerRequest)
	}
	for i, n := range w.Names {
		if max(len(n.Domain), len(n.Sentence), len(n.Words)) > maxWords || strings.ContainsAny(n.Domain, "\r\n") {
			s.wrong(CodeValidation, index("Last.Names", i), "what the CA said is longer than %d bytes", maxWords)
		}
	}
}
