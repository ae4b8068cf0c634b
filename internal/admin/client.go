package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// exported is acm.Files on its way to a command.
type exported acm.Files

// Client gives the operations to the commands, whether a server runs or not.
type Client struct {
	call func(*http.Request) (*http.Response, error)
}

// Dial makes a Client of the server that listens on a unix socket.
func Dial(socket string) *Client {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}
	return &Client{call: transport.RoundTrip}
}

// Direct makes a Client of a Service in this process.
func Direct(s *Service) *Client {
	handler := s.Operations()
	return &Client{call: func(r *http.Request) (*http.Response, error) {
		w := &recorder{header: http.Header{}, status: http.StatusOK}
		handler.ServeHTTP(w, r)
		return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body)}, nil
	}}
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// Apply makes a configuration file true.
func (c *Client) Apply(ctx context.Context, in ApplyRequest) (*ApplyResult, error) {
	return ask[ApplyResult](ctx, c, "apply", in)
}

// Import keeps a certificate.
func (c *Client) Import(ctx context.Context, in ImportRequest) (*ImportResult, error) {
	return ask[ImportResult](ctx, c, "certificates", in)
}

// Request asks a CA for a certificate.
func (c *Client) Request(ctx context.Context, in CertificateRequest) (*Certificate, error) {
	return ask[Certificate](ctx, c, "certificates/request", in)
}

// Certificates lists them.
func (c *Client) Certificates(ctx context.Context) ([]Certificate, error) {
	all, err := ask[[]Certificate](ctx, c, "certificates/list", struct{}{})
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Certificate shows one, by name or ARN.
func (c *Client) Certificate(ctx context.Context, name string) (*Certificate, error) {
	return ask[Certificate](ctx, c, "certificates/show", named{name})
}

// Export returns one with its key.
func (c *Client) Export(ctx context.Context, name string) (*acm.Files, error) {
	files, err := ask[exported](ctx, c, "certificates/export", named{name})
	return (*acm.Files)(files), err
}

// DeleteCertificate deletes one that nothing uses, and returns what it was.
func (c *Client) DeleteCertificate(ctx context.Context, name string) (*Certificate, error) {
	return ask[Certificate](ctx, c, "certificates/delete", named{name})
}

// Status tells how everything stands.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, "status", struct{}{})
}

func ask[Out any](ctx context.Context, c *Client, operation string, in any) (*Out, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://albion/v1/"+operation, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := c.call(r)
	if err != nil {
		return nil, fmt.Errorf("the running server does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, failed(answer.Body)
	}
	out := new(Out)
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("the running server's answer cannot be read: %w", err)
	}
	return out, nil
}

func failed(body io.Reader) error {
	var f failure
	if err := json.NewDecoder(body).Decode(&f); err != nil {
		return fmt.Errorf("the running server's answer cannot be read: %w", err)
	}
	if f.Code == "" {
		return errors.New(f.Message)
	}
	return &albion.Error{Code: f.Code, Message: f.Message}
}
