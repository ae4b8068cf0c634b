package park

import (
	"net"
	"time"
)

// Tunnel is two connections, and what is to be done with them: whatever one side
// says goes to the other. When one has said everything, the other is told so and
// may go on; every other end is the end of both.
type Tunnel struct {
	Client, Target End
	Early          []byte        // what the client has said already
	Idle           time.Duration // after so long without a word of either, it ends

	// Ended is called once, on a goroutine of its own that Run waits for. Both
	// connections belong to it, and have to be closed.
	Ended func(Outcome)
}

// End is one end of a tunnel.
type End struct {
	Socket *Socket
	Conn   net.Conn // what is read and written: Socket, or a *tls.Conn on top of it
}

// Outcome is how a tunnel ended.
type Outcome struct {
	FromClient, FromTarget Told
	Panic                  any // a mistake of ours that ended it; nil: none
	Stack                  []byte
}

// Told is one direction of a tunnel.
type Told struct {
	Bytes int64
	Err   error // why it ended; nil: its side had said everything
}
