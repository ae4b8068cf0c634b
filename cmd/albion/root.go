package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// streams is where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	name     string // by which the program was called
}

// globals is what every command shares.
type globals struct {
	streams
	dataDir string
	json    bool
}

func newRoot(s streams) *cobra.Command {
	g := &globals{streams: s}
	root := &cobra.Command{
		Use:   "albion",
		Short: "HTTPS in front of plain-HTTP servers: an application load balancer that you own",
		Long: `Albion puts HTTPS in front of plain-HTTP servers: it ends TLS, redirects HTTP,
balances over healthy targets, carries WebSockets and SockJS, and changes its
configuration without cutting a connection.`,
		Example: `  albion demo                                              # see it work, with a chat
  albion up --domain chat.example.com --to 127.0.0.1:8080  # HTTPS for your own server
  albion serve -c albion.yaml                              # the declarative way
  albion status                                            # how everything stands
  albion doctor chat.example.com                           # what a browser and a CA would see`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.PersistentFlags().StringVar(&g.dataDir, "data", defaultDataDir(), "folder for the state and the keys (or $ALBION_DATA)")
	root.SetVersionTemplate("albion {{.Version}}\n")
	root.AddCommand(newDemo(g), newUp(g), newServe(g), newApply(g), newStatus(g), newCert(g), newDNS(g), newDoctor(g), newSchema(g))
	return root
}

// defaultDataDir follows the system's conventions: /var/lib for root, the XDG
// data directory for people.
func defaultDataDir() string {
	if dir := os.Getenv("ALBION_DATA"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/albion"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "albion")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "albion-data"
	}
	return filepath.Join(home, ".local", "share", "albion")
}

// version is the module's, as the Go tool recorded it, and what it was built
// with.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	return v + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
