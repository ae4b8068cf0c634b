package keyring

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/albion-lb/albion"
)

const (
	// ticketRotation and ticketKeys together keep a session resumable for one
	// to one and a half days, and what a stolen key opens to as much: RFC 9325
	// §3.4 asks for rotation at least weekly.
	ticketRotation = 12 * time.Hour
	ticketKeys     = 3
)

// Config says how a Keyring works. The zero value is for production.
type Config struct {
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // of ticket keys and handshakes; safe for concurrent use; nil: crypto/rand.Reader
	Protocols []string         // for ALPN, the preferred one first; nil: http/1.1
}

// Keyring holds what outlives a configuration: the keys of session tickets, and
// certificates already parsed. There is one in a process.
type Keyring struct {
	now       func() time.Time
	rand      io.Reader
	protocols []string

	// tickets seals and opens the tickets of every listener; it serves no
	// connection. Being one, it lets sessions survive new listener Configs.
	tickets *tls.Config

	mu     sync.Mutex // guards what follows
	keys   [][32]byte // newest first
	parsed map[albion.ARN]parsed
	proofs map[string]*tls.Certificate // by key authorization
}

// New returns a Keyring. Nothing runs until Run.
func New(c Config) *Keyring {
	k := &Keyring{now: c.Now, rand: c.Rand, protocols: slices.Clone(c.Protocols), parsed: map[albion.ARN]parsed{}, proofs: map[string]*tls.Certificate{}}
	if k.now == nil {
		k.now = time.Now
	}
	if k.rand == nil {
		k.rand = rand.Reader
	}
	if k.protocols == nil {
		k.protocols = []string{"http/1.1"}
	}
	k.tickets = &tls.Config{Time: k.now, Rand: k.rand}
	return k
}

// Run rotates the ticket keys until ctx is done, and returns nil then.
func (k *Keyring) Run(ctx context.Context) error {
	ticker := time.NewTicker(ticketRotation)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := k.rotate(false); err != nil {
			return err
		}
	}
}

// rotate adds a ticket key and forgets the oldest; with first, only when there
// is none yet.
func (k *Keyring) rotate(first bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if first && len(k.keys) > 0 {
		return nil
	}
	var key [32]byte
	if _, err := io.ReadFull(k.rand, key[:]); err != nil {
		return fmt.Errorf("keyring: make a session-ticket key: %w", err)
	}
	k.keys = slices.Insert(k.keys, 0, key)
	if len(k.keys) > ticketKeys {
		k.keys = k.keys[:ticketKeys:ticketKeys]
	}
	k.tickets.SetSessionTicketKeys(k.keys)
	return nil
}

// Config returns the TLS configuration of a listener with one of ALB's policies
// (albion.SSLPolicies). current is called in every full handshake: it must not
// block, and may return nil while there is nothing to show, which fails the
// handshake.
//
// When the connection below has a method Chosen(albion.ARN), it is told whose
// certificate was chosen. A resumed session shows none: in TLS 1.3 Chosen is not
// called then, in TLS 1.2 it is, before crypto/tls looks at the ticket, so that
// ConnectionState.DidResume has the last word.
func (k *Keyring) Config(name string, current func() *Ring) (*tls.Config, error) {
	p, ok := lookup(name)
	if !ok {
		e := albion.Errorf(albion.CodeSSLPolicyNotFound, "there is no security policy %q", name)
		e.Kind, e.Field = albion.KindListener, "SslPolicy"
		return nil, e
	}
	if err := k.rotate(true); err != nil {
		return nil, err
	}
	return &tls.Config{
		Time:             k.now,
		Rand:             k.rand,
		MinVersion:       p.min,
		MaxVersion:       p.max,
		CipherSuites:     p.suites,
		CurvePreferences: p.curves(),
		NextProtos:       slices.Clone(k.protocols),
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			ring := current()
			if ring == nil {
				return nil, errors.New("keyring: the listener has no certificate yet")
			}
			cert, arn := ring.Choose(hello, k.now())
			if conn, ok := hello.Conn.(chosen); ok {
				conn.Chosen(arn)
			}
			return cert, nil
		},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return challengeConfig(current(), hello), nil
		},
		WrapSession:   k.wrap(name),
		UnwrapSession: k.unwrap(name),
	}, nil
}

// chosen is a connection that wants to know, for its access log, which
// certificate was shown.
type chosen interface{ Chosen(albion.ARN) }

// sessionMark begins our part of a session's Extra.
const sessionMark = "albion/session\x00"

// mark binds a session to the policy under which it was made, so that it cannot
// outlive a change to a stricter one, and to the name that was asked for
// (RFC 6066 §3: a session must not be resumed under another).
func mark(policy, server string) []byte {
	return []byte(sessionMark + policy + "\x00" + server)
}

func (k *Keyring) wrap(policy string) func(tls.ConnectionState, *tls.SessionState) ([]byte, error) {
	return func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = [][]byte{mark(policy, cs.ServerName)}
		return k.tickets.EncryptTicket(cs, session)
	}
}

func (k *Keyring) unwrap(policy string) func([]byte, tls.ConnectionState) (*tls.SessionState, error) {
	return func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		session, err := k.tickets.DecryptTicket(ticket, cs)
		if err != nil || session == nil {
			return nil, err
		}
		if len(session.Extra) != 1 || string(session.Extra[0]) != string(mark(policy, cs.ServerName)) {
			return nil, nil // a full handshake follows
		}
		return session, nil
	}
}
