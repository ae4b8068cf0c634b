package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	pulse       = time.Second            // between two signs of life of a stream that is read; twice that is missed
	answer      = 2 * time.Second        // for a reader to be made
	retryAfter  = 250 * time.Millisecond // before reading again what could not be read
	maxLost     = 40                     // tries to find a stream that is not there: a server that starts takes some
	readerGrace = time.Minute            // the server forgets a reader that is gone
)

var (
	errClosed  = errors.New("the connection is closed")
	errSkipped = errors.New("something was left out")
)

// tail is a stream as it is read from some point on, again and again when the
// server was away. The server's own reader of a stream in order does the same,
// but takes half a minute to notice.
type tail struct {
	stream  jetstream.Stream
	from    func() jetstream.ConsumerConfig
	deliver func(jetstream.Msg, *jetstream.MsgMetadata)
	caught  func() // up with what was there when reading began; called each time
}

// run reads until ctx ends, then it returns nil.
func (t tail) run(ctx context.Context, l *Cluster) error {
	lost := 0
	for {
		err := t.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end
		case errors.Is(err, jetstream.ErrStreamNotFound):
			if lost++; lost >= maxLost {
				return err
			}
		default:
			lost = 0
		}
		l.logger.Debug("chat reads again", "stream", t.stream.CachedInfo().Config.Name, "error", err)
		select {
		case <-time.After(retryAfter):
		case <-l.closed:
			return errClosed
		case <-ctx.Done():
			return nil
		}
	}
}

// read reads until something goes wrong.
func (t tail) read(ctx context.Context) error {
	config := t.from()
	config.AckPolicy = jetstream.AckNonePolicy
	config.MemoryStorage = true
	config.InactiveThreshold = readerGrace
	soon, cancel := context.WithTimeout(ctx, answer)
	reader, err := t.stream.CreateConsumer(soon, config)
	cancel()
	if err != nil {
		return err
	}
	defer t.forget(ctx, reader.CachedInfo().Name)
	msgs, err := reader.Messages(jetstream.PullHeartbeat(pulse))
	if err != nil {
		return err
	}
	defer msgs.Stop()
	if reader.CachedInfo().NumPending == 0 {
		t.caught()
	}
	for next := uint64(1); ; next++ {
		msg, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != next {
			return fmt.Errorf("%w: %d came, not %d", errSkipped, meta.Sequence.Consumer, next)
		}
		t.deliver(msg, meta)
		if meta.NumPending == 0 {
			t.caught()
		}
	}
}

// forget removes a reader; if that fails the server does so by itself.
func (t tail) forget(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pulse)
	defer cancel()
	_ = t.stream.DeleteConsumer(ctx, name) // as said
}
