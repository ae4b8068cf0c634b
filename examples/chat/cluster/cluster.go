// Package cluster lets several chat servers share their messages and names
// through a NATS server with JetStream (version 2.11 or later).
//
//	c, err := cluster.Dial(ctx, cluster.Config{URL: "nats://127.0.0.1:4222", History: 50})
//	if err != nil { … }
//	defer c.Close()
//	chat, err := room.New(room.Config{Log: c.Log(), Table: c.Table()})
//
// Messages are a stream: its sequence is the order that all servers show, its
// deduplication window is what says a message sent twice once. Names are a
// key-value bucket, changed by compare and set. Nothing else of a chat is kept
// there; a server that starts later reads both and knows what the others know.
package cluster

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/albion-lb/albion/examples/chat/room"
)

const (
	onceWindow = 2 * time.Minute    // as room.Log promises
	keepFor    = 7 * 24 * time.Hour // messages
	maxBytes   = 256 << 20          // of messages, all rooms
	maxRecord  = 64 << 10           // of one message or row
	tombstone  = time.Minute        // how long a deleted row is remembered
	dialWithin = 10 * time.Second
)

// Config says which server, and what is kept there.
type Config struct {
	URL     string // nats://host:port, several separated by commas; may hold credentials
	Name    string // of the stream and, with _names, of the bucket; "albion_chat". Letters, digits, _ and -
	History int    // messages kept per room; 50
	Logger  *slog.Logger
}

// Cluster is a connection to the shared server. It connects again by itself.
type Cluster struct {
	name   string
	logger *slog.Logger
	conn   *nats.Conn
	closed chan struct{} // closed when the connection is gone for good
	stream jetstream.Stream
	js     jetstream.JetStream
	rows   jetstream.KeyValue

	rowStream jetstream.Stream // that rows is kept in

	epoch uint64 // added to sequences, so that IDs rise even when the stream is made anew
}

// Dial connects, and makes the stream and the bucket where they are missing.
// A stream that keeps more than is asked for is left as it is: somebody else
// asked for it.
func Dial(ctx context.Context, c Config) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	l := &Cluster{name: cmp.Or(c.Name, "albion_chat"), logger: c.Logger, closed: make(chan struct{})}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if strings.ContainsAny(l.name, ".*> \t/\\") {
		return nil, fmt.Errorf("cluster: name %q: want letters, digits, _ and -", l.name)
	}
	if err := readable(c.URL); err != nil {
		return nil, err
	}
	var err error
	if l.conn, err = nats.Connect(c.URL, l.options()...); err != nil {
		return nil, fmt.Errorf("cluster: connect: %w", err)
	}
	if err := l.open(ctx, cmp.Or(c.History, 50)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// readable refuses addresses that cannot be parsed, without repeating them:
// the parser's own error would, with the password that may be in them.
func readable(addresses string) error {
	for _, a := range strings.Split(addresses, ",") {
		a = strings.TrimSpace(a)
		if !strings.Contains(a, "://") {
			a = "nats://" + a
		}
		if u, err := url.Parse(a); err != nil || u.Hostname() == "" {
			return errors.New("cluster: the URL cannot be read: want nats://host:port")
		}
	}
	return nil
}

func (l *Cluster) options() []nats.Option {
	return []nats.Option{
		nats.Name("albion chat"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectBufSize(-1), // a post that cannot be sent fails now, and its sender knows
		nats.ClosedHandler(func(*nats.Conn) { close(l.closed) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: we have closed it ourselves
				l.logger.Warn("chat lost the shared server", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { l.logger.Info("chat found the shared server again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			l.logger.Warn("chat has trouble with the shared server", "error", err)
		}),
	}
}

func (l *Cluster) open(ctx context.Context, history int) error {
	var err error
	if l.js, err = jetstream.New(l.conn); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if err := l.openStream(ctx, history); err != nil {
		return fmt.Errorf("cluster: stream %s (does the server run with JetStream?): %w", l.name, err)
	}
	l.rows, err = l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: l.name + "_names", Description: "who is in which room",
		History: 1, MaxValueSize: maxRecord, LimitMarkerTTL: tombstone,
		Storage: jetstream.FileStorage, // a restart of the shared server sends nobody out of a room
	})
	if err != nil {
		return fmt.Errorf("cluster: bucket %s_names (version 2.11 or later is needed): %w", l.name, err)
	}
	if l.rowStream, err = l.js.Stream(ctx, "KV_"+l.rows.Bucket()); err != nil {
		return fmt.Errorf("cluster: bucket %s_names: %w", l.name, err)
	}
	return nil
}

func (l *Cluster) openStream(ctx context.Context, history int) error {
	want := jetstream.StreamConfig{
		Name: l.name, Subjects: []string{l.name + ".*"}, Description: "messages of a chat, one subject per room",
		MaxMsgsPerSubject: int64(history), MaxAge: keepFor, MaxBytes: maxBytes, MaxMsgSize: maxRecord,
		Discard: jetstream.DiscardOld, Duplicates: onceWindow, Storage: jetstream.FileStorage,
	}
	var err error
	l.stream, err = l.js.Stream(ctx, l.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		l.stream, err = l.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another server was faster, and asked for another history
			l.stream, err = l.js.Stream(ctx, l.name)
		}
	case err == nil && l.stream.CachedInfo().Config.MaxMsgsPerSubject < want.MaxMsgsPerSubject:
		had := l.stream.CachedInfo().Config
		had.MaxMsgsPerSubject = want.MaxMsgsPerSubject
		l.stream, err = l.js.UpdateStream(ctx, had)
	}
	if err != nil {
		return err
	}
	l.epoch = uint64(l.stream.CachedInfo().Created.UnixMilli()) * 1000
	return nil
}

// Close ends the connection and waits until it has ended.
func (l *Cluster) Close() {
	l.conn.Close()
	<-l.closed
}

// Log is the messages of all servers.
func (l *Cluster) Log() room.Log { return messages{l} }

// Table is the names of all servers.
func (l *Cluster) Table() room.Table { return names{l} }

// Rooms and keys are any text; a subject's token is not.
func token(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func untoken(s string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return string(b), err == nil
}
