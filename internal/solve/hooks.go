package solve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
)

// maxOutput is what is kept of what a hook prints.
const maxOutput = 16 << 10

// hooks proves names by a program that adds TXT records, and one that removes them,
// with certbot's variables. One program for both is told which by its argument:
// auth or cleanup.
type hooks struct {
	*watch
	notes         notes
	auth, cleanup []string // program and argument
}

// newHooks reads what stands behind dns-exec=: HOOK, or AUTH,CLEANUP.
func newHooks(s *Solvers, w *watch, r *albion.Request) (*hooks, error) {
	if s.notes.dir == "" {
		return nil, errors.New("solve: there is no folder for what hooks print")
	}
	h := &hooks{watch: w, notes: s.notes, auth: []string{r.Argument, "auth"}, cleanup: []string{r.Argument, "cleanup"}}
	if first, second, two := strings.Cut(r.Argument, ","); two && filepath.IsAbs(second) {
		h.auth, h.cleanup = []string{first}, []string{second}
	}
	for _, program := range []string{h.auth[0], h.cleanup[0]} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, setback("the hook "+program+" cannot be run", "it has to be a program that is there and that the user of Albion may run", errors.Unwrap(err))
		}
	}
	return h, nil
}

// Present calls the hook for each record and waits until all servers show them.
// For a record whose hook has done its work already, as before a restart, it is not
// called again.
func (h *hooks) Present(ctx context.Context, all []acme.Presentation) error {
	for i, p := range all {
		key := noteKey(p)
		if done, err := h.notes.get(key); err != nil || done != nil {
			if err != nil {
				return err
			}
			continue
		}
		out, err := h.run(ctx, h.auth, variables(all, i))
		if err != nil {
			return setback("the hook "+h.auth[0]+" could not add the TXT record for "+p.Domain, "run it by hand with the variables that the documentation names; it is tried again by itself", err)
		}
		if err := h.notes.put(key, out); err != nil {
			return err
		}
	}
	return h.until(ctx, h.cfg.Patience, func(ctx context.Context) []sight { return h.sights(ctx, all) })
}

// CleanUp calls the hook for each record, with what the other call printed.
func (h *hooks) CleanUp(ctx context.Context, all []acme.Presentation) (err error) {
	for i, p := range all {
		printed, failed := h.notes.get(noteKey(p))
		if failed == nil {
			_, failed = h.run(ctx, h.cleanup, append(variables(all, i), "CERTBOT_AUTH_OUTPUT="+strings.TrimSpace(noZero(string(printed)))))
		}
		if failed == nil {
			failed = h.notes.drop(noteKey(p))
		}
		if failed != nil {
			err = errors.Join(err, setback("the hook "+h.cleanup[0]+" could not remove the TXT record for "+p.Domain, "remove it by hand if the hook cannot", failed))
		}
	}
	return err
}

func noteKey(p acme.Presentation) string { return "hook " + p.Name + " " + p.Value }

// noZero: a variable cannot hold a zero byte.
func noZero(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// variables are those that certbot gives to manual hooks. CERTBOT_TOKEN belongs to
// HTTP and is not set, as there.
func variables(all []acme.Presentation, i int) []string {
	var domains []string
	for _, p := range all {
		domains = append(domains, p.Domain)
	}
	return []string{
		"CERTBOT_DOMAIN=" + all[i].Domain,
		"CERTBOT_IDENTIFIER=" + all[i].Domain,
		"CERTBOT_VALIDATION=" + all[i].Value,
		"CERTBOT_REMAINING_CHALLENGES=" + strconv.Itoa(len(all)-1-i),
		"CERTBOT_ALL_DOMAINS=" + strings.Join(domains, ","),
	}
}

// hookEnv names further variables that hooks get, with commas between.
const hookEnv = "ALBION_HOOK_ENV"

// inherited is what hooks get of our environment: what every program needs, and
// what hookEnv names. The rest may be secrets of ours, such as a CA's binding key.
func inherited(all []string) []string {
	needed := []string{
		"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
		"TEMP", "TMP", "SYSTEMROOT", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "PROGRAMDATA", // of Windows
	}
	var asked []string
	for _, v := range all {
		if names, ok := strings.CutPrefix(v, hookEnv+"="); ok {
			for name := range strings.SplitSeq(names, ",") {
				asked = append(asked, strings.TrimSpace(name))
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		upper := strings.ToUpper(name) // http_proxy is written small, and Path on Windows
		return strings.HasPrefix(name, "CERTBOT_") || !slices.Contains(needed, upper) && !strings.HasPrefix(name, "LC_") && !slices.Contains(asked, name)
	})
}

// run runs a program, without a shell between, and returns what it printed. When
// the time is up it is killed with all that it started.
func (h *hooks) run(ctx context.Context, program, variables []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Hook)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Env = append(inherited(os.Environ()), variables...)
	cmd.Dir = string(filepath.Separator)
	out, problems := &bounded{}, &bounded{}
	cmd.Stdout, cmd.Stderr = out, problems
	cmd.WaitDelay = 2 * time.Second // for what it left running with its output open
	ownGroup(cmd)
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("it was killed after %s", h.cfg.Hook)
	case errors.Is(err, exec.ErrWaitDelay):
		return out.kept, nil // it went well, and left something running
	case err != nil && len(problems.kept) > 0:
		return nil, fmt.Errorf("%w: %s", err, plain(string(problems.kept)))
	}
	return out.kept, err
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ kept []byte }

func (b *bounded) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), maxOutput-len(b.kept))]...)
	return len(p), nil
}
