package solve_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acme"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
	"github.com/albion-lb/albion/internal/solve"
)

// script writes a hook.
func script(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\nset -eu\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// nsupdate is what hooks of many users call.
func nsupdate(w *world, change string) string {
	host, port, _ := strings.Cut(w.net.Server(0), ":")
	return fmt.Sprintf(`nsupdate -y %s:%s:%s <<END
server %s %s
zone example.test
update %s
send
END
`, resolvetest.KeyAlgorithm, resolvetest.KeyName, resolvetest.KeySecret, host, port, change)
}

func TestCallsAHookAsCertbotDoes(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	t.Setenv("CERTBOT_TOKEN", "left from elsewhere")
	log := filepath.Join(t.TempDir(), "log")
	hook := script(t, "hook", `
echo "$1 $CERTBOT_DOMAIN $CERTBOT_IDENTIFIER $CERTBOT_VALIDATION $CERTBOT_REMAINING_CHALLENGES $CERTBOT_ALL_DOMAINS ${CERTBOT_TOKEN-unset} ${CERTBOT_AUTH_OUTPUT-unset}" >> `+log+`
case $1 in
auth) `+nsupdate(w, `add _acme-challenge.$CERTBOT_DOMAIN 60 TXT $CERTBOT_VALIDATION`)+`
echo "record of $CERTBOT_VALIDATION" ;;
cleanup) `+nsupdate(w, `delete _acme-challenge.$CERTBOT_DOMAIN TXT $CERTBOT_VALIDATION`)+`;;
esac
`)
	both := []acme.Presentation{txt("example.test", "one"), txt("chat.example.test", "two")}
	present(t, w.solver(albion.MethodExec, hook), both...)
	present(t, w.solver(albion.MethodExec, hook), both...) // after a restart: what was done is not done again
	w.expect("_acme-challenge.chat.example.test", "two")
	w.expect("_acme-challenge.example.test", "one", "somebody-elses")
	cleanUp(t, w.solver(albion.MethodExec, hook), both...)
	w.expect("_acme-challenge.example.test", "somebody-elses")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := `auth example.test example.test one 1 example.test,chat.example.test unset unset
auth chat.example.test chat.example.test two 0 example.test,chat.example.test unset unset
cleanup example.test example.test one 1 example.test,chat.example.test unset record of one
cleanup chat.example.test chat.example.test two 0 example.test,chat.example.test unset record of two
`
	if string(text) != want {
		t.Errorf("the hook saw:\n%s\nwant:\n%s", text, want)
	}
	if left, err := os.ReadDir(w.cfg.Dir); err != nil || len(left) != 0 {
		t.Errorf("notes are left: %v, %v", left, err)
	}
}

func TestTakesTwoHooks(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	auth := script(t, "auth", `[ $# = 0 ]`+"\n"+nsupdate(w, `add _acme-challenge.$CERTBOT_DOMAIN 60 TXT $CERTBOT_VALIDATION`))
	clean := script(t, "clean", `[ $# = 0 ]`+"\n"+nsupdate(w, `delete _acme-challenge.$CERTBOT_DOMAIN TXT $CERTBOT_VALIDATION`))
	s := w.solver(albion.MethodExec, auth+","+clean)
	present(t, s, txt("chat.example.test", "v"))
	w.expect("_acme-challenge.chat.example.test", "v")
	cleanUp(t, s, txt("chat.example.test", "v"))
	w.expect("_acme-challenge.chat.example.test")
}

func TestShowsWhatAHookSaysWhenItFails(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	p := txt("chat.example.test", "v")
	err := w.solver(albion.MethodExec, script(t, "hook", "printf 'no such\\033 zone' >&2; exit 3")).Present(t.Context(), []acme.Presentation{p})
	refused(t, err, "could not add the TXT record for chat.example.test", "exit status 3: no such  zone")

	_, err = solve.New(w.cfg).For(t.Context(), &albion.Request{Method: albion.MethodExec, Argument: "/not/there"}, w.tell)
	if err == nil || !strings.Contains(err.Error(), "/not/there cannot be run") {
		t.Errorf("a hook that is not there: %v", err)
	}
}

// A hook that hangs is killed with what it started: the grandchild holds a pipe
// open, whose end is seen when it is gone.
func TestKillsAHookThatHangs(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	w.cfg.Hook = 300 * time.Millisecond
	fifo := filepath.Join(t.TempDir(), "held")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(fifo)
		ended <- err
	}()
	hook := script(t, "hook", "sleep 600 > "+fifo+" &\nwait\n")
	err := w.solver(albion.MethodExec, hook).Present(t.Context(), []acme.Presentation{txt("chat.example.test", "v")})
	refused(t, err, "killed after 300ms")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("what the hook started runs on")
	}
}

func TestBoundsWhatAHookPrints(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	log := filepath.Join(t.TempDir(), "log")
	hook := script(t, "hook", `
if [ $1 = auth ]; then
`+nsupdate(w, `add _acme-challenge.$CERTBOT_DOMAIN 60 TXT $CERTBOT_VALIDATION`)+`
head -c 1000000 /dev/zero | tr '\0' x
else printf '%s' "$CERTBOT_AUTH_OUTPUT" | wc -c > `+log+`
fi
`)
	s := w.solver(albion.MethodExec, hook)
	present(t, s, txt("chat.example.test", "v"))
	cleanUp(t, s, txt("chat.example.test", "v"))
	if text, err := os.ReadFile(log); err != nil || strings.TrimSpace(string(text)) != "16384" {
		t.Errorf("the clean-up got %s bytes, %v", text, err)
	}
}

func TestRefusesMethodsOfOthers(t *testing.T) {
	s := solve.New(solve.Config{})
	for _, method := range []albion.Method{albion.MethodAuto, albion.MethodHTTP, albion.MethodALPN, albion.MethodDelegated} {
		if _, err := s.For(t.Context(), &albion.Request{Method: method}, nil); err == nil {
			t.Errorf("%q is taken", method)
		}
	}
}

// Our environment may hold secrets: a hook gets what it needs, and what it is said
// to need.
func TestHooksGetNoSecretsOfOurs(t *testing.T) {
	w := newWorld(t, resolvetest.Zone{Name: "example.test", Text: zoneText})
	for name, value := range map[string]string{
		"ALBION_EAB_KEY": "secret-1", "AWS_SECRET_ACCESS_KEY": "secret-2", "LC_TIME": "C", "https_proxy": "http://proxy.test",
		"DNS_TOKEN": "let-through", "CERTBOT_TOKEN": "secret-3", "ALBION_HOOK_ENV": "OTHER, DNS_TOKEN,CERTBOT_TOKEN",
	} {
		t.Setenv(name, value)
	}
	log := filepath.Join(t.TempDir(), "log")
	hook := script(t, "hook", "env >> "+log+"\n"+nsupdate(w, `add _acme-challenge.$CERTBOT_DOMAIN 60 TXT $CERTBOT_VALIDATION`))
	present(t, w.solver(albion.MethodExec, hook), txt("example.test", "one"))
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PATH=", "LC_TIME=C\n", "https_proxy=http://proxy.test\n", "DNS_TOKEN=let-through\n", "CERTBOT_VALIDATION=one\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	if strings.Contains(string(text), "secret-") {
		t.Errorf("secrets are among %s", text)
	}
}
