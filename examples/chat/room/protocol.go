package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Close codes that a session may see besides SockJS's own. 3000 ("Go away!")
// means: connect again, somebody else will answer.
const (
	closeGoAway    = 3000
	closeElsewhere = 4001 // the same key has come in by another session
	closeSlow      = 4002 // too much is waiting for this session: come again, and get what was missed
	closeFlood     = 4008 // the flood limit was ignored for too long
	closeFull      = 4013 // this server has as many sessions as it takes
)

// What a client sends.
const (
	cmdJoin   = "join"   // room, name, key, after
	cmdRename = "rename" // room, name
	cmdLeave  = "leave"  // room
	cmdPost   = "post"   // room, text, ref
	cmdRooms  = "rooms"
	cmdPing   = "ping"
)

// command is one message from a client.
type command struct {
	Type  string `json:"type"`
	Room  string `json:"room"`
	Name  string `json:"name"`
	Key   string `json:"key"`   // the client's secret, 16 to 64 of A-Z a-z 0-9 - _
	After uint64 `json:"after"` // the last message that the client has of this room; 0 for none
	Text  string `json:"text"`
	Ref   string `json:"ref"` // the client's own mark for a post: sent twice, said once
}

// fault is an error that the client is told.
type fault struct {
	Code  string
	Text  string
	Retry time.Duration // when it makes sense to try again; 0 for never
}

func (f *fault) Error() string { return "room: " + f.Code + ": " + f.Text }

func refuse(code, format string, args ...any) *fault {
	return &fault{Code: code, Text: fmt.Sprintf(format, args...)}
}

// parseCommand reads and cleans one message. On a fault the command holds what
// could be read of room and ref, so that the answer can name them.
func parseCommand(text string) (command, error) {
	var c command
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return command{}, refuse("bad-message", "That is not a JSON object with the expected members.")
	}
	if c.Ref != "" && !token(c.Ref, 1, maxRef) {
		c.Ref = ""
		return c, refuse("bad-ref", "A ref has 1 to %d of A-Z a-z 0-9 - _.", maxRef)
	}
	switch c.Type {
	case cmdRooms, cmdPing:
		return c, nil
	case cmdJoin, cmdRename, cmdLeave, cmdPost:
	default:
		return command{Ref: c.Ref}, refuse("bad-type", "There is no such message type.")
	}
	var ok bool
	if c.Room, ok = cleanRoom(c.Room); !ok {
		return c, refuse("bad-room", "A room's name has 1 to %d letters, digits and hyphens.", maxRoom)
	}
	return c, c.cleanRest()
}

func (c *command) cleanRest() error {
	var ok bool
	if c.Type == cmdJoin || c.Type == cmdRename {
		if c.Name, ok = cleanName(c.Name); !ok {
			return refuse("bad-name", "A name has 1 to %d letters, digits, spaces and - _ . '", maxName)
		}
	}
	if c.Type == cmdJoin && !token(c.Key, minKey, maxKey) {
		return refuse("bad-key", "A key has %d to %d of A-Z a-z 0-9 - _.", minKey, maxKey)
	}
	if c.Type == cmdPost {
		if c.Text, ok = cleanText(c.Text); !ok {
			return refuse("bad-text", "A message has 1 to %d characters.", maxText)
		}
	}
	return nil
}

// What a server sends.
type (
	helloFrame struct {
		Type     string      `json:"type"` // "hello"
		Instance string      `json:"instance"`
		Limits   limitsFrame `json:"limits"`
		Rooms    []roomFrame `json:"rooms"`
	}
	limitsFrame struct {
		Name  int `json:"name"` // characters
		Room  int `json:"room"`
		Text  int `json:"text"`
		Rooms int `json:"rooms"` // rooms that one session may be in
	}
	roomsFrame struct {
		Type  string      `json:"type"` // "rooms"
		Rooms []roomFrame `json:"rooms"`
	}
	roomFrame struct {
		Room   string `json:"room"`
		People int    `json:"people"`
	}
	// joinedFrame is followed by Replay message frames.
	joinedFrame struct {
		Type   string        `json:"type"` // "joined"
		Room   string        `json:"room"`
		ID     string        `json:"id"`
		Name   string        `json:"name"`
		People []personFrame `json:"people"`
		Replay int           `json:"replay"`
		Gap    bool          `json:"gap,omitempty"` // messages between after and the first replayed one may be lost
	}
	personFrame struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	messageFrame struct {
		Type string `json:"type"` // "message"
		Room string `json:"room"`
		ID   uint64 `json:"id"`
		Time int64  `json:"time"` // milliseconds since 1970
		From string `json:"from"`
		Name string `json:"name"` // as it was when the message was sent
		Text string `json:"text"`
		Ref  string `json:"ref,omitempty"`
	}
	presenceFrame struct {
		Type string `json:"type"` // "presence"
		Room string `json:"room"`
		What string `json:"what"` // "join", "leave", "rename"
		ID   string `json:"id"`
		Name string `json:"name"`
		Was  string `json:"was,omitempty"` // the name before a rename
		Time int64  `json:"time"`
	}
	leftFrame struct {
		Type string `json:"type"` // "left"
		Room string `json:"room"`
	}
	errorFrame struct {
		Type  string `json:"type"` // "error"
		Code  string `json:"code"`
		Text  string `json:"text"`
		Room  string `json:"room,omitempty"`
		Ref   string `json:"ref,omitempty"`
		Retry int64  `json:"retry,omitempty"` // milliseconds
	}
	pongFrame struct {
		Type string `json:"type"` // "pong"
	}
)

// encode writes a frame. The types above cannot fail to encode.
func encode(frame any) string {
	b, err := json.Marshal(frame)
	if err != nil {
		return `{"type":"error","code":"internal","text":"The answer could not be written."}`
	}
	return string(b)
}

func faultFrame(c command, err error) string {
	f := &fault{Code: "internal", Text: "That did not work."}
	if !errors.As(err, &f) {
		f = &fault{Code: "unavailable", Text: "The chat cannot be reached right now.", Retry: 2 * time.Second}
	}
	return encode(errorFrame{Type: "error", Code: f.Code, Text: f.Text, Room: c.Room, Ref: c.Ref, Retry: f.Retry.Milliseconds()})
}
