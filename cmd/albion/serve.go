package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/config"
)

func newServe(g *globals) *cobra.Command {
	var file string
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Serve what a configuration file declares, and follow its changes",
		Long: `Serve what a configuration file declares. The file is watched: a change is
applied within a second, whole or not at all, without cutting a connection. A
file with mistakes is refused with their places, and what runs goes on.

Signals: SIGTERM and SIGINT finish what is in flight and end; a second one ends
at once; SIGHUP reads the file again and reopens the access logs.`,
		Example: `  albion serve -c albion.yaml
  albion serve -c /etc/albion/albion.yaml --data /var/lib/albion --admin 127.0.0.1:9440`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.dataDir = g.dataDir
			return serve(cmd.Context(), g, o, file)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file (see docs/configuration.md)")
	cmd.MarkFlagRequired("config")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	addServerFlags(cmd, &o, "json")
	return cmd
}

// addServerFlags adds what up and serve have in common.
func addServerFlags(cmd *cobra.Command, o *serverOptions, logFormat string) {
	cmd.Flags().StringVar(&o.admin, "admin", "127.0.0.1:9440", "address of /metrics, /healthz and /status, or off")
	cmd.Flags().DurationVar(&o.grace, "grace", 30*time.Second, "time for requests and WebSockets in flight at the end")
	cmd.Flags().StringVar(&o.logFormat, "log-format", logFormat, "the operator's log on standard error: json or text")
	cmd.Flags().StringSliceVar(&o.solve.resolvers, "resolver", nil, "recursive name server to ask before a CA does, ADDRESS or ADDRESS:PORT; may be repeated (default: this machine's)")
	cmd.Flags().IntVar(&o.solve.dnsPort, "authoritative-port", 53, "port at which the name servers of zones are asked, for tests")
	cmd.Flags().IntVar(&o.solve.httpPort, "challenge-port", 80, "port at which CAs ask by HTTP, for tests")
	cmd.Flags().MarkHidden("authoritative-port")
	cmd.Flags().MarkHidden("challenge-port")
	cmd.Flags().BoolVar(&o.volatile, "volatile-data", false, "order from public CAs although the data folder is in memory")
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, "log more")
	cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"json", "text"}, cobra.ShellCompDirectiveNoFileComp))
}

func serve(ctx context.Context, g *globals, o serverOptions, file string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	before := sum(path)
	data, err := readFile(file)
	if err != nil {
		return err
	}
	const consequence = "nothing was started"
	if _, err := config.Parse(file, data); err != nil {
		return refused(file, file, err, consequence) // before anything is opened
	}
	s, err := openServer(ctx, o, g.streams)
	if err != nil {
		return err
	}
	if _, err := s.service.Apply(ctx, admin.ApplyRequest{Name: path, Data: data}); err != nil {
		return errors.Join(refused(file, path, err, consequence), s.closeUnused())
	}
	s.ending = func(clients int) { s.log.Info("ending", "connections", clients, "grace", o.grace.String()) }
	return s.run(ctx, func(ctx context.Context) error {
		for _, l := range s.service.Status().Listeners {
			s.log.Info("listener", "name", l.Name, "protocol", string(l.Protocol), "address", l.Address, "state", l.State, "problem", l.Problem)
		}
		s.log.Info("ready", "config", path, "data", o.dataDir)
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		s.watch(ctx, &watcher{name: path, text: data, path: path, before: before, every: watchEvery, log: s.log}, hangup)
		return nil
	})
}

// watch applies the configuration again whenever w notices a change, and when
// hangup receives, until ctx ends.
func (s *server) watch(ctx context.Context, w *watcher, hangup <-chan os.Signal) {
	w.apply = func(data []byte) { s.reapply(ctx, w.name, data) }
	w.unread = func(err error) { s.cannotRead(w.name, err) }
	w.note(w.before)
	w.run(ctx, hangup, s.edge.Reopen)
}

// cannotRead remembers why the watched file cannot be read; err is nil once it can.
func (s *server) cannotRead(path string, err error) {
	if err == nil {
		s.unread.Store(nil)
		return
	}
	s.unread.Store(&admin.Refusal{File: path, Problem: "it cannot be read: " + err.Error(), At: time.Now()})
}

// refused is why the watched file is not in force; nil: it is.
func (s *server) refused() *admin.Refusal {
	if r := s.unread.Load(); r != nil {
		return r
	}
	return s.refusal.Load()
}

// reapply makes a changed file live, or says why not.
func (s *server) reapply(ctx context.Context, path string, data []byte) {
	result, err := s.service.Apply(ctx, admin.ApplyRequest{Name: path, Data: data})
	if err != nil {
		s.refusal.Store(&admin.Refusal{File: path, Problem: err.Error(), At: time.Now()})
		s.log.Error("the changed file is refused, what runs goes on", "file", path, "error", err.Error())
		return
	}
	s.refusal.Store(nil)
	for _, c := range result.Changes {
		s.log.Info("applied", "change", c.Text)
	}
	s.log.Info("the file is live", "file", path, "changes", len(result.Changes), "version", result.Version)
}

// closeUnused undoes openServer when nothing was ever served.
func (s *server) closeUnused() error {
	errs := []error{s.socket.Close(), s.store.Close()}
	if s.public != nil {
		errs = append(errs, s.public.Close())
	}
	return errors.Join(errs...)
}
