package room_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/examples/chat/chattest"
	"github.com/albion-lb/albion/examples/chat/room"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type msg map[string]any

func names(f chattest.Frame) []string {
	out := []string{}
	for _, p := range f.People {
		out = append(out, p.Name)
	}
	return out
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// refused sends what must be refused and returns the error's code.
func refused(t *testing.T, c *chattest.Client, v any) string {
	t.Helper()
	c.Send(t, v)
	for {
		if f := c.Any(t); f.Type == "error" {
			return f.Code
		}
	}
}

func TestPeopleTalk(t *testing.T) {
	s := chattest.Serve(t, room.Config{Instance: "one"})
	ada, bo := chattest.Dial(t, s.Address), chattest.Dial(t, s.Address)
	ada.Join(t, "lobby", "ada", 0)
	ada.Post(t, "lobby", "anybody here?")
	joined, missed := bo.Join(t, "Lobby", "bo", 0)
	if got := names(joined); !slices.Equal(got, []string{"ada", "bo"}) {
		t.Errorf("bo sees %v", got)
	}
	if len(missed) != 1 || missed[0].Text != "anybody here?" || missed[0].Name != "ada" {
		t.Errorf("bo was replayed %+v", missed)
	}
	if f := ada.Next(t, "presence"); f.What != "join" || f.Name != "bo" {
		t.Errorf("ada was told %+v", f)
	}
	sent := bo.Post(t, "lobby", "<b>me</b> & you\n“too”")
	got := ada.Next(t, "message")
	if got.Text != sent.Text || got.Text != "<b>me</b> & you\n“too”" || string(got.ID) != string(sent.ID) || got.From != missedFrom(joined, "bo") {
		t.Errorf("bo sent %+v, ada got %+v", sent, got)
	}
	if age := time.Since(time.UnixMilli(got.Time)); age < -time.Minute || age > time.Minute {
		t.Errorf("the message is %v old", age)
	}
	bo.Send(t, msg{"type": "leave", "room": "lobby"})
	bo.Next(t, "left")
	if f := ada.Next(t, "presence"); f.What != "leave" || f.Name != "bo" {
		t.Errorf("ada was told %+v", f)
	}
	if code := refused(t, bo, msg{"type": "post", "room": "lobby", "text": "still here"}); code != "not-joined" {
		t.Errorf("a post from outside: %s", code)
	}
}

func missedFrom(f chattest.Frame, name string) string {
	for _, p := range f.People {
		if p.Name == name {
			return p.ID
		}
	}
	return ""
}

func TestNamesAreUniqueAndCanBeChanged(t *testing.T) {
	s := chattest.Serve(t, room.Config{})
	ada, bo := chattest.Dial(t, s.Address), chattest.Dial(t, s.Address)
	ada.Join(t, "lobby", "ada", 0)
	join := msg{"type": "join", "room": "lobby", "name": "ADA", "key": chattest.Key("bo")}
	if code := refused(t, bo, join); code != "name-taken" {
		t.Errorf("a taken name: %s", code)
	}
	bo.Join(t, "lobby", "bo", 0)
	ada.Next(t, "presence")
	if code := refused(t, bo, msg{"type": "rename", "room": "lobby", "name": "ada"}); code != "name-taken" {
		t.Errorf("a rename to a taken name: %s", code)
	}
	for _, name := range []string{"Bo", "kim", "bo"} {
		bo.Send(t, msg{"type": "rename", "room": "lobby", "name": name})
		for _, c := range []*chattest.Client{ada, bo} {
			if f := c.Next(t, "presence"); f.What != "rename" || f.Name != name {
				t.Errorf("told of %s: %+v", name, f)
			}
		}
	}
	kim := chattest.Dial(t, s.Address)
	joined, _ := kim.Join(t, "lobby", "kim", 0) // free again
	if got := names(joined); !slices.Equal(got, []string{"ada", "bo", "kim"}) {
		t.Errorf("kim sees %v", got)
	}
}

func TestWhoComesBackGetsWhatWasMissed(t *testing.T) {
	s := chattest.Serve(t, room.Config{})
	ada, bo := chattest.Dial(t, s.Address), chattest.Dial(t, s.Address)
	ada.Join(t, "lobby", "ada", 0)
	bo.Join(t, "lobby", "bo", 0)
	ada.Next(t, "presence")
	ada.Post(t, "lobby", "one")
	last := bo.Next(t, "message").Number(t)
	bo.Drop()
	ada.Post(t, "lobby", "two")
	ada.Post(t, "lobby", "three")
	again := chattest.Dial(t, s.Address)
	joined, missed := again.Join(t, "lobby", "bo", last)
	if joined.Gap || len(missed) != 2 || missed[0].Text != "two" || missed[1].Text != "three" {
		t.Errorf("missed %+v, gap %v", missed, joined.Gap)
	}
	again.Post(t, "lobby", "four")
	for {
		f := ada.Any(t)
		if f.Type == "presence" {
			t.Errorf("ada was told of a return within the time allowed: %+v", f)
		}
		if f.Text == "four" {
			break
		}
	}
}

func TestAGapIsTold(t *testing.T) {
	s := chattest.Serve(t, room.Config{History: 3, PostRate: 1000})
	ada := chattest.Dial(t, s.Address)
	ada.Join(t, "lobby", "ada", 0)
	first := ada.Post(t, "lobby", "0").Number(t)
	for i := 1; i < 6; i++ {
		ada.Post(t, "lobby", fmt.Sprint(i))
	}
	bo := chattest.Dial(t, s.Address)
	joined, missed := bo.Join(t, "lobby", "bo", first)
	if !joined.Gap || len(missed) != 3 || missed[0].Text != "3" {
		t.Errorf("gap %v, missed %+v", joined.Gap, missed)
	}
}

func TestTheGoneLeaveAfterAWhile(t *testing.T) {
	s := chattest.Serve(t, room.Config{Linger: time.Millisecond})
	ada, bo := chattest.Dial(t, s.Address), chattest.Dial(t, s.Address)
	ada.Join(t, "lobby", "ada", 0)
	bo.Join(t, "lobby", "bo", 0)
	ada.Next(t, "presence")
	bo.Drop()
	if f := ada.Next(t, "presence"); f.What != "leave" || f.Name != "bo" {
		t.Errorf("ada was told %+v", f)
	}
	kim := chattest.Dial(t, s.Address)
	kim.Send(t, msg{"type": "join", "room": "lobby", "name": "bo", "key": chattest.Key("kim")})
	kim.Next(t, "joined")
}

func TestTheSameKeyElsewhereTakesOver(t *testing.T) {
	s := chattest.Serve(t, room.Config{})
	first, second := chattest.Dial(t, s.Address), chattest.Dial(t, s.Address)
	first.Join(t, "lobby", "ada", 0)
	second.Join(t, "lobby", "ada", 0)
	if how := first.End(t); how.Code != 4001 {
		t.Errorf("the first session ended with %+v", how)
	}
	second.Post(t, "lobby", "here now")
}

func TestFloodsAreHeldBack(t *testing.T) {
	s := chattest.Serve(t, room.Config{PostRate: 1})
	ada := chattest.Dial(t, s.Address)
	ada.Join(t, "lobby", "ada", 0)
	for i := range 4 {
		ada.Post(t, "lobby", fmt.Sprint(i))
	}
	ada.Send(t, msg{"type": "post", "room": "lobby", "text": "five", "ref": "r5"})
	f := ada.Any(t)
	if f.Code != "slow-down" || f.Ref != "r5" || f.Retry < 1 || f.Retry > 2000 {
		t.Errorf("the fifth at once: %+v", f)
	}
	body := strings.Repeat(`"{}",`, 300) + `"{}"`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Address+"/000/flood/xhr", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	answer, err = c.Post(s.Address+"/000/flood/xhr_send", "text/plain", strings.NewReader("["+body+"]"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	var heard strings.Builder
	for !strings.Contains(heard.String(), "c[4008") {
		answer, err := c.Post(s.Address+"/000/flood/xhr", "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&heard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v after %q", answer.Status, err, heard.String())
		}
		answer.Body.Close()
	}
}

func TestBadInputIsRefusedAndHarmless(t *testing.T) {
	s := chattest.Serve(t, room.Config{MaxJoined: 2, MaxRooms: 2, MaxPeople: 1})
	ada, bo := chattest.Dial(t, s.Address), chattest.Dial(t, s.Address)
	ada.Join(t, "a", "ada", 0)
	ada.Join(t, "b", "ada", 0)
	key := chattest.Key("ada")
	for _, c := range []struct {
		by   *chattest.Client
		send any
		code string
	}{
		{ada, "junk", "bad-message"}, {ada, msg{"type": "nonsense"}, "bad-type"},
		{ada, msg{"type": "join", "room": "c", "name": "ada", "key": key}, "too-many-rooms"},
		{ada, msg{"type": "join", "room": "a", "name": "ada", "key": key}, "joined-already"},
		{ada, msg{"type": "join", "room": "a", "name": "ada", "key": chattest.Key("other")}, "bad-key"},
		{ada, msg{"type": "post", "room": "a", "text": ""}, "bad-text"},
		{ada, msg{"type": "post", "room": "c", "text": "x"}, "not-joined"},
		{ada, msg{"type": "rename", "room": "c", "name": "x"}, "not-joined"},
		{ada, msg{"type": "leave", "room": "c"}, "not-joined"},
		{bo, msg{"type": "join", "room": "a", "name": "bo", "key": chattest.Key("bo")}, "full"},
		{bo, msg{"type": "join", "room": "c", "name": "bo", "key": chattest.Key("bo")}, "full"},
	} {
		if code := refused(t, c.by, c.send); code != c.code {
			t.Errorf("%v: %s, want %s", c.send, code, c.code)
		}
	}
	ada.Send(t, msg{"type": "ping"})
	ada.Next(t, "pong")
	ada.Send(t, msg{"type": "rooms"})
	if f := ada.Next(t, "rooms"); len(f.Rooms) != 2 || f.Rooms[0].People != 1 {
		t.Errorf("rooms %+v", f.Rooms)
	}
}

func TestTooManySessions(t *testing.T) {
	s := chattest.Serve(t, room.Config{MaxSessions: 1})
	chattest.Dial(t, s.Address)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, want := range []string{"o\n", `c[4013,"This server is full."]` + "\n"} {
		answer, err := c.Post(s.Address+"/000/second/xhr", "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(body) != want {
			t.Fatalf("%q, %v, want %q", body, err, want)
		}
	}
}

func TestShutdownSendsClientsElsewhere(t *testing.T) {
	log, table := room.NewMemoryLog(time.Now), room.NewMemoryTable()
	one := chattest.Serve(t, room.Config{Log: log, Table: table, Instance: "one"})
	two := chattest.Serve(t, room.Config{Log: log, Table: table, Instance: "two"})
	ada, bo := chattest.Dial(t, one.Address), chattest.Dial(t, two.Address)
	ada.Join(t, "lobby", "ada", 0)
	bo.Join(t, "lobby", "bo", 0)
	last := bo.Post(t, "lobby", "before").Number(t)
	for ada.Next(t, "message").Number(t) != last { // until ada has it too
	}
	one.Stop()
	if how := ada.End(t); how.Code != 3000 && how.Code != 1006 {
		t.Errorf("ada's session ended with %+v", how)
	}
	bo.Post(t, "lobby", "meanwhile")
	ada = chattest.Dial(t, two.Address)
	joined, missed := ada.Join(t, "lobby", "ada", last)
	if len(missed) != 1 || missed[0].Text != "meanwhile" || joined.Gap {
		t.Errorf("missed %+v, gap %v", missed, joined.Gap)
	}
	ada.Post(t, "lobby", "back")
	for {
		f := bo.Any(t)
		if f.Type == "presence" && f.What != "join" {
			t.Errorf("bo was told of the move: %+v", f)
		}
		if f.Text == "back" {
			break
		}
	}
}

func TestTwoServersShowOneConversation(t *testing.T) {
	log, table := room.NewMemoryLog(time.Now), room.NewMemoryTable()
	c := room.Config{Log: log, Table: table, History: 1000, PostRate: 1000}
	chattest.Converge(t, 4, 16, chattest.Serve(t, c).Address, chattest.Serve(t, c).Address)
}

func TestHealth(t *testing.T) {
	s := chattest.Serve(t, room.Config{Instance: "chat-7"})
	chattest.Dial(t, s.Address) // by its hello the server has started
	answer, body := get(t, s.URL+"/healthz")
	var h struct {
		Status, Instance string
		Sessions         int
	}
	if err := json.Unmarshal([]byte(body), &h); err != nil || answer.StatusCode != 200 || h.Status != "ok" || h.Instance != "chat-7" || h.Sessions != 1 {
		t.Errorf("%s %s %v", answer.Status, body, err)
	}
	if answer, body := get(t, s.URL+"/chat"); answer.StatusCode != 200 || body != "Welcome to SockJS!\n" {
		t.Errorf("greeting: %s %q", answer.Status, body)
	}
	if answer, _ := get(t, s.URL+"/nowhere"); answer.StatusCode != 404 {
		t.Errorf("elsewhere: %s", answer.Status)
	}
}

func TestHealthBeforeTheStart(t *testing.T) {
	chat, err := room.New(room.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &recorder{head: http.Header{}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	chat.Handler().ServeHTTP(w, r)
	if w.code != 503 || !strings.Contains(w.body.String(), `"starting"`) {
		t.Errorf("%d %s", w.code, w.body.String())
	}
}

type recorder struct {
	head http.Header
	code int
	body strings.Builder
}

func (r *recorder) Header() http.Header         { return r.head }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func TestAnotherPrefix(t *testing.T) {
	s := chattest.Serve(t, room.Config{Prefix: "/talk/live"})
	chattest.Dial(t, s.Address).Join(t, "lobby", "ada", 0)
	if _, body := get(t, s.URL+"/"); !strings.Contains(body, `data-prefix="/talk/live"`) {
		t.Error("the page does not know the prefix")
	}
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	for _, c := range []room.Config{
		{Prefix: "chat"}, {Prefix: "/chat/"}, {Prefix: "/"}, {Prefix: "/a?b"}, {History: -1}, {History: 1001},
		{MaxRooms: -1}, {PostRate: -1}, {ClientOrigin: "https://x/y"},
	} {
		if _, err := room.New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// broken is a Log or a Table whose server is gone for good.
type broken struct{ room.Log }

var errBroken = errors.New("gone for good")

func (broken) Follow(context.Context, func(room.Entry), func()) error { return errBroken }

func TestALogThatFailsEndsTheRun(t *testing.T) {
	chat, err := room.New(room.Config{Log: broken{room.NewMemoryLog(time.Now)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := chat.Run(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("Run: %v", err)
	}
}
