// Command chat is a chat server on plain HTTP: SockJS at /chat, its page at /,
// /healthz for a balancer. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/albion-lb/albion/examples/chat/cluster"
	"github.com/albion-lb/albion/examples/chat/room"
)

const (
	slowHead   = 10 * time.Second // for a request's head
	keepAlive  = 75 * time.Second // longer than a balancer's 60 s, so that the balancer closes first
	lastAnswer = 5 * time.Second  // for answers under way at the end
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	listen, shared, stream string
	room                   room.Config
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{}
	fs := flag.NewFlagSet("chat", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` to listen on, plain HTTP")
	fs.StringVar(&o.shared, "nats", "", "`URL` of a NATS server with JetStream that several instances share, such as nats://127.0.0.1:4222")
	fs.StringVar(&o.stream, "nats-name", "albion_chat", "`name` of the stream and bucket there; one per chat")
	fs.IntVar(&o.room.History, "history", 50, "`messages` kept per room, 1 to 1000")
	fs.StringVar(&o.room.Prefix, "prefix", "/chat", "`path` of the SockJS endpoint")
	fs.StringVar(&o.room.Instance, "instance", "", "`name` of this instance in /healthz and on the page (the host's name and the port)")
	fs.StringVar(&o.room.ClientOrigin, "client-origin", "", "one more `origin` that ?client= may load a SockJS client from, such as https://cdn.example.com")
	fs.BoolVar(&o.room.SockJS.DisableWebSocket, "no-websocket", false, "offer the HTTP transports alone")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return o, nil
}

// run serves until ctx ends or something fails for good.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	o.room.Logger = log
	if o.room.Instance == "" {
		o.room.Instance = instance(listener.Addr())
	}
	if o.shared != "" {
		shared, err := cluster.Dial(ctx, cluster.Config{URL: o.shared, Name: o.stream, History: o.room.History, Logger: log})
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer shared.Close()
		o.room.Log, o.room.Table = shared.Log(), shared.Table()
	}
	chat, err := room.New(o.room)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	log.Info("chat is listening", "url", "http://"+listener.Addr().String()+"/", "instance", o.room.Instance)
	return serve(ctx, listener, chat)
}

// serve answers on the listener while the chat runs, and a little longer: the
// last answers are those that tell clients to go elsewhere.
func serve(ctx context.Context, listener net.Listener, chat *room.Server) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	web := &http.Server{Handler: chat.Handler(), ReadHeaderTimeout: slowHead, IdleTimeout: keepAlive, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { // ends with Shutdown below, which is waited for
		err := web.Serve(listener)
		stop()
		served <- err
	}()
	err := chat.Run(ctx)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswer)
	defer cancel()
	if web.Shutdown(late) != nil {
		err = errors.Join(err, web.Close())
	}
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

func instance(a net.Addr) string {
	host, err := os.Hostname()
	if err != nil {
		host = "chat"
	}
	if _, port, err := net.SplitHostPort(a.String()); err == nil {
		host += ":" + port
	}
	return host
}
