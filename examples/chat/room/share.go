package room

import (
	"context"
	"errors"
	"time"
)

// ErrConflict is what Table.Put answers when the row is not at the revision
// that the caller saw.
var ErrConflict = errors.New("room: the row has changed")

// Entry is one record of a Log.
type Entry struct {
	ID    uint64    // rises within the whole log; below 2^53, so that JavaScript can hold it
	Time  time.Time // when the log accepted it
	Topic string    // the room
	Data  []byte
}

// Log is an ordered, bounded record shared by all servers.
//
// Append may block. It returns once the entry is in the log; when an entry
// with the same non-empty once was appended within the last two minutes it
// returns nil and appends nothing. Follow blocks until ctx ends, then returns
// nil: it delivers what is retained, calls ready once, and goes on with what
// is appended, always in the order of the IDs, from one goroutine. The data is
// deliver's to keep.
type Log interface {
	Append(ctx context.Context, topic, once string, data []byte) error
	Follow(ctx context.Context, deliver func(Entry), ready func()) error
}

// Row is one row of a Table. Rev 0 means that there is none yet; nil Data
// means that it is gone.
type Row struct {
	Key  string
	Rev  uint64
	Data []byte
}

// Table is a small set of rows shared by all servers, each changed only by
// somebody who has seen its last revision.
//
// Put may block. It writes (or, with nil Data, deletes) the row if it still
// stands at r.Rev, and returns the row with its new revision; otherwise it
// returns the row that stands and ErrConflict. Revisions of one key rise even
// across deletes. Follow is as Log's: the rows that stand, ready, then every
// change; of several changes to one row it may deliver the last alone.
type Table interface {
	Put(ctx context.Context, r Row) (Row, error)
	Follow(ctx context.Context, deliver func(Row), ready func()) error
}
