package chattest

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
)

// Converge lets several people chat at several servers at once, each moving
// to the next server in the middle, and checks that all saw all messages of
// all, in one order, each once, and each person's in the order they sent them.
// The servers must keep as many messages as are sent.
func Converge(t *testing.T, people, posts int, addresses ...string) {
	t.Helper()
	seen := make([][]Frame, people)
	var start, done sync.WaitGroup
	start.Add(people)
	for i := range people {
		done.Go(func() {
			p := &chatter{t: t, name: fmt.Sprint("p", i), room: "converge", total: people * posts}
			c := Dial(t, addresses[i%len(addresses)])
			p.join(c)
			start.Done()
			start.Wait()
			c = p.say(c, posts/2, 0)
			c.Drop()
			c = Dial(t, addresses[(i+1)%len(addresses)])
			p.join(c)
			c = p.say(c, posts-posts/2, posts/2)
			for len(p.seen) < p.total {
				p.note(c.Next(t, "message"))
			}
			seen[i] = p.seen
		})
	}
	done.Wait()
	if t.Failed() {
		return
	}
	compare(t, seen, posts)
}

// chatter is one person: what they know survives their session.
type chatter struct {
	t     *testing.T
	name  string
	room  string
	total int
	seen  []Frame
	last  uint64
}

func (p *chatter) join(c *Client) {
	_, missed := c.Join(p.t, p.room, p.name, p.last)
	for _, m := range missed {
		p.note(m)
	}
}

// note takes a message. It checks nothing but the order: Converge compares.
func (p *chatter) note(m Frame) {
	id := m.Number(p.t)
	if id <= p.last {
		p.t.Errorf("%s got message %d after %d", p.name, id, p.last)
	}
	p.last = id
	p.seen = append(p.seen, m)
}

// say posts one message after another, each sent twice, as a client does that
// does not know whether the first arrived.
func (p *chatter) say(c *Client, n, from int) *Client {
	for i := range n {
		post := map[string]any{"type": "post", "room": p.room, "text": fmt.Sprint(from + i), "ref": rand.Text()}
		c.Send(p.t, post)
		c.Send(p.t, post)
		for {
			m := c.Next(p.t, "message")
			p.note(m)
			if m.Ref == post["ref"] {
				break
			}
		}
	}
	return c
}

func compare(t *testing.T, seen [][]Frame, posts int) {
	t.Helper()
	for i := range seen {
		if len(seen[i]) != len(seen)*posts {
			t.Fatalf("p%d saw %d messages, want %d", i, len(seen[i]), len(seen)*posts)
		}
		next := map[string]int{}
		for j, m := range seen[i] {
			if string(m.ID) != string(seen[0][j].ID) || m.Text != seen[0][j].Text || m.Name != seen[0][j].Name {
				t.Fatalf("p%d saw %s %q at %d, p0 saw %s %q", i, m.ID, m.Text, j, seen[0][j].ID, seen[0][j].Text)
			}
			if m.Text != fmt.Sprint(next[m.Name]) {
				t.Fatalf("p%d saw %s say %s, want %d", i, m.Name, m.Text, next[m.Name])
			}
			next[m.Name]++
		}
	}
}
