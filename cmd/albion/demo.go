package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/examples/chat/room"
	"github.com/albion-lb/albion/internal/config"
)

func newDemo(g *globals) *cobra.Command {
	o := serverOptions{grace: 2 * time.Second, logFormat: "text", admin: "off", quiet: true}
	var httpPort, httpsPort uint16
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A chat on plain HTTP, and Albion in front of it: open it in a browser",
		Long: `Start two chat servers on plain HTTP and Albion in front of them, with a
certificate of its own local CA, and say which address to open. Needs no root
and leaves nothing behind but the CA, in the demo folder of --data.`,
		Example: `  albion demo
  albion demo --https-port 9443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.dataDir = filepath.Join(g.dataDir, "demo")
			return g.demo(cmd.Context(), o, httpPort, httpsPort)
		},
	}
	cmd.Flags().Uint16Var(&httpsPort, "https-port", 0, "port for HTTPS (default: 8443, or a free one)")
	cmd.Flags().Uint16Var(&httpPort, "http-port", 0, "port that redirects to HTTPS (default: 8080, or a free one)")
	return cmd
}

func (g *globals) demo(ctx context.Context, o serverOptions, httpPort, httpsPort uint16) error {
	chats, err := startChats(2, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- chats.run(running) }() // joined below
	up := config.UpOptions{
		Domains: []string{"localhost", "127.0.0.1", "::1"}, To: chats.addresses(),
		HTTPPort: freePort(httpPort, 8080), HTTPSPort: freePort(httpsPort, 8443),
	}
	text, err := config.Up(up)
	if err == nil {
		err = g.up(ctx, o, text, func(s *server) { g.invite(s, up) }, nil)
	}
	stop()
	return errors.Join(err, <-ended)
}

// invite says what to open and what to type.
func (g *globals) invite(s *server, up config.UpOptions) {
	open := address("https", "localhost", up.HTTPSPort)
	path, err := writeAuthority(s)
	if err != nil {
		s.log.Error("the CA certificate cannot be written", "error", err.Error())
	}
	fmt.Fprintf(g.out, `A chat on plain HTTP, and Albion in front of it.

  Open   %s
         The browser warns until it trusts this CA certificate:
         %s
  Try    curl --cacert %s %shealthz

  The two chat servers speak plain HTTP: http://%s/ and http://%s/
  %s redirects to HTTPS.
  %s shows how they fare.

Ctrl-C ends everything.
`, open, path, path, open, up.To[0], up.To[1], address("http", "localhost", up.HTTPPort), g.statusCommand(s.dataDir))
}

// chats are several chat servers that share their rooms.
type chats struct {
	servers   []*room.Server
	listeners []net.Listener
}

func startChats(n int, log *slog.Logger) (*chats, error) {
	messages, names := room.NewMemoryLog(time.Now), room.NewMemoryTable()
	c := &chats{}
	for i := range n {
		chat, err := room.New(room.Config{Instance: fmt.Sprintf("chat-%d", i+1), Log: messages, Table: names, Logger: log})
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.servers, c.listeners = append(c.servers, chat), append(c.listeners, l)
	}
	return c, nil
}

func (c *chats) close() error {
	var errs []error
	for _, l := range c.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (c *chats) addresses() []string {
	var all []string
	for _, l := range c.listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

// run serves until ctx ends, then sends the clients away and closes.
func (c *chats) run(ctx context.Context) error {
	var parts sync.WaitGroup
	errs := make([]error, 2*len(c.servers))
	for i, chat := range c.servers {
		web := &http.Server{Handler: chat.Handler(), ReadHeaderTimeout: 10 * time.Second}
		parts.Go(func() {
			errs[2*i] = chat.Run(ctx)
			last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if web.Shutdown(last) != nil {
				web.Close()
			}
		})
		parts.Go(func() {
			if err := web.Serve(c.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				errs[2*i+1] = err
			}
		})
	}
	parts.Wait()
	return errors.Join(errs...)
}

// freePort returns the port that was asked for, else the preferred one, else
// one that nobody uses.
func freePort(asked, preferred uint16) uint16 {
	if asked != 0 {
		return asked
	}
	for _, port := range []uint16{preferred, 0} {
		l, err := net.Listen("tcp", ":"+strconv.Itoa(int(port)))
		if err != nil {
			continue
		}
		defer l.Close()
		return uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return preferred
}
