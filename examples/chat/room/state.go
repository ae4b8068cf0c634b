package room

import (
	"encoding/json"
	"sort"
	"strings"
	"time"
)

const (
	instancePrefix = "instance/"
	personPrefix   = "person/"
	listed         = 50 // rooms in a list
)

// holder is the data of a person's row: who holds the name, and by which
// session of which server.
type holder struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Instance string `json:"instance"`
	Session  string `json:"session"`
}

// seatRow is a person's row as this server last saw it.
type seatRow struct {
	room string
	rev  uint64
	who  holder
	gone time.Time // when its session was first found to be gone; zero while it lives
}

// post is the data of a log entry.
type post struct {
	From string `json:"from"`
	Name string `json:"name"`
	Text string `json:"text"`
	Ref  string `json:"ref,omitempty"`
}

// message is one message of the history, encoded once for all who get it.
type message struct {
	id    uint64
	room  string
	frame string
}

type chatroom struct {
	people   map[string]string // member id → the key of the row that counts
	messages []message         // ascending ids
	last     uint64            // id of the newest message ever seen
	active   time.Time
}

// change is what a row meant to a room.
type change struct {
	room     string
	key      string
	what     string // "join", "leave", "rename", or "" when only the session is another
	now, was holder // zero where there is none
}

// state is all that a server knows of rooms. It decides and does nothing: no
// clock, no lock, no network.
type state struct {
	history   int // messages kept per room
	maxRooms  int
	maxReplay int // bytes that a newcomer is sent at once: less than a session's queue holds
	rooms     map[string]*chatroom
	rows      map[string]*seatRow
	instances map[string]heard
}

// heard is when a server's row was last seen to change.
type heard struct {
	rev uint64
	at  time.Time
}

func newState(history, maxRooms, maxReplay int) *state {
	return &state{
		history: history, maxRooms: maxRooms, maxReplay: maxReplay,
		rooms:     make(map[string]*chatroom),
		rows:      make(map[string]*seatRow),
		instances: make(map[string]heard),
	}
}

func personKey(room, name string) string { return personPrefix + room + "/" + fold(name) }

// claim says at which revision id may take the row, or that another holds it.
func claim(row Row, id string) (rev uint64, free bool) {
	if row.Data == nil {
		return row.Rev, true
	}
	var h holder
	if err := json.Unmarshal(row.Data, &h); err != nil {
		return row.Rev, true // nobody can hold a name by a row that cannot be read
	}
	return row.Rev, h.ID == id
}

// row is a row as Put expects it.
func (s *state) row(key string) Row {
	r, ok := s.rows[key]
	if !ok {
		return Row{Key: key}
	}
	data, err := json.Marshal(r.who)
	if err != nil {
		return Row{Key: key}
	}
	return Row{Key: key, Rev: r.rev, Data: data}
}

// applyRow takes one row that the table delivered.
func (s *state) applyRow(now time.Time, r Row) []change {
	if id, ok := strings.CutPrefix(r.Key, instancePrefix); ok {
		if r.Data == nil {
			delete(s.instances, id)
		} else {
			s.instances[id] = heard{rev: r.Rev, at: now}
		}
		return nil
	}
	room, name, ok := strings.Cut(strings.TrimPrefix(r.Key, personPrefix), "/")
	if clean, good := cleanRoom(room); !ok || !good || clean != room || !strings.HasPrefix(r.Key, personPrefix) {
		return nil
	}
	old := s.rows[r.Key]
	if r.Data == nil {
		return s.vacate(now, r.Key, old)
	}
	var h holder
	if err := json.Unmarshal(r.Data, &h); err != nil || h.ID == "" || fold(h.Name) != name {
		return nil
	}
	if old != nil && old.rev >= r.Rev {
		return nil
	}
	var changes []change
	if old != nil && old.who.ID != h.ID {
		changes = s.vacate(now, r.Key, old) // given up and taken again, seen as one change
		old = nil
	}
	s.rows[r.Key] = &seatRow{room: room, rev: r.Rev, who: h}
	return append(changes, s.occupy(now, r.Key, old)...)
}

// vacate takes away a row. A person who has moved on to another row (by a
// rename) stays.
func (s *state) vacate(now time.Time, key string, old *seatRow) []change {
	if old == nil {
		return nil
	}
	delete(s.rows, key)
	room := s.rooms[old.room]
	if room == nil || room.people[old.who.ID] != key {
		return nil
	}
	delete(room.people, old.who.ID)
	room.active = now
	return []change{{room: old.room, key: key, what: "leave", was: old.who}}
}

// occupy makes the row of key the one that counts for its person. old is the
// same row before, nil when it is new.
func (s *state) occupy(now time.Time, key string, old *seatRow) []change {
	r := s.rows[key]
	room := s.room(now, r.room)
	c := change{room: r.room, key: key, now: r.who}
	was, present := room.people[r.who.ID]
	switch {
	case !present:
		c.what = "join"
	case was == key && old != nil:
		c.was = old.who
	case s.rows[was] != nil:
		if s.rows[was].rev > r.rev {
			return nil // an older row of the same person, seen late
		}
		c.was = s.rows[was].who
	}
	if present && c.was.Name != c.now.Name {
		c.what = "rename"
	}
	room.people[r.who.ID] = key
	return []change{c}
}

// applyEntry takes one entry that the log delivered; false when it is not a
// message or not a new one.
func (s *state) applyEntry(e Entry) (message, bool) {
	name, ok := cleanRoom(e.Topic)
	if !ok || name != e.Topic {
		return message{}, false
	}
	var p post
	if err := json.Unmarshal(e.Data, &p); err != nil || p.From == "" || p.Text == "" {
		return message{}, false
	}
	room := s.room(e.Time, name)
	if e.ID <= room.last {
		return message{}, false
	}
	m := message{id: e.ID, room: name, frame: encode(messageFrame{
		Type: "message", Room: name, ID: e.ID, Time: e.Time.UnixMilli(),
		From: p.From, Name: p.Name, Text: p.Text, Ref: p.Ref,
	})}
	room.last = e.ID
	room.messages = append(room.messages, m)
	if over := len(room.messages) - s.history; over > 0 {
		// Copied now and then, so that the array does not keep what is gone.
		if cap(room.messages) > 4*s.history {
			room.messages = append(make([]message, 0, 2*s.history), room.messages[over:]...)
		} else {
			room.messages = room.messages[over:]
		}
	}
	return m, true
}

// room returns the room, made when it is new. Beyond the limit the empty room
// that was quiet for longest gives way; a room with people in it never does.
func (s *state) room(now time.Time, name string) *chatroom {
	r := s.rooms[name]
	if r == nil {
		if len(s.rooms) >= s.maxRooms {
			s.evict()
		}
		r = &chatroom{people: make(map[string]string)}
		s.rooms[name] = r
	}
	if now.After(r.active) {
		r.active = now
	}
	return r
}

func (s *state) evict() {
	var quietest string
	for name, r := range s.rooms {
		if len(r.people) > 0 {
			continue
		}
		if quietest == "" || r.active.Before(s.rooms[quietest].active) {
			quietest = name
		}
	}
	delete(s.rooms, quietest)
}

// full reports whether a new room would be one too many.
func (s *state) full(name string) bool {
	if s.rooms[name] != nil || len(s.rooms) < s.maxRooms {
		return false
	}
	for _, r := range s.rooms {
		if len(r.people) == 0 {
			return false
		}
	}
	return true
}

// replay returns the messages after the given one, and whether some in between
// may have been dropped from the history.
func (s *state) replay(name string, after uint64) (missed []message, gap bool) {
	r := s.rooms[name]
	if r == nil {
		return nil, false
	}
	first := sort.Search(len(r.messages), func(i int) bool { return r.messages[i].id > after })
	gap = after > 0 && first == 0 && len(r.messages) >= s.history
	from, size := len(r.messages), 0
	for from > first && size+len(r.messages[from-1].frame) <= s.maxReplay {
		from--
		size += len(r.messages[from].frame)
	}
	return r.messages[from:], gap || after > 0 && from > first
}

// people lists a room by name.
func (s *state) people(name string) []personFrame {
	list := []personFrame{}
	if r := s.rooms[name]; r != nil {
		for id, key := range r.people {
			list = append(list, personFrame{ID: id, Name: s.rows[key].who.Name})
		}
	}
	sort.Slice(list, func(i, j int) bool { return fold(list[i].Name) < fold(list[j].Name) })
	return list
}

// list gives the rooms with the most people, then the most recently active.
func (s *state) list() []roomFrame {
	names := make([]string, 0, len(s.rooms))
	for name := range s.rooms {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := s.rooms[names[i]], s.rooms[names[j]]
		if len(a.people) != len(b.people) {
			return len(a.people) > len(b.people)
		}
		if !a.active.Equal(b.active) {
			return a.active.After(b.active)
		}
		return names[i] < names[j]
	})
	list := []roomFrame{}
	for _, name := range names[:min(len(names), listed)] {
		list = append(list, roomFrame{Room: name, People: len(s.rooms[name].people)})
	}
	return list
}

// expired marks the rows whose session is gone and returns those that have
// been so for linger, with the rows of servers that fell silent. alive knows
// this server's own sessions; another server's live while it is heard. A
// server that does not hear itself is cut off, and judges nobody else.
func (s *state) expired(now time.Time, self string, linger time.Duration, alive func(key string, h holder) bool) []Row {
	var out []Row
	connected := now.Sub(s.instances[self].at) < silence/2
	for key, r := range s.rows {
		_, living := s.instances[r.who.Instance]
		if r.who.Instance == self {
			living = alive(key, r.who)
		} else if !connected {
			living = true
		}
		switch {
		case living:
			r.gone = time.Time{}
		case r.gone.IsZero():
			r.gone = now
		case now.Sub(r.gone) >= linger:
			out = append(out, Row{Key: key, Rev: r.rev})
		}
	}
	for id, h := range s.instances {
		if id != self && connected && now.Sub(h.at) >= silence {
			delete(s.instances, id)
			out = append(out, Row{Key: instancePrefix + id, Rev: h.rev})
		}
	}
	return out
}
