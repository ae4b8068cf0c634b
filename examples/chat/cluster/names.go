package cluster

import (
	"context"
	"errors"
	"fmt"

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

// Follow watches the bucket.
func (n names) Follow(ctx context.Context, deliver func(room.Row), ready func()) error {
	watch, err := n.rows.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("cluster: follow names: %w", err)
	}
	defer func() {
		if err := watch.Stop(); err != nil {
			n.logger.Debug("chat could not stop reading names", "error", err)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.closed:
			return errClosed
		case change, ok := <-watch.Updates():
			if !ok {
				if ctx.Err() != nil {
					return nil
				}
				return errors.New("cluster: the names have ended")
			}
			if change == nil { // all that stood at the start has come
				ready()
				continue
			}
			if key, ok := untoken(change.Key()); ok {
				deliver(n.row(key, change))
			}
		}
	}
}

func (n names) row(key string, change jetstream.KeyValueEntry) room.Row {
	r := room.Row{Key: key, Rev: change.Revision()}
	if change.Operation() == jetstream.KeyValuePut {
		r.Data = change.Value()
		if r.Data == nil {
			r.Data = []byte{}
		}
	}
	return r
}
