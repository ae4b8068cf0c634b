package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/albion-lb/albion/examples/chat/room"
)

type names struct{ *Cluster }

// Put writes a row by compare and set.
func (n names) Put(ctx context.Context, r room.Row) (room.Row, error) {
	var err error
	key := token(r.Key)
	switch {
	case r.Data == nil && r.Rev == 0:
		return n.stands(ctx, r.Key)
	case r.Data == nil:
		err = n.rows.Purge(ctx, key, jetstream.LastRevision(r.Rev), jetstream.PurgeTTL(tombstone))
		r.Rev = 0
	case r.Rev == 0:
		r.Rev, err = n.rows.Create(ctx, key, r.Data)
	default:
		r.Rev, err = n.rows.Update(ctx, key, r.Data, r.Rev)
	}
	if conflict(err) {
		return n.stands(ctx, r.Key)
	}
	if err != nil {
		return room.Row{}, fmt.Errorf("cluster: put: %w", err)
	}
	return r, nil
}

// stands returns the row as it is, for somebody who saw it differently.
func (n names) stands(ctx context.Context, key string) (room.Row, error) {
	got, err := n.rows.Get(ctx, token(key))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound): // a deleted one too
		return room.Row{Key: key}, room.ErrConflict
	case err != nil:
		return room.Row{}, fmt.Errorf("cluster: get: %w", err)
	}
	return room.Row{Key: key, Rev: got.Revision(), Data: got.Value()}, room.ErrConflict
}

// conflict recognises a lost race; replicated streams say so by another code,
// which a create that follows a delete passes on as it is.
func conflict(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// Follow reads the bucket's stream, which holds the last change of each row,
// deletes too, for a while. After an interruption it reads all rows again, and
// a row that is not among them has been deleted in the meantime.
func (n names) Follow(ctx context.Context, deliver func(room.Row), ready func()) error {
	prefix := "$KV." + n.rows.Bucket() + "."
	known, found := make(map[string]bool), make(map[string]bool)
	caught := false
	once := sync.OnceFunc(ready)
	err := tail{
		stream: n.rowStream,
		from: func() jetstream.ConsumerConfig {
			maps.Copy(known, found)
			found, caught = make(map[string]bool), false
			return jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: prefix + ">"}
		},
		deliver: func(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
			key, ok := untoken(strings.TrimPrefix(msg.Subject(), prefix))
			if !ok {
				return
			}
			r := room.Row{Key: key, Rev: meta.Sequence.Stream}
			if !deleted(msg) {
				r.Data = append([]byte{}, msg.Data()...)
				found[key] = true
			} else {
				delete(found, key)
			}
			deliver(r)
		},
		caught: func() {
			if caught {
				return
			}
			caught = true
			for key := range known {
				if !found[key] {
					deliver(room.Row{Key: key})
				}
			}
			clear(known)
			once()
		},
	}.run(ctx, n.Cluster)
	if err != nil {
		return fmt.Errorf("cluster: follow names: %w", err)
	}
	return nil
}

// deleted recognises the marks that stand for a row that is gone: a delete's
// or purge's, and the one that the server itself leaves.
func deleted(msg jetstream.Msg) bool {
	switch msg.Headers().Get("KV-Operation") {
	case "DEL", "PURGE":
		return true
	}
	return msg.Headers().Get("Nats-Marker-Reason") != ""
}
