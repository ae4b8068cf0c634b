package room

// This file is where things happen: what the log and the table deliver is
// applied and shown. Each is called from one goroutine.

// hearEntry shows a message to all who are in its room.
func (s *Server) hearEntry(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.state.applyEntry(e)
	if !ok {
		return
	}
	for c, place := range s.seats[m.room] {
		s.show(c, place, m)
	}
}

// show sends a message once: a client that came with a later one, because
// another server was ahead of this, has it.
func (s *Server) show(c *client, place *seat, m message) {
	if m.id <= place.last {
		return
	}
	place.last = m.id
	s.send(c, m.frame)
}

// hearRow shows who came, went or took another name.
func (s *Server) hearRow(r Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.state.applyRow(s.c.Now(), r) {
		s.move(ch)
		s.announce(ch)
	}
}

// move seats and unseats this server's own clients.
func (s *Server) move(ch change) {
	if old := s.clients[ch.was.Session]; old != nil && old.seats[ch.room] != nil && ch.now.Session != ch.was.Session {
		code, reason := closeElsewhere, "You have come in from elsewhere."
		if ch.what == "leave" {
			code, reason = closeGoAway, "Go away!" // others took this server for dead: come again
		}
		s.unseat(old, ch.room)
		s.end(old, code, reason)
	}
	c := s.clients[ch.now.Session]
	if c == nil {
		return
	}
	place := c.seats[ch.room]
	if place == nil {
		return // has left in the meantime; the sweep gives the row up
	}
	place.key = ch.key
	if place.want == ch.key {
		place.want = ""
	}
	if !place.joined {
		s.seat(c, place, ch)
	}
}

// seat lets a client in: from here on it gets what happens, and first what it
// has missed.
func (s *Server) seat(c *client, place *seat, ch change) {
	place.joined = true
	if s.seats[ch.room] == nil {
		s.seats[ch.room] = make(map[*client]*seat)
	}
	missed, gap := s.state.replay(ch.room, place.last)
	s.send(c, encode(joinedFrame{
		Type: "joined", Room: ch.room, ID: ch.now.ID, Name: ch.now.Name,
		People: s.state.people(ch.room), Replay: len(missed), Gap: gap,
	}))
	for _, m := range missed {
		s.show(c, place, m)
	}
	s.seats[ch.room][c] = place
}

// announce tells a room about a change; the one who has just come knows.
func (s *Server) announce(ch change) {
	if ch.what == "" {
		return
	}
	f := presenceFrame{
		Type: "presence", Room: ch.room, What: ch.what,
		ID: ch.now.ID, Name: ch.now.Name, Time: s.c.Now().UnixMilli(),
	}
	switch ch.what {
	case "leave":
		f.ID, f.Name = ch.was.ID, ch.was.Name
	case "rename":
		f.Was = ch.was.Name
	}
	frame := encode(f)
	newcomer := s.clients[ch.now.Session]
	for c := range s.seats[ch.room] {
		if ch.what != "join" || c != newcomer {
			s.send(c, frame)
		}
	}
}

// alive reports whether a row belongs to a session of this server that sits
// by it, or is about to.
func (s *Server) alive(key string, h holder) bool {
	c := s.clients[h.Session]
	if c == nil {
		return false
	}
	for _, place := range c.seats {
		if place.key == key || place.want == key {
			return true
		}
	}
	return false
}
