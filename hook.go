package albion

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Hook is who is told what becomes of certificates: a program that runs, or an
// address that is sent a document. Exactly one of Exec, Shell and URL is set. The
// secret that signs what is sent is the Key with the name "hook/" and its own.
type Hook struct {
	Name         string
	Events       []EventKind   `json:",omitempty"` // none: all
	Certificates []string      `json:",omitempty"` // by name; none: all
	Exec         []string      `json:",omitempty"` // a program, by its absolute name, and its arguments
	Shell        string        `json:",omitempty"` // a line for the system's shell
	URL          string        `json:",omitempty"` // http or https
	Timeout      time.Duration `json:",omitempty"` // 0: a minute for programs, ten seconds for addresses
	Created      time.Time
	Origin       Origin
}

// EventKind is something that becomes of a certificate.
type EventKind string

// The kinds of events.
const (
	EventIssued  EventKind = "issued"  // the first contents are there
	EventRenewed EventKind = "renewed" // new contents are there
	EventFailed  EventKind = "failed"  // the first attempt failed, or all of another day
	EventAtRisk  EventKind = "at-risk" // half of the time for the renewal is over
	EventExpired EventKind = "expired" // and it is still shown
)

// EventKinds lists them all.
func EventKinds() []EventKind {
	return []EventKind{EventIssued, EventRenewed, EventFailed, EventAtRisk, EventExpired}
}

// Notice is one event on its way to one hook. It is kept until the hook has
// taken it or has refused it too often, and holds no secret.
type Notice struct {
	ID          string // of the notice: begins with the moment, so that notices sort by age
	Hook        string
	Event       EventKind
	At          time.Time
	Certificate ARN
	Name        string // of the certificate
	Domains     []string
	Serial      string
	NotAfter    time.Time
	CA          string   `json:",omitempty"` // whose contents are meant, or who refused them
	Problem     *Setback `json:",omitempty"`
	Attempts    int
	Refused     string    `json:",omitempty"` // why the last attempt failed; "" while it is made
	Next        time.Time // nothing is tried before
}

// Bounds of what a State holds of hooks.
const (
	MaxHooks      = 100
	MaxNotices    = 1000
	MaxHookTime   = 10 * time.Minute
	maxHookWords  = 64 // of a program
	maxHookLength = 4096
)

// KeyName is the name of the Key that signs what is sent.
func (h *Hook) KeyName() string { return "hook/" + h.Name }

// Wants says whether a hook is told of this.
func (h *Hook) Wants(kind EventKind, certificate string) bool {
	return (len(h.Events) == 0 || slices.Contains(h.Events, kind)) &&
		(len(h.Certificates) == 0 || slices.Contains(h.Certificates, certificate))
}

// DeleteHook deletes a hook, its secret, and what is on its way to it.
func DeleteHook(d *Draft, name string) {
	Delete[*Hook](d, name)
	Delete[*Key](d, (&Hook{Name: name}).KeyName())
	for n := range d.Notices.All() {
		if n.Hook == name {
			Delete[*Notice](d, n.ID)
		}
	}
}

func (c *checker) checkHooks(hooks []*Hook) {
	if len(hooks) > MaxHooks {
		c.at(hooks[0]).wrong(CodeValidation, "", "%d hooks; at most %d are allowed", len(hooks), MaxHooks)
	}
	for _, h := range hooks {
		s := c.at(h)
		s.certificateName(h.Name)
		for i, kind := range h.Events {
			oneOf(s, index("Events", i), kind, EventKinds()...)
		}
		if len(h.Certificates) > maxHookLength {
			s.wrong(CodeValidation, "Certificates", "%d certificates are named; leave them out to mean all", len(h.Certificates))
		}
		if h.Timeout < 0 || h.Timeout > MaxHookTime {
			s.wrong(CodeValidation, "Timeout", "a hook may take up to %s", MaxHookTime)
		}
		s.hookTarget(h)
	}
}

// hookTarget checks that a hook goes to one place, and that it can be one.
func (s subject) hookTarget(h *Hook) {
	ways := 0
	for _, set := range []bool{len(h.Exec) > 0, h.Shell != "", h.URL != ""} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		s.wrong(CodeValidation, "Exec", "a hook has exactly one of a program, a shell line and an address")
		return
	}
	if len(h.Exec) > maxHookWords {
		s.wrong(CodeValidation, "Exec", "a program has at most %d arguments", maxHookWords-1)
	}
	for i, word := range append(slices.Clone(h.Exec), h.Shell) {
		if len(word) > maxHookLength || strings.ContainsRune(word, 0) || !utf8.ValidString(word) {
			s.wrong(CodeValidation, index("Exec", i), "that is no argument of a program: up to %d bytes of UTF-8", maxHookLength)
		}
	}
	if len(h.Exec) > 0 && !filepath.IsAbs(h.Exec[0]) {
		s.wrong(CodeValidation, "Exec", "%s is not the absolute name of a program, such as /usr/local/bin/reload", shown(h.Exec[0]))
	}
	if h.URL != "" {
		u, err := url.Parse(h.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(h.URL) > maxURL {
			s.wrong(CodeValidation, "URL", "that is not an http or https address without a password in it")
		}
	}
	if _, signed := s.state.Keys.Get(h.KeyName()); signed && h.URL == "" {
		s.wrong(CodeValidation, "Exec", "a secret signs what is sent to an address, and this hook runs a program")
	}
}

func (c *checker) checkNotices(notices []*Notice) {
	if len(notices) > MaxNotices {
		c.at(notices[0]).wrong(CodeValidation, "", "%d notices wait; at most %d are kept", len(notices), MaxNotices)
	}
	for _, n := range notices {
		s := c.at(n)
		oneOf(s, "Event", n.Event, EventKinds()...)
		if _, ok := c.state.Hooks.Get(n.Hook); !ok {
			s.wrong(CodeValidation, "Hook", "there is no hook %s", shown(n.Hook))
		}
		s.setback(n.Problem)
		if len(n.Refused) > maxWords {
			s.wrong(CodeValidation, "Refused", "why it failed is longer than %d bytes", maxWords)
		}
	}
}

func (h *Hook) Identity() string           { return h.Name }
func (*Hook) kind() Kind                   { return KindHook }
func (*Hook) table(s *State) *Table[*Hook] { return &s.Hooks }

func (n *Notice) Identity() string             { return n.ID }
func (*Notice) kind() Kind                     { return KindNotice }
func (*Notice) table(s *State) *Table[*Notice] { return &s.Notices }
