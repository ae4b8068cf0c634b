package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/examples/chat/chattest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what the program says, and tells when it says where it listens.
type output struct {
	mu     sync.Mutex // guards text
	text   bytes.Buffer
	listen chan string
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if found := regexp.MustCompile(`url=(http://\S+)/ `).FindSubmatch(b); found != nil {
		o.listen <- string(found[1])
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch runs the program; end does what a signal does.
func launch(t *testing.T, args ...string) (url string, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &output{listen: make(chan string, 1)}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), out) }()
	end = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("the program ended with %v", err)
		}
	})
	select {
	case url = <-out.listen:
	case <-time.After(20 * time.Second):
		t.Fatalf("the program does not listen:\n%s", out)
	}
	return url, end
}

func TestASignalEndsItCleanly(t *testing.T) {
	url, end := launch(t, "--instance", "one", "--history", "5")
	c := chattest.Dial(t, url+"/chat")
	c.Join(t, "lobby", "ada", 0)
	c.Post(t, "lobby", "hello")
	if err := end(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if how := c.End(t); how.Code != 3000 && how.Code != 1006 {
		t.Errorf("the session ended with %+v", how)
	}
}

func TestWhatCannotWorkIsSaid(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args string
		says string
	}{
		{"--listen " + taken.Addr().String(), taken.Addr().String()},
		{"--listen 127.0.0.1:0 --history 0x", "history"},
		{"--listen 127.0.0.1:0 --history 2000", "history"},
		{"--listen 127.0.0.1:0 --prefix chat", "prefix"},
		{"--listen 127.0.0.1:0 --client-origin x", "client origin"},
		{"--listen 127.0.0.1:0 --nats nats://127.0.0.1:1", "connect"},
		{"--listen 127.0.0.1:0 extra", "extra"},
	} {
		out := &output{listen: make(chan string, 1)}
		err := run(t.Context(), strings.Fields(c.args), out)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
	out := &output{listen: make(chan string, 1)}
	if err := run(t.Context(), []string{"-h"}, out); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "-nats") {
		t.Errorf("help: %v\n%s", err, out)
	}
}
