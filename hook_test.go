package albion_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
)

func TestHooksThatAreWhole(t *testing.T) {
	for name, h := range map[string]albion.Hook{
		"a program":    {Exec: []string{"/usr/local/bin/reload", "--now"}},
		"a shell line": {Shell: "systemctl reload postfix"},
		"an address":   {URL: "https://ops.example.com/hook", Events: albion.EventKinds(), Certificates: []string{"chat"}, Timeout: time.Minute},
	} {
		h.Name = "ops"
		d := newWorld().draft()
		albion.Put(d, &h)
		if _, err := d.Finish(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHooksThatAreNot(t *testing.T) {
	for want, change := range map[string]func(*albion.Hook){
		"exactly one":               func(h *albion.Hook) { h.Shell = "true" },
		"exactly one of":            func(h *albion.Hook) { h.URL = "" },
		"absolute name":             func(h *albion.Hook) { h.URL, h.Exec = "", []string{"reload"} },
		"no argument":               func(h *albion.Hook) { h.URL, h.Shell = "", "a\x00b" },
		"at most 63 arguments":      func(h *albion.Hook) { h.URL, h.Exec = "", append([]string{"/bin/true"}, make([]string, 64)...) },
		"http or https address":     func(h *albion.Hook) { h.URL = "ftp://example.com" },
		"without a password":        func(h *albion.Hook) { h.URL = "https://me:secret@example.com" },
		"up to 10m0s":               func(h *albion.Hook) { h.Timeout = time.Hour },
		"Events[0]":                 func(h *albion.Hook) { h.Events = []albion.EventKind{"revoked"} },
		"does not begin with a dot": func(h *albion.Hook) { h.Name = ".." },
		"signs what is sent":        func(h *albion.Hook) { h.Name, h.URL, h.Shell = "signed", "", "true" },
	} {
		h := albion.Hook{Name: "ops", URL: "https://ops.example.com/hook"}
		change(&h)
		d := newWorld().draft()
		albion.Put(d, &albion.Key{Name: "hook/signed", Secret: albion.Secret("s")})
		albion.Put(d, &h)
		_, err := d.Finish()
		var invalid *albion.Error
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Field+": "+err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

func TestAHookTakesItsSecretAndItsNoticesWithIt(t *testing.T) {
	d := newWorld().draft()
	keys := d.Keys.Len()
	for _, name := range []string{"ops", "other"} {
		albion.Put(d, &albion.Hook{Name: name, URL: "https://ops.example.com/hook"})
		albion.Put(d, &albion.Notice{ID: "1." + name, Hook: name, Event: albion.EventFailed})
	}
	albion.Put(d, &albion.Key{Name: "hook/ops", Secret: albion.Secret("s")})
	s, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	d = albion.NewDraft(s)
	albion.DeleteHook(d, "ops")
	if _, err := d.Finish(); err != nil || d.Hooks.Len() != 1 || d.Notices.Len() != 1 || d.Keys.Len() != keys {
		t.Errorf("%v: %d hooks, %d notices, %d keys", err, d.Hooks.Len(), d.Notices.Len(), d.Keys.Len())
	}
}

func TestNoticesAreBounded(t *testing.T) {
	d := newWorld().draft()
	albion.Put(d, &albion.Hook{Name: "ops", Shell: "true"})
	for n := range albion.MaxNotices + 1 {
		albion.Put(d, &albion.Notice{ID: strings.Repeat("x", n+1), Hook: "ops", Event: albion.EventFailed})
	}
	if _, err := d.Finish(); err == nil {
		t.Error("more notices than may be are kept")
	}
	d = newWorld().draft()
	albion.Put(d, &albion.Notice{ID: "1", Hook: "nobody", Event: albion.EventFailed})
	if _, err := d.Finish(); err == nil || !strings.Contains(err.Error(), "there is no hook") {
		t.Errorf("a notice for nobody: %v", err)
	}
}

func TestHooksWantWhatTheyName(t *testing.T) {
	all, some := albion.Hook{}, albion.Hook{Events: []albion.EventKind{albion.EventFailed}, Certificates: []string{"chat"}}
	for _, c := range []struct {
		kind albion.EventKind
		name string
		want bool
	}{{albion.EventFailed, "chat", true}, {albion.EventRenewed, "chat", false}, {albion.EventFailed, "www", false}} {
		if !all.Wants(c.kind, c.name) || some.Wants(c.kind, c.name) != c.want {
			t.Errorf("%s of %s", c.kind, c.name)
		}
	}
}

func TestFallbacksAreChecked(t *testing.T) {
	for want, change := range map[string]func(*albion.Request){
		"": func(r *albion.Request) {
			r.Fallbacks = []albion.CA{{Directory: "https://b.example.com/dir", Binding: "kid"}}
		},
		"Fallbacks[0].Directory": func(r *albion.Request) { r.Fallbacks = []albion.CA{{Directory: "http://b.example.com/dir"}} },
		"no fallback for itself": func(r *albion.Request) { r.Fallbacks = []albion.CA{{Directory: r.Directory}} },
		"at most 8":              func(r *albion.Request) { r.Fallbacks = make([]albion.CA, 9) },
		"account elsewhere":      func(r *albion.Request) { r.Binding = "a\nb" },
		"Fallbacks[0].Profile": func(r *albion.Request) {
			r.Fallbacks = []albion.CA{{Directory: "https://b.example.com/dir", Profile: "a b\n"}}
		},
	} {
		w, i := requested()
		change(w.cert.Request)
		_, err := withIssuance(w, i).Finish()
		var invalid *albion.Error
		switch {
		case want == "" && err != nil:
			t.Error(err)
		case want != "" && (!errors.As(err, &invalid) || !strings.Contains(invalid.Field+": "+err.Error(), want)):
			t.Errorf("%v, want %q", err, want)
		}
	}
	r := albion.Request{Directory: "a", Profile: "p", Fallbacks: []albion.CA{{Directory: "b", Roots: "r"}}}
	if at := r.At(r.CAs()[1]); at.Directory != "b" || at.Roots != "r" || at.Profile != "" || at.Fallbacks != nil || !r.MayGoTo("b") || r.MayGoTo("c") {
		t.Errorf("%+v", at)
	}
}
