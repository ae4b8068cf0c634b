package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/wire/park"
)

// handshakeTimeout is how long a client may take to agree on a TLS session.
const handshakeTimeout = 10 * time.Second

// The versions of HTTP by their ALPN names, the better one first.
const (
	http2 = "h2"
	http1 = "http/1.1"
)

// witness is a connection that remembers which certificate its handshake chose.
type witness struct {
	*park.Socket
	chosen albion.ARN
}

// Chosen is called by the keyring during the handshake.
func (w *witness) Chosen(arn albion.ARN) { w.chosen = arn }

// shake does the TLS handshake and puts its result in place of the raw
// connection. False: there was none, and the client knows why.
func (p *port) shake(config *tls.Config, raw *park.Socket, client *proxy.Client) bool {
	w := &witness{Socket: raw}
	secure := tls.Server(w, config)
	ctx, cancel := context.WithTimeout(p.ctx, handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		p.handshakesFailed.Add(1)
		scold(raw, err)
		return false
	}
	p.handshakes.Add(1)
	state := secure.ConnectionState()
	if state.NegotiatedProtocol == keyring.ChallengeProtocol {
		return false // the handshake was all that the CA wanted (RFC 8737 §3)
	}
	chosen := string(w.chosen)
	if state.DidResume {
		chosen = "session-reused"
	}
	client.Conn = secure
	client.HTTP2 = state.NegotiatedProtocol == http2
	client.TLS = &proxy.TLS{
		Version: state.Version, Cipher: state.CipherSuite,
		ServerName: state.ServerName, Certificate: chosen,
	}
	return true
}

// scold tells a client that speaks plain HTTP to an HTTPS port what it did, since
// a person may be looking at what comes back.
func scold(raw *park.Socket, err error) {
	var bad tls.RecordHeaderError
	if !errors.As(err, &bad) || bad.Conn == nil {
		return
	}
	switch string(bad.RecordHeader[:4]) {
	case "GET ", "HEAD", "POST", "PUT ", "OPTI":
		raw.SetDeadline(time.Now().Add(time.Second))
		if _, err := io.WriteString(raw, hint); err != nil {
			return
		}
		// Closing with bytes unread would reset the connection, and the hint could be
		// lost with it.
		if raw.CloseWrite() == nil {
			io.CopyN(io.Discard, raw, 64<<10)
		}
	}
}

const hint = "HTTP/1.1 400 Bad Request\r\nServer: albion\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This port speaks HTTPS: use https:// in the address.\n"
