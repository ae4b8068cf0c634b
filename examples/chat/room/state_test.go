package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func row(t testing.TB, key string, rev uint64, h holder) Row {
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return Row{Key: key, Rev: rev, Data: data}
}

func entry(t testing.TB, id uint64, room, text string) Entry {
	data, err := json.Marshal(post{From: "f", Name: "ada", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return Entry{ID: id, Time: time.UnixMilli(int64(id)), Topic: room, Data: data}
}

// told is what a room has been told about its people: the page's view.
func told(people map[string]string, ch change) {
	switch ch.what {
	case "join", "rename":
		people[ch.now.ID] = ch.now.Name
	case "leave":
		delete(people, ch.was.ID)
	}
}

// A room that was told every change knows who is there; names stay unique;
// a server that saw only the last state of each row agrees with one that saw
// every change.
func TestPresenceIsWhatTheRowsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(1)
		s := newState(5, 10, 1<<20)
		table := map[string]Row{}
		people := map[string]string{}
		for rev := uint64(1); rev <= uint64(rapid.IntRange(1, 40).Draw(t, "steps")); rev++ {
			name := rapid.SampledFrom([]string{"ada", "Ada", "bo", "kim"}).Draw(t, "name")
			key := personKey("lobby", name)
			r := Row{Key: key, Rev: rev}
			if !rapid.Bool().Draw(t, "delete") {
				id := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id")
				data, _ := json.Marshal(holder{ID: id, Name: name, Instance: "i", Session: fmt.Sprint(rev % 3)})
				r.Data = data
				table[key] = r
			} else {
				if _, ok := table[key]; !ok {
					continue
				}
				delete(table, key)
			}
			for _, ch := range s.applyRow(now, r) {
				told(people, ch)
			}
			listed := map[string]string{}
			for _, p := range s.people("lobby") {
				listed[p.ID] = p.Name
			}
			if !maps.Equal(people, listed) {
				t.Fatalf("told %v, there are %v", people, listed)
			}
			if len(s.rows) != len(table) {
				t.Fatalf("%d rows, want %d", len(s.rows), len(table))
			}
		}
		names := map[string]bool{}
		for _, p := range s.people("lobby") {
			if names[fold(p.Name)] {
				t.Fatalf("two are called %s", p.Name)
			}
			names[fold(p.Name)] = true
		}
		late := newState(5, 10, 1<<20)
		rows := slices.SortedFunc(maps.Values(table), func(a, b Row) int { return int(a.Rev) - int(b.Rev) })
		for _, r := range rows {
			late.applyRow(now, r)
		}
		// Somebody with two rows, in the middle of a rename, has the newer one in both.
		for _, p := range late.people("lobby") {
			if people[p.ID] != "" && s.rows[s.rooms["lobby"].people[p.ID]].rev == late.rows[late.rooms["lobby"].people[p.ID]].rev && people[p.ID] != p.Name {
				t.Fatalf("late says %s, early %s", p.Name, people[p.ID])
			}
		}
	})
}

// Whoever has all messages up to some id and asks for the rest has all of
// them, or is told that there is a gap.
func TestReplayIsCompleteOrSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := rapid.IntRange(1, 20).Draw(t, "history")
		s := newState(history, 10, rapid.IntRange(0, 4000).Draw(t, "budget"))
		var all []uint64
		id := uint64(0)
		for range rapid.IntRange(0, 60).Draw(t, "messages") {
			id += uint64(rapid.IntRange(1, 3).Draw(t, "step"))
			data, _ := json.Marshal(post{From: "f", Name: "ada", Text: "hi"})
			e := Entry{ID: id, Time: time.UnixMilli(1), Topic: "lobby", Data: data}
			if _, ok := s.applyEntry(e); !ok {
				t.Fatal("refused")
			}
			if _, ok := s.applyEntry(e); ok {
				t.Fatal("taken twice")
			}
			all = append(all, id)
		}
		after := uint64(rapid.IntRange(0, int(id)+2).Draw(t, "after"))
		missed, gap := s.replay("lobby", after)
		got := []uint64{}
		for _, m := range missed {
			got = append(got, m.id)
		}
		want := []uint64{}
		for _, id := range all {
			if id > after {
				want = append(want, id)
			}
		}
		if len(got) > history {
			t.Fatalf("%d messages kept, want at most %d", len(got), history)
		}
		if !slices.Equal(got, want[len(want)-len(got):]) {
			t.Fatalf("got %v, want the last of %v", got, want)
		}
		if after > 0 && len(got) < len(want) && !gap {
			t.Fatalf("%d of %d came after %d, and no gap is told", len(got), len(want), after)
		}
	})
}

func TestHistoryDoesNotKeepWhatIsGone(t *testing.T) {
	s := newState(10, 10, 1<<20)
	for id := uint64(1); id <= 10_000; id++ {
		s.applyEntry(entry(t, id, "lobby", "hi"))
	}
	if r := s.rooms["lobby"]; len(r.messages) != 10 || cap(r.messages) > 100 {
		t.Errorf("%d messages in room for %d", len(r.messages), cap(r.messages))
	}
}

func TestQuietRoomsGiveWay(t *testing.T) {
	s := newState(10, 3, 1<<20)
	s.applyRow(time.UnixMilli(1), row(t, personKey("busy", "ada"), 1, holder{ID: "1", Name: "ada"}))
	for id := uint64(10); id < 60; id++ {
		s.applyEntry(entry(t, id, fmt.Sprint("r", id), "hi"))
	}
	if len(s.rooms) != 3 || s.rooms["busy"] == nil || s.rooms["r59"] == nil || s.rooms["r58"] == nil {
		t.Errorf("rooms %v", slices.Sorted(maps.Keys(s.rooms)))
	}
	for rev, name := range []string{"r59", "r58"} {
		s.applyRow(time.UnixMilli(1), row(t, personKey(name, "bo"), uint64(rev+2), holder{ID: "2", Name: "bo"}))
	}
	if !s.full("more") || s.full("busy") {
		t.Error("a full house is not told from one that has room")
	}
}

func TestWhatIsNotOursIsIgnored(t *testing.T) {
	s := newState(10, 10, 1<<20)
	now := time.UnixMilli(1)
	for _, r := range []Row{
		{Key: "x", Rev: 1, Data: []byte("{}")}, {Key: "person/lobby", Rev: 1, Data: []byte("{}")},
		{Key: "person/LOBBY/ada", Rev: 1, Data: []byte(`{"id":"1","name":"ada"}`)},
		{Key: "person/lobby/ada", Rev: 1, Data: []byte("junk")}, {Key: "person/lobby/ada", Rev: 1, Data: []byte(`{"id":"1","name":"bo"}`)},
		{Key: "person/lobby/nobody", Rev: 1},
	} {
		if got := s.applyRow(now, r); got != nil || len(s.rows) != 0 {
			t.Errorf("row %q: %v", r.Key, got)
		}
	}
	for _, e := range []Entry{
		{ID: 1, Topic: "Lobby", Data: []byte(`{"from":"1","text":"x"}`)}, {ID: 1, Topic: "lobby", Data: []byte("junk")},
		{ID: 1, Topic: "lobby", Data: []byte(`{}`)}, {ID: 1, Topic: "", Data: []byte(`{"from":"1","text":"x"}`)},
	} {
		if _, ok := s.applyEntry(e); ok {
			t.Errorf("entry %q %s was taken", e.Topic, e.Data)
		}
	}
}

func TestNamesOfTheGoneAreGivenUp(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	none := func(string, holder) bool { return false }
	s := newState(10, 10, 1<<20)
	s.applyRow(at(0), Row{Key: instancePrefix + "other", Rev: 1, Data: []byte("x")})
	s.applyRow(at(0), row(t, personKey("lobby", "ada"), 2, holder{ID: "1", Name: "ada", Instance: "other"}))
	s.applyRow(at(0), row(t, personKey("lobby", "bo"), 3, holder{ID: "2", Name: "bo", Instance: "self"}))
	keys := func(rows []Row) string {
		var out []string
		for _, r := range rows {
			out = append(out, fmt.Sprint(r.Key, "@", r.Rev))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		second int
		want   string
	}{
		{1, ""}, {6, ""}, {7, "person/lobby/bo@3"}, {15, "instance/other@1 person/lobby/bo@3"}, {16, "person/lobby/bo@3"},
		{21, "person/lobby/bo@3"}, {22, "person/lobby/ada@2 person/lobby/bo@3"},
	} {
		s.applyRow(at(c.second), Row{Key: instancePrefix + "self", Rev: 10, Data: []byte("x")})
		if got := keys(s.expired(at(c.second), "self", 6*time.Second, none)); got != c.want {
			t.Errorf("after %d s: %q, want %q", c.second, got, c.want)
		}
	}
}

func TestWhoIsCutOffJudgesNobodyElse(t *testing.T) {
	s := newState(10, 10, 1<<20)
	start := time.Unix(1000, 0)
	for _, id := range []string{"self", "other"} {
		s.applyRow(start, Row{Key: instancePrefix + id, Rev: 1, Data: []byte("x")})
	}
	s.applyRow(start, row(t, personKey("lobby", "ada"), 2, holder{ID: "1", Name: "ada", Instance: "other"}))
	for second := 1; second < 600; second++ {
		if got := s.expired(start.Add(time.Duration(second)*time.Second), "self", 0, func(string, holder) bool { return true }); len(got) != 0 {
			t.Fatalf("after %d s without a word: %v", second, got)
		}
	}
}

func TestBucket(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	b := newBucket(2, 3, at(0))
	for i, c := range []struct {
		ms   int
		free bool
	}{{0, true}, {0, true}, {0, true}, {0, false}, {499, false}, {500, true}, {501, false}, {60_000, true}, {60_000, true}, {60_000, true}, {60_000, false}} {
		if wait := b.take(at(c.ms)); (wait == 0) != c.free {
			t.Errorf("%d: wait %v at %d ms", i, wait, c.ms)
		}
	}
}
