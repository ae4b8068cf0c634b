package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/albion-lb/albion/examples/chat/room"
)

// errClosed ends a Follow whose connection is gone for good.
var errClosed = errors.New("cluster: the connection is closed")

type messages struct{ *Cluster }

// Append returns when the stream has the entry.
func (m messages) Append(ctx context.Context, topic, once string, data []byte) error {
	var opts []jetstream.PublishOpt
	if once != "" {
		opts = append(opts, jetstream.WithMsgID(once))
	}
	if _, err := m.js.Publish(ctx, m.name+"."+token(topic), data, opts...); err != nil {
		return fmt.Errorf("cluster: append: %w", err)
	}
	return nil
}

// Follow reads the stream by an ordered consumer, which begins anew after the
// last entry it saw whenever it lost the server.
func (m messages) Follow(ctx context.Context, deliver func(room.Entry), ready func()) error {
	info, err := m.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("cluster: follow: %w", err)
	}
	if info.State.Msgs == 0 {
		ready()
	}
	consumer, err := m.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return fmt.Errorf("cluster: follow: %w", err)
	}
	last := info.State.LastSeq
	reading, err := consumer.Consume(func(msg jetstream.Msg) {
		meta, err := msg.Metadata()
		if err != nil {
			m.logger.Warn("chat got something that is not of its stream", "error", err)
			return
		}
		if topic, ok := untoken(strings.TrimPrefix(msg.Subject(), m.name+".")); ok {
			deliver(room.Entry{ID: m.epoch + meta.Sequence.Stream, Time: meta.Timestamp, Topic: topic, Data: msg.Data()})
		}
		if meta.Sequence.Stream >= last || meta.NumPending == 0 {
			ready()
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		m.logger.Warn("chat could not read messages and tries again", "error", err)
	}))
	if err != nil {
		return fmt.Errorf("cluster: follow: %w", err)
	}
	defer func() {
		reading.Stop()
		<-reading.Closed()
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-m.closed:
		return errClosed
	case <-reading.Closed():
		return fmt.Errorf("cluster: the messages of stream %s have ended", m.name)
	}
}
