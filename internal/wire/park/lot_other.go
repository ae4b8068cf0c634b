//go:build !linux

package park

import (
	"context"
	"time"
)

// Lot is where connections wait. Its methods may be called from anywhere.
type Lot struct{}

// NewLot makes a Lot that takes nobody in.
func NewLot() *Lot { return &Lot{} }

// Run returns when ctx ends.
func (l *Lot) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Ticket is for somebody who waits.
type Ticket struct{}

// Wake ends the wait.
func (t *Ticket) Wake() {}

// Wait returns nil: the caller has to wait by itself.
func (l *Lot) Wait(*Socket, time.Duration, func()) *Ticket { return nil }

// Tunnel returns false: the caller has to pass the bytes by itself.
func (l *Lot) Tunnel(*Tunnel) bool { return false }
