package room

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
)

const (
	commandRate  = 10  // commands of any kind per second and session
	commandBurst = 40  //
	maxRefused   = 100 // commands over the limit before the session is closed
	claimTries   = 4   // when somebody else changes the row at the same time
)

// link is one SockJS session. Send and Close never block; Recv returns an
// error when the session has ended.
type link interface {
	Recv(ctx context.Context) (string, error)
	Send(msg string) error
	Close(code int, reason string) error
}

// client is one session and the rooms that it is in.
type client struct {
	session string // its mark in rows; never given out
	link    link

	// Used by the goroutine that serves the session alone.
	posts, commands bucket
	refused         int

	// Guarded by Server.mu.
	member string // set by the first join
	seats  map[string]*seat
}

// seat is a client's place in a room, from the first attempt to join.
type seat struct {
	name   string // as wanted last
	key    string // of the row that seats the client; "" until it is joined
	want   string // of the row that is being claimed
	last   uint64 // the newest message that the client has
	joined bool
}

// serve speaks with one session until it ends.
func (s *Server) serve(l link) {
	now := s.c.Now()
	c := &client{
		session: rand.Text(), link: l,
		posts:    newBucket(s.c.PostRate, 4*s.c.PostRate, now),
		commands: newBucket(commandRate, commandBurst, now),
		seats:    make(map[string]*seat),
	}
	ctx, cancel := context.WithCancel(context.Background()) // a session outlives its first request
	defer cancel()
	s.await(ctx)
	if !s.welcome(c) {
		return
	}
	defer s.dismiss(c)
	for {
		text, err := l.Recv(ctx)
		if err != nil {
			return
		}
		s.obey(ctx, c, text)
	}
}

// await gives log and table a moment to catch up, so that nobody is let in
// while the room still looks empty.
func (s *Server) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-s.ready:
	case <-ctx.Done():
	}
}

// welcome takes a session in and says hello, or closes it.
func (s *Server) welcome(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining || !closed(s.ready):
		s.end(c, closeGoAway, "Go away!")
		return false
	case len(s.clients) >= s.c.MaxSessions:
		s.end(c, closeFull, "This server is full.")
		return false
	}
	s.clients[c.session] = c
	s.send(c, encode(helloFrame{
		Type: "hello", Instance: s.c.Instance, Rooms: s.state.list(),
		Limits: limitsFrame{Name: maxName, Room: maxRoom, Text: maxText, Rooms: s.c.MaxJoined},
	}))
	return true
}

// dismiss forgets a session that has ended. Its rows stay for Linger.
func (s *Server) dismiss(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c.session)
	for room := range c.seats {
		s.unseat(c, room)
	}
}

func (s *Server) unseat(c *client, room string) {
	delete(c.seats, room)
	delete(s.seats[room], c)
	if len(s.seats[room]) == 0 {
		delete(s.seats, room)
	}
}

// send queues a frame. It is called under mu, so that all frames reach a
// session in the order of the events, and may be: a link never blocks. A
// session that does not take it is behind by more than it may be.
func (s *Server) send(c *client, frame string) {
	if err := c.link.Send(frame); err != nil {
		s.end(c, closeSlow, "Too slow; connect again for what was missed.")
	}
}

func (s *Server) end(c *client, code int, reason string) {
	if err := c.link.Close(code, reason); err != nil {
		s.c.Logger.Debug("session had ended already", "error", err)
	}
}

// tell answers the session that a goroutine serves.
func (s *Server) tell(c *client, frame string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(c, frame)
}

// obey carries out one message of the client and answers it.
func (s *Server) obey(ctx context.Context, c *client, text string) {
	cmd, err := parseCommand(text)
	if wait := c.commands.take(s.c.Now()); wait > 0 {
		err = &fault{Code: "slow-down", Text: "That was too fast.", Retry: wait}
	}
	if err == nil {
		err = s.do(ctx, c, cmd)
	}
	var f *fault
	switch {
	case err == nil:
		return
	case errors.As(err, &f) && f.Code == "slow-down" && s.outOfPatience(c):
		return
	case !errors.As(err, &f):
		s.c.Logger.Warn("chat could not do as it was told", "command", cmd.Type, "error", err)
	}
	s.tell(c, faultFrame(cmd, err))
}

// outOfPatience counts what came too fast, and in the end closes the session:
// to go on refusing costs more.
func (s *Server) outOfPatience(c *client) bool {
	if c.refused++; c.refused <= maxRefused {
		return false
	}
	s.end(c, closeFlood, "Too many messages.")
	return true
}

func (s *Server) do(ctx context.Context, c *client, cmd command) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch cmd.Type {
	case cmdJoin, cmdRename:
		return s.join(ctx, c, cmd)
	case cmdLeave:
		return s.leave(ctx, c, cmd.Room)
	case cmdPost:
		return s.post(ctx, c, cmd)
	case cmdRooms:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.send(c, encode(roomsFrame{Type: "rooms", Rooms: s.state.list()}))
	default:
		s.tell(c, encode(pongFrame{Type: "pong"}))
	}
	return nil
}

// join claims a name in a room; the answer comes when the row does. A rename
// is the same, from inside the room.
func (s *Server) join(ctx context.Context, c *client, cmd command) error {
	me, row, old, err := s.ask(c, cmd)
	if err != nil {
		return err
	}
	for range claimTries {
		rev, free := claim(row, me.ID)
		if !free {
			s.giveUp(c, cmd.Room)
			return refuse("name-taken", "Somebody else in the room has that name.")
		}
		data, err := json.Marshal(me)
		if err != nil {
			return err
		}
		row, err = s.c.Table.Put(ctx, Row{Key: row.Key, Rev: rev, Data: data})
		if err == nil {
			if old.Key != "" && old.Key != row.Key {
				s.remove(ctx, old)
			}
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			s.giveUp(c, cmd.Room)
			return err
		}
	}
	s.giveUp(c, cmd.Room)
	return refuse("name-taken", "Others want that name too; try again.")
}

// ask checks what can be checked here and notes the wish. It returns the row
// to write, as it stands, and the person's row so far, if any.
func (s *Server) ask(c *client, cmd command) (me holder, row, old Row, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := c.seats[cmd.Room]
	if cmd.Type == cmdRename && (place == nil || !place.joined) {
		return me, row, old, refuse("not-joined", "Join the room first.")
	}
	if cmd.Type == cmdJoin {
		if err := s.admit(c, cmd, place); err != nil {
			return me, row, old, err
		}
		if place == nil {
			place = &seat{last: cmd.After}
			c.seats[cmd.Room] = place
		}
	}
	me = holder{ID: c.member, Name: cmd.Name, Instance: s.life, Session: c.session}
	key := personKey(cmd.Room, cmd.Name)
	place.name, place.want = cmd.Name, key
	if r := s.state.rooms[cmd.Room]; r != nil && r.people[me.ID] != "" {
		old = s.state.row(r.people[me.ID])
	}
	return me, s.state.row(key), old, nil
}

// admit says whether a client may join, before anybody else is asked.
func (s *Server) admit(c *client, cmd command, place *seat) error {
	id := memberID(cmd.Key)
	switch {
	case c.member != "" && c.member != id:
		return refuse("bad-key", "A session has one key.")
	case place != nil && place.joined:
		return refuse("joined-already", "You are in the room; rename yourself instead.")
	case place == nil && len(c.seats) >= s.c.MaxJoined:
		return refuse("too-many-rooms", "You may be in %d rooms at once.", s.c.MaxJoined)
	case s.state.full(cmd.Room):
		return refuse("full", "There are too many rooms.")
	}
	if r := s.state.rooms[cmd.Room]; r != nil && r.people[id] == "" && len(r.people) >= s.c.MaxPeople {
		return refuse("full", "The room is full.")
	}
	c.member = id
	return nil
}

// giveUp forgets a wish that did not come true.
func (s *Server) giveUp(c *client, room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := c.seats[room]
	if place == nil {
		return
	}
	place.want = ""
	if !place.joined {
		delete(c.seats, room)
	}
}

// leave takes a client out of a room at once, and its name with it.
func (s *Server) leave(ctx context.Context, c *client, room string) error {
	s.mu.Lock()
	place := c.seats[room]
	if place == nil {
		s.mu.Unlock()
		return refuse("not-joined", "You are not in the room.")
	}
	row := s.state.row(place.key)
	s.unseat(c, room)
	s.send(c, encode(leftFrame{Type: "left", Room: room}))
	s.mu.Unlock()
	if row.Rev != 0 {
		s.remove(ctx, row)
	}
	return nil
}

// post puts a message into the log; everybody, the sender too, sees it when
// the log delivers it.
func (s *Server) post(ctx context.Context, c *client, cmd command) error {
	s.mu.Lock()
	place := c.seats[cmd.Room]
	var mine *seatRow
	if place != nil && place.joined {
		mine = s.state.rows[place.key]
	}
	var name string
	if mine != nil {
		name = mine.who.Name
	}
	id := c.member
	s.mu.Unlock()
	if mine == nil {
		return refuse("not-joined", "Join the room first.")
	}
	if wait := c.posts.take(s.c.Now()); wait > 0 {
		return &fault{Code: "slow-down", Text: "That was too fast.", Retry: wait}
	}
	data, err := json.Marshal(post{From: id, Name: name, Text: cmd.Text, Ref: cmd.Ref})
	if err != nil {
		return err
	}
	once := ""
	if cmd.Ref != "" {
		once = id + "." + cmd.Ref
	}
	return s.c.Log.Append(ctx, cmd.Room, once, data)
}
