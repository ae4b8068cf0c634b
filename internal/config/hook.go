package config

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/albion-lb/albion"
)

// hook is who is told what becomes of certificates.
type hook struct {
	at     places
	want   albion.Hook
	named  []ref // the certificates of want
	secret *secret
}

func (n node) hook(name string) hook {
	h := hook{at: n.parts, want: albion.Hook{Name: name, Origin: albion.OriginFile}}
	w := &h.want
	kinds := make([]string, 0, 8)
	for _, kind := range albion.EventKinds() {
		kinds = append(kinds, string(kind))
	}
	there := n.fields("a hook", append([]field{
		{"events", func(n node) {
			n.oneOrMore("events", func(n node) { w.Events = append(w.Events, albion.EventKind(n.word(kinds...))) })
		}},
		{"certificates", func(n node) {
			n.oneOrMore("names of certificates", func(n node) {
				if s, ok := n.text("the name of a certificate"); ok {
					w.Certificates = append(w.Certificates, s)
					h.named = append(h.named, ref{s, n.at})
				}
			})
		}},
		{"exec", func(n node) {
			n.oneOrMore("a program and its arguments", func(n node) {
				if s, ok := n.text("a program or an argument"); ok {
					w.Exec = append(w.Exec, s)
				}
			})
		}},
		{"shell", func(n node) { w.Shell, _ = n.text("a line for the shell") }},
		{"url", func(n node) { w.URL, _ = n.text("an http or https address") }},
		{"timeout", func(n node) { w.Timeout = n.duration() }},
	}, secretFields("secret", &h.secret)...))
	n.oneSecret("secret", there)
	return h
}

// hooks puts the hooks that the file declares.
func (a *applier) hooks() {
	for _, h := range a.f.hooks {
		a.hook(h)
	}
}

func (a *applier) hook(h hook) {
	want := h.want
	for _, r := range h.named {
		// A hook of a name that does not exist would never be called.
		resolve(a, "certificate", r, a.certificates)
	}
	old, _ := a.d.Hooks.Get(want.Name)
	base := &albion.Hook{Origin: albion.OriginFile}
	want.Created = a.env.Now
	if old != nil {
		want.Created, base = old.Created, old
	}
	a.declare(albion.KindHook, want.Name, h.at)
	key, signed := a.d.Keys.Get(want.KeyName())
	value, ok := a.reveal(h.secret, signed, h.at)
	if !ok {
		return
	}
	var details []string
	switch {
	case h.secret == nil && signed:
		albion.Delete[*albion.Key](a.d, want.KeyName())
		details = []string{"secret: gone"}
	case len(value) > 0 && (!signed || !bytes.Equal(key.Secret, value)):
		albion.Put(a.d, &albion.Key{Name: want.KeyName(), Secret: value})
		details = []string{"secret: another one"}
	}
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		details = append(diff(hookFacts(base), hookFacts(&want)), details...)
	}
	if old == nil || len(details) > 0 {
		a.say(verb(old), albion.KindHook, want.Name, details)
	}
}

func (a *applier) removeHooks() {
	for h := range a.d.Hooks.All() {
		if h.Origin == albion.OriginFile && !a.declares(albion.KindHook, h.Name) {
			albion.DeleteHook(a.d, h.Name)
			a.say(Removed, albion.KindHook, h.Name, nil)
		}
	}
}

func hookFacts(h *albion.Hook) []fact {
	var events []string
	for _, kind := range h.Events {
		events = append(events, string(kind))
	}
	timeout := ""
	if h.Timeout != 0 {
		timeout = formatDuration(h.Timeout)
	}
	return []fact{
		origin(h.Origin), many("events", events), many("certificates", h.Certificates), one("exec", strings.Join(h.Exec, " ")),
		one("shell", h.Shell), one("url", h.URL), one("timeout", timeout),
	}
}
