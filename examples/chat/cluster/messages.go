package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/albion-lb/albion/examples/chat/room"
)

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

// Follow reads the stream from its beginning, and after an interruption from
// the entry after the last.
func (m messages) Follow(ctx context.Context, deliver func(room.Entry), ready func()) error {
	var last uint64
	err := tail{
		stream: m.stream,
		from: func() jetstream.ConsumerConfig {
			if last == 0 {
				return jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
			}
			return jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1}
		},
		deliver: func(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
			last = meta.Sequence.Stream
			if topic, ok := untoken(strings.TrimPrefix(msg.Subject(), m.name+".")); ok {
				deliver(room.Entry{ID: m.epoch + last, Time: meta.Timestamp, Topic: topic, Data: msg.Data()})
			}
		},
		caught: sync.OnceFunc(ready),
	}.run(ctx, m.Cluster)
	if err != nil {
		return fmt.Errorf("cluster: follow messages: %w", err)
	}
	return nil
}
