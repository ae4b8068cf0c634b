// Albion puts HTTPS in front of plain-HTTP servers. See `albion --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to finish what is in flight; restoring the default
	// lets the second one end the program at once.
	context.AfterFunc(ctx, stop)
	err := execute(ctx, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, name: calledAs(os.Args[0])})
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// calledAs is what to type to call the program again.
func calledAs(arg string) string {
	switch {
	case strings.Contains(arg, "go-build"): // by `go run`, from a file that is gone afterwards
		return "go run ./cmd/albion"
	case strings.ContainsAny(arg, `/\`):
		return arg
	}
	return "albion"
}
