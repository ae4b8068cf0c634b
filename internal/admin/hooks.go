package admin

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/albion-lb/albion"
)

// HookRequest is a hook to be kept, in place of one that has its name.
type HookRequest struct {
	Name         string
	Events       []albion.EventKind // none: all
	Certificates []string           // none: all
	Exec         []string
	Shell        string
	URL          string
	Timeout      time.Duration
	Secret       string // signs what is sent to URL; "": the one that there is, or none
}

// Hook is what people and programs may know of a hook.
type Hook struct {
	albion.Hook
	Signed  bool   // what it is sent is signed
	Waiting int    // notices on their way to it
	Problem string `json:",omitempty"` // why the oldest of them was not taken
}

func (s *Service) hookOperations(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/hooks", answer(s.AddHook))
	mux.HandleFunc("POST /v1/hooks/list", answer(func(context.Context, struct{}) (*[]Hook, error) {
		all := s.Hooks()
		return &all, nil
	}))
	mux.HandleFunc("POST /v1/hooks/remove", answer(func(ctx context.Context, in named) (*Hook, error) {
		return s.RemoveHook(ctx, in.Name)
	}))
}

// Hooks lists all of them by name.
func (s *Service) Hooks() []Hook {
	state := s.cfg.Store.State()
	all := []Hook{}
	for h := range state.Hooks.All() {
		all = append(all, describeHook(state, h))
	}
	return all
}

func describeHook(state *albion.State, h *albion.Hook) Hook {
	out := Hook{Hook: *h}
	_, out.Signed = state.Keys.Get(h.KeyName())
	for n := range state.Notices.All() {
		if n.Hook != h.Name {
			continue
		}
		if out.Waiting++; out.Problem == "" {
			out.Problem = n.Refused
		}
	}
	return out
}

// AddHook keeps a hook. Certificates that it names have to be there, so that a
// slip of the pen does not make it silent.
func (s *Service) AddHook(ctx context.Context, in HookRequest) (*Hook, error) {
	if !albion.NameFits(in.Name) { // of which its identity and its key's name are made
		return nil, albion.Errorf(albion.CodeInvalidParameter, "%q cannot be the name of a hook: use 1 to 255 letters, digits and -_.*+@:, not beginning with a dot", in.Name)
	}
	state, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		for _, name := range in.Certificates {
			if _, err := find(&d.State, name); err != nil {
				return err
			}
		}
		h := &albion.Hook{
			Name: in.Name, Events: in.Events, Certificates: in.Certificates, Exec: in.Exec, Shell: in.Shell, URL: in.URL,
			Timeout: in.Timeout, Created: s.cfg.Now(),
		}
		if old, ok := d.Hooks.Get(in.Name); ok {
			if old.Origin == albion.OriginFile {
				return albion.Errorf(albion.CodeResourceInUse, "a configuration file declares the hook %s: change it there, and apply the file", in.Name)
			}
			h.Created = old.Created
		}
		if key, ok := d.Keys.Get(h.KeyName()); in.Secret != "" && (!ok || !bytes.Equal(key.Secret, []byte(in.Secret))) {
			albion.Put(d, &albion.Key{Name: h.KeyName(), Secret: albion.Secret(in.Secret)})
		} else if ok && h.URL == "" {
			albion.Delete[*albion.Key](d, h.KeyName())
		}
		albion.Put(d, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	kept, ok := state.Hooks.Get(in.Name)
	if !ok {
		return nil, noHook(in.Name)
	}
	shown := describeHook(state, kept)
	return &shown, nil
}

// RemoveHook removes a hook, with its secret and with what was on its way to it,
// and returns what it was. One that a file declares is refused.
func (s *Service) RemoveHook(ctx context.Context, name string) (*Hook, error) {
	var gone Hook
	_, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		h, ok := d.Hooks.Get(name)
		if !ok {
			return noHook(name)
		}
		if h.Origin == albion.OriginFile {
			return albion.Errorf(albion.CodeResourceInUse, "a configuration file declares the hook %s: take it out there, and apply the file", name)
		}
		gone = describeHook(&d.State, h)
		albion.DeleteHook(d, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &gone, nil
}

func noHook(name string) error {
	return albion.Errorf(albion.CodeResourceNotFound, "there is no hook %q: `albion cert hook list` shows the ones there are", name)
}

// AddHook keeps a hook.
func (c *Client) AddHook(ctx context.Context, in HookRequest) (*Hook, error) {
	return ask[Hook](ctx, c, "hooks", in)
}

// Hooks lists them.
func (c *Client) Hooks(ctx context.Context) ([]Hook, error) {
	all, err := ask[[]Hook](ctx, c, "hooks/list", struct{}{})
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// RemoveHook removes one, and returns what it was.
func (c *Client) RemoveHook(ctx context.Context, name string) (*Hook, error) {
	return ask[Hook](ctx, c, "hooks/remove", named{name})
}
