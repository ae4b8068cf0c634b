// Albion puts HTTPS in front of plain-HTTP servers. See `albion --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to finish what is in flight; restoring the default
	// lets the second one end the program at once.
	context.AfterFunc(ctx, stop)
	err := execute(ctx, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	if err != nil {
		os.Exit(1)
	}
}
