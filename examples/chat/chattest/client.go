// Package chattest is a chat client for tests: the chat's JSON over SockJS's
// XHR polling, which every server and balancer can carry.
package chattest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second // for anything that must happen; a slow machine takes its time

// Frame is any message of the server. ID is a number in a message and a
// string in the others.
type Frame struct {
	Type, Room, Name, Was, What, From, Text, Ref, Code, Instance string

	ID     json.RawMessage
	Time   int64
	Replay int
	Gap    bool
	Retry  int64
	People []Person
	Rooms  []Room
}

// Person is one entry of a joined frame.
type Person struct{ ID, Name string }

// Room is one entry of a rooms frame.
type Room struct {
	Room   string
	People int
}

// Number is the id of a message.
func (f Frame) Number(t testing.TB) uint64 {
	t.Helper()
	var id uint64
	if err := json.Unmarshal(f.ID, &id); err != nil {
		t.Fatalf("message id %s: %v", f.ID, err)
	}
	return id
}

// Closed is how a session ended.
type Closed struct {
	Code   int
	Reason string
}

// Client is one session.
type Client struct {
	url    string // of the session
	http   *http.Client
	frames chan Frame
	closed chan Closed
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// Dial opens a session at a chat's address, such as http://127.0.0.1:8080/chat,
// and waits for its hello. It ends with the test, or by Drop.
func Dial(t testing.TB, address string) *Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c := &Client{
		url:    address + "/000/" + rand.Text(),
		http:   &http.Client{Transport: &http.Transport{}},
		frames: make(chan Frame, 4096),
		closed: make(chan Closed, 1),
		ctx:    ctx, cancel: cancel,
	}
	c.wait.Go(c.poll)
	t.Cleanup(c.Drop)
	c.Next(t, "hello")
	return c
}

// Drop ends the session without a word, as a lost network does.
func (c *Client) Drop() {
	c.cancel()
	c.wait.Wait()
	c.http.CloseIdleConnections()
}

func (c *Client) poll() {
	for {
		body, err := c.request("/xhr", nil)
		if err != nil {
			c.end(Closed{Code: 1006, Reason: err.Error()})
			return
		}
		if !c.take(strings.TrimSuffix(body, "\n")) {
			return
		}
	}
}

func (c *Client) end(how Closed) {
	select {
	case c.closed <- how:
	default:
	}
}

// take reads one SockJS frame; false when it is the last.
func (c *Client) take(frame string) bool {
	switch {
	case frame == "o" || frame == "h":
		return true
	case strings.HasPrefix(frame, "c["):
		var how [2]any
		if err := json.Unmarshal([]byte(frame[1:]), &how); err != nil {
			c.end(Closed{Code: 1006, Reason: frame})
			return false
		}
		code, _ := how[0].(float64)
		reason, _ := how[1].(string)
		c.end(Closed{Code: int(code), Reason: reason})
		return false
	case strings.HasPrefix(frame, "a["):
		var texts []string
		if err := json.Unmarshal([]byte(frame[1:]), &texts); err != nil {
			c.end(Closed{Code: 1006, Reason: err.Error()})
			return false
		}
		for _, text := range texts {
			var f Frame
			if err := json.Unmarshal([]byte(text), &f); err != nil {
				c.end(Closed{Code: 1006, Reason: fmt.Sprintf("%q: %v", text, err)})
				return false
			}
			select {
			case c.frames <- f:
			case <-c.ctx.Done():
				return false
			}
		}
		return true
	}
	c.end(Closed{Code: 1006, Reason: "frame " + frame})
	return false
}

func (c *Client) request(path string, body []byte) (string, error) {
	r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "text/plain")
	answer, err := c.http.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return string(text), err
}

// Send sends a message; v is encoded, a string is sent as it is.
func (c *Client) Send(t testing.TB, v any) {
	t.Helper()
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	body, err := json.Marshal([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.request("/xhr_send", body); err != nil {
		t.Fatalf("send %s: %v", text, err)
	}
}

// Any returns the next frame, whatever it is.
func (c *Client) Any(t testing.TB) Frame {
	t.Helper()
	select {
	case f := <-c.frames:
		return f
	case <-time.After(patience):
		t.Fatalf("the server said nothing")
	}
	select {
	case how := <-c.closed:
		t.Fatalf("the session ended: %+v", how)
	default:
	}
	return Frame{}
}

// Next returns the next frame of a type and drops those before it.
func (c *Client) Next(t testing.TB, kind string) Frame {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case f := <-c.frames:
			if f.Type == kind {
				return f
			}
			if f.Type == "error" {
				t.Fatalf("waiting for %s: error %s: %s", kind, f.Code, f.Text)
			}
		case <-late:
			select {
			case how := <-c.closed:
				t.Fatalf("waiting for %s: the session ended: %+v", kind, how)
			default:
				t.Fatalf("waiting for %s: nothing came", kind)
			}
		}
	}
}

// End returns how the session ended.
func (c *Client) End(t testing.TB) Closed {
	t.Helper()
	select {
	case how := <-c.closed:
		return how
	case <-time.After(patience):
		t.Fatal("the session goes on")
		return Closed{}
	}
}

// Key is a valid key for whoever is called that.
func Key(name string) string {
	return (name + strings.Repeat("-", 16))[:16]
}

// Join joins a room with the name's own key and returns the answer and the
// messages that came with it.
func (c *Client) Join(t testing.TB, room, name string, after uint64) (Frame, []Frame) {
	t.Helper()
	c.Send(t, map[string]any{"type": "join", "room": room, "name": name, "key": Key(name), "after": after})
	joined := c.Next(t, "joined")
	missed := make([]Frame, 0, joined.Replay)
	for range joined.Replay {
		missed = append(missed, c.Next(t, "message"))
	}
	return joined, missed
}

// Post sends a message and returns it as the room shows it.
func (c *Client) Post(t testing.TB, room, text string) Frame {
	t.Helper()
	ref := rand.Text()
	c.Send(t, map[string]any{"type": "post", "room": room, "text": text, "ref": ref})
	for {
		if f := c.Next(t, "message"); f.Ref == ref {
			return f
		}
	}
}
