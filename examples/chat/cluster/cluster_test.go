package cluster_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/albion-lb/albion/examples/chat/chattest"
	"github.com/albion-lb/albion/examples/chat/cluster"
	"github.com/albion-lb/albion/examples/chat/room"
)

// shared runs a server with JetStream on a loopback port; port -1 is any.
func shared(t *testing.T, dir string, port int, jetstream bool) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: jetstream, StoreDir: dir,
		NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the shared server does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func dial(t *testing.T, url string, history int) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Dial(t.Context(), cluster.Config{URL: url, History: history})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// chat runs a chat server that shares what it knows.
func chat(t *testing.T, url string, c room.Config) *chattest.Server {
	t.Helper()
	link := dial(t, url, c.History)
	c.Log, c.Table = link.Log(), link.Table()
	return chattest.Serve(t, c)
}

func leaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func TestTwoServersShowOneConversation(t *testing.T) {
	leaks(t)
	url := shared(t, t.TempDir(), -1, true).ClientURL()
	c := room.Config{History: 1000, PostRate: 1000}
	chattest.Converge(t, 4, 16, chat(t, url, c).Address, chat(t, url, c).Address)
}

func TestPresenceNamesAndHistoryAreShared(t *testing.T) {
	leaks(t)
	url := shared(t, t.TempDir(), -1, true).ClientURL()
	one := chat(t, url, room.Config{Instance: "one"})
	two := chat(t, url, room.Config{Instance: "two"})
	ada, bo := chattest.Dial(t, one.Address), chattest.Dial(t, two.Address)
	ada.Join(t, "lobby", "ada", 0)
	last := ada.Post(t, "lobby", "one").Number(t)
	bo.Send(t, map[string]any{"type": "join", "room": "lobby", "name": "Ada", "key": chattest.Key("bo")})
	for {
		if f := bo.Any(t); f.Type == "error" {
			if f.Code != "name-taken" {
				t.Errorf("a name taken at the other server: %s", f.Code)
			}
			break
		}
	}
	joined, missed := bo.Join(t, "lobby", "bo", 0)
	if len(joined.People) != 2 || len(missed) != 1 || missed[0].Text != "one" {
		t.Errorf("bo sees %+v and %+v", joined.People, missed)
	}
	if f := ada.Next(t, "presence"); f.What != "join" || f.Name != "bo" {
		t.Errorf("ada was told %+v", f)
	}
	bo.Send(t, map[string]any{"type": "rename", "room": "lobby", "name": "kim"})
	if f := ada.Next(t, "presence"); f.What != "rename" || f.Name != "kim" || f.Was != "bo" {
		t.Errorf("ada was told %+v", f)
	}
	one.Stop()
	bo.Post(t, "lobby", "two")
	three := chat(t, url, room.Config{Instance: "three"}) // knows all from the shared server
	ada = chattest.Dial(t, three.Address)
	joined, missed = ada.Join(t, "lobby", "ada", last)
	if len(joined.People) != 2 || len(missed) != 1 || missed[0].Text != "two" {
		t.Errorf("ada sees %+v and %+v", joined.People, missed)
	}
	bo.Send(t, map[string]any{"type": "leave", "room": "lobby"})
	if f := ada.Next(t, "presence"); f.What != "leave" || f.Name != "kim" {
		t.Errorf("ada was told %+v", f)
	}
}

// A post while the shared server is away is refused, and can be repeated;
// afterwards all goes on where it was.
func TestTheSharedServerComesBack(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	first := shared(t, dir, -1, true)
	url := first.ClientURL()
	one, two := chat(t, url, room.Config{PostRate: 1000}), chat(t, url, room.Config{PostRate: 1000})
	ada, bo := chattest.Dial(t, one.Address), chattest.Dial(t, two.Address)
	ada.Join(t, "lobby", "ada", 0)
	bo.Join(t, "lobby", "bo", 0)
	before := ada.Post(t, "lobby", "before").Number(t)
	first.Shutdown()
	first.WaitForShutdown()
	post := map[string]any{"type": "post", "room": "lobby", "text": "after", "ref": "r1"}
	refused := 0
	restarted := false
	for {
		ada.Send(t, post)
		var f chattest.Frame
		for f = ada.Any(t); f.Ref != "r1"; f = ada.Any(t) {
		}
		if f.Type == "message" {
			if f.Number(t) <= before {
				t.Errorf("message %s after %d", f.ID, before)
			}
			break
		}
		if f.Code != "unavailable" || f.Retry == 0 {
			t.Fatalf("refused with %+v", f)
		}
		if refused++; !restarted {
			shared(t, dir, port(t, url), true)
			restarted = true
		}
		<-time.After(time.Duration(f.Retry) * time.Millisecond) // as told
	}
	if refused == 0 {
		t.Error("nothing was refused while the server was away")
	}
	got := []string{}
	for len(got) == 0 || got[len(got)-1] != "after" {
		got = append(got, bo.Next(t, "message").Text)
	}
	if !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("bo saw %q", got)
	}
}

// A row that went while a server was cut off, and of which no trace is left,
// is told to be gone when it has come back.
func TestWhatWentUnseenIsToldLater(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	first := shared(t, dir, -1, true)
	url := first.ClientURL()
	table := dial(t, url, 3).Table()
	for _, key := range []string{"stays", "goes"} {
		if _, err := table.Put(t.Context(), room.Row{Key: key, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, seen, ended := make(chan struct{}), make(chan room.Row, 100), make(chan error, 1)
	go func() { ended <- table.Follow(ctx, func(r room.Row) { seen <- r }, func() { close(ready) }) }()
	<-ready
	first.Shutdown()
	first.WaitForShutdown()
	wipe(t, dir, "goes")
	shared(t, dir, port(t, url), true)
	got := []string{}
	for len(got) == 0 || !strings.Contains(got[len(got)-1], "goes -") {
		select {
		case r := <-seen:
			got = append(got, fmt.Sprintf("%s %s-", r.Key, r.Data))
		case <-time.After(30 * time.Second):
			t.Fatalf("told only %q", got)
		}
	}
	if want := []string{"stays x-", "goes x-", "stays x-", "goes -"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// wipe removes all traces of a row from a store that no server uses.
func wipe(t *testing.T, dir, key string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the shared server does not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_albion_chat_names")
	if err != nil {
		t.Fatal(err)
	}
	subject := "$KV.albion_chat_names." + base64.RawURLEncoding.EncodeToString([]byte(key))
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(subject)); err != nil {
		t.Fatal(err)
	}
}

func port(t *testing.T, url string) int {
	t.Helper()
	n, err := strconv.Atoi(url[strings.LastIndex(url, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// follow collects what a log retains.
func follow(t *testing.T, l room.Log) []room.Entry {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []room.Entry
	if err := l.Follow(ctx, func(e room.Entry) { got = append(got, e) }, cancel); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLogKeepsWhatItPromises(t *testing.T) {
	leaks(t)
	url := shared(t, t.TempDir(), -1, true).ClientURL()
	l := dial(t, url, 3).Log()
	if got := follow(t, l); len(got) != 0 {
		t.Errorf("a new log has %v", got)
	}
	for i := range 5 {
		for range 2 { // the second is a repetition
			if err := l.Append(t.Context(), "대화 / any.text*", fmt.Sprint("once", i), []byte{byte('0' + i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Append(t.Context(), "b", "", []byte("b")); err != nil {
		t.Fatal(err)
	}
	text, id := "", uint64(0)
	for _, e := range follow(t, l) {
		if e.ID <= id || e.ID >= 1<<53 || time.Since(e.Time).Abs() > time.Minute {
			t.Errorf("entry %d at %v after %d", e.ID, e.Time, id)
		}
		id = e.ID
		if e.Topic != "b" && e.Topic != "대화 / any.text*" {
			t.Errorf("topic %q", e.Topic)
		}
		text += string(e.Data)
	}
	if text != "234b" {
		t.Errorf("kept %q", text)
	}
	dial(t, url, 2) // asks for less: what is kept for others stays
	if got := follow(t, dial(t, url, 5).Log()); len(got) != 4 {
		t.Errorf("kept %d entries", len(got))
	}
}

func TestTableKeepsWhatItPromises(t *testing.T) {
	leaks(t)
	tables := map[string]room.Table{
		"shared": dial(t, shared(t, t.TempDir(), -1, true).ClientURL(), 3).Table(),
		"memory": room.NewMemoryTable(),
	}
	for name, table := range tables {
		t.Run(name, func(t *testing.T) { promises(t, table) })
	}
}

func promises(t *testing.T, table room.Table) {
	const key = "person/lobby/o'neill ünicode"
	put := func(rev uint64, data string, want error) room.Row {
		t.Helper()
		r := room.Row{Key: key, Rev: rev}
		if data != "" {
			r.Data = []byte(data)
		}
		got, err := table.Put(t.Context(), r)
		if !errors.Is(err, want) || err != nil && want == nil || got.Key != key {
			t.Fatalf("put %d %q: %+v, %v, want %v", rev, data, got, err, want)
		}
		return got
	}
	first := put(0, "a", nil)
	if stands := put(0, "b", room.ErrConflict); stands.Rev != first.Rev || string(stands.Data) != "a" {
		t.Errorf("stands %+v", stands)
	}
	second := put(first.Rev, "b", nil)
	put(first.Rev, "c", room.ErrConflict)
	put(first.Rev, "", room.ErrConflict)
	put(second.Rev, "", nil)
	if stands := put(second.Rev, "d", room.ErrConflict); stands.Rev != 0 || stands.Data != nil {
		t.Errorf("a deleted row stands as %+v", stands)
	}
	third := put(0, "e", nil)
	if third.Rev <= second.Rev {
		t.Errorf("revision %d after %d", third.Rev, second.Rev)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []room.Row
	if err := table.Follow(ctx, func(r room.Row) { got = append(got, r) }, cancel); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Key != key || string(got[0].Data) != "e" || got[0].Rev != third.Rev {
		t.Errorf("rows %+v", got)
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	leaks(t)
	plain := shared(t, t.TempDir(), -1, false).ClientURL()
	for _, c := range []struct {
		config cluster.Config
		says   string
	}{
		{cluster.Config{URL: plain}, "JetStream"},
		{cluster.Config{URL: plain, Name: "a.b"}, "a.b"},
		{cluster.Config{URL: "nats://127.0.0.1:1"}, "connect"},
		{cluster.Config{URL: "nats://me:hush%zz@127.0.0.1:1"}, "cannot be read"},
		{cluster.Config{URL: ""}, "cannot be read"},
	} {
		l, err := cluster.Dial(t.Context(), c.config)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.config, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("a password is told: %v", err)
		}
	}
}
