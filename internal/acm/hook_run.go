package acm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

const (
	maxOutput = 64 << 10 // bytes of a program's output; what follows is dropped
	lastWait  = 5 * time.Second
)

// run tells a program: by its environment, in certbot's names and in ours, and by
// the same document on its input that addresses are sent.
func (h *Herald) run(ctx context.Context, s *albion.State, hook *albion.Hook, n *albion.Notice) (err error) {
	input, err := document(n)
	if err != nil {
		return err
	}
	env := append(slices.Clone(h.Environ), environment(n)...)
	if n.Event == albion.EventIssued || n.Event == albion.EventRenewed {
		dir, err := h.lineage(s, n)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(filepath.Dir(dir))) }()
		env = append(env, "RENEWED_LINEAGE="+dir)
	}
	words := hook.Exec
	if hook.Shell != "" {
		words = []string{"/bin/sh", "-c", hook.Shell}
		if runtime.GOOS == "windows" {
			words = []string{"cmd", "/c", hook.Shell}
		}
	}
	output := &tail{}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = env, bytes.NewReader(input), output, output, lastWait
	alone(cmd)
	err = cmd.Run()
	if text := logged(output.kept); text != "" {
		h.log().Info("a hook says", "hook", hook.Name, "event", n.Event, "output", text)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("it was ended after its time: %w", context.Cause(ctx))
	}
	return err
}

// environment tells of an event in certbot's names and in ours.
func environment(n *albion.Notice) []string {
	domains := strings.Join(n.Domains, " ")
	env := []string{
		"ALBION_EVENT=" + string(n.Event), "ALBION_NOTICE=" + n.ID, "ALBION_CERTIFICATE=" + n.Name, "ALBION_ARN=" + string(n.Certificate),
		"ALBION_DOMAINS=" + domains, "ALBION_SERIAL=" + n.Serial, "ALBION_NOT_AFTER=" + n.NotAfter.UTC().Format(time.RFC3339), "ALBION_CA=" + n.CA,
	}
	if n.Event == albion.EventIssued || n.Event == albion.EventRenewed {
		env = append(env, "RENEWED_DOMAINS="+domains, "FAILED_DOMAINS=")
	} else {
		env = append(env, "RENEWED_DOMAINS=", "FAILED_DOMAINS="+domains)
	}
	if p := n.Problem; p != nil {
		env = append(env, "ALBION_PROBLEM="+p.Sentence, "ALBION_ADVICE="+p.Advice, "ALBION_WORDS="+p.Words)
	}
	return env
}

// lineage writes the files of a certificate as certbot has them, for as long as
// the program runs, readable by its user only.
func (h *Herald) lineage(s *albion.State, n *albion.Notice) (string, error) {
	files, err := Export(s, string(n.Certificate))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(h.Dir, "hook-")
	if err != nil {
		return "", err
	}
	// The folder's name is that of the certificate, which scripts look at. It is
	// one that can be a folder's: Validate sees to that.
	dir := filepath.Join(temp, strings.ReplaceAll(n.Name, ":", "_"))
	err = os.Mkdir(dir, 0o700)
	for name, data := range map[string][]byte{"cert.pem": files.Cert, "chain.pem": files.Chain, "fullchain.pem": files.Fullchain, "privkey.pem": files.Privkey} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(temp))
	}
	return dir, nil
}

// sweep removes what hooks left that were killed.
func (h *Herald) sweep() error {
	left, err := filepath.Glob(filepath.Join(h.Dir, "hook-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// tail keeps the beginning of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	if room := maxOutput - len(t.kept); room > 0 {
		t.kept = append(t.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
