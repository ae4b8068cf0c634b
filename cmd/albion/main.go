// Albion puts HTTPS in front of plain-HTTP servers. See `albion --help`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to finish what is in flight; restoring the default
	// lets the second one end the program at once.
	context.AfterFunc(ctx, stop)
	err := newRoot(streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "albion:", err)
		os.Exit(1)
	}
}
