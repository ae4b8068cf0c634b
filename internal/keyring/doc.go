// Package keyring decides which certificate a TLS handshake is shown and under
// which security policy it takes place.
//
//	k := keyring.New(keyring.Config{})
//	go k.Run(ctx) // rotates the session-ticket keys
//
//	ring, err := k.Compile(state, listener)
//	live.Store(ring)
//	config, err := k.Config(listener.SSLPolicy, live.Load)
//	conn := tls.Server(accepted, config)
//
// A Ring is what one listener may show; it is never written after Compile. A
// change of certificates is a new Ring, which the next handshake loads; the
// tls.Config stays, and so do sessions, whatever Config they began with. A
// change of policy is a new Config, under which no session of the old policy
// is resumed.
//
// A handshake takes no lock of this package, does no I/O and never issues a
// certificate.
package keyring
