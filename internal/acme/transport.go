package acme

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxAnswer      = 1 << 20 // bytes of one answer; a chain takes 10 KiB
	requestTimeout = 30 * time.Second
	maxRedirects   = 3
)

// transport is what stands between the library and the network. The library
// shows neither Retry-After nor the clock of the CA, and asks again at once where
// the CA has asked to be left alone.
type transport struct {
	base    http.RoundTripper
	timeout time.Duration
	now     func() time.Time

	mu      sync.Mutex // guards what follows
	refusal *refusal   // the CA has asked to be left alone
	retry   time.Time  // Retry-After of the last answer that had one
	skew    time.Duration
	dated   bool
}

// refusal is an answer 429 or 5xx with Retry-After, kept to be given again.
type refusal struct {
	status int
	header http.Header
	body   []byte
	until  time.Time
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" { // RFC 8555 §6.1
		return nil, errors.New("the CA gave an address that is not https")
	}
	if old := t.refused(); old != nil {
		if r.Body != nil {
			r.Body.Close() // the contract of RoundTripper; nothing depends on it
		}
		return old.response(r), nil
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if closing := res.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the CA's answer is larger than %d bytes", maxAnswer)
	}
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	t.note(res, body)
	return res, nil
}

// note remembers what an answer says besides its contents.
func (t *transport) note(res *http.Response, body []byte) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		t.skew, t.dated = now.Sub(date), true
	}
	until, ok := retryAfter(res.Header.Get("Retry-After"), now)
	t.retry = until
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 && ok {
		t.refusal = &refusal{res.StatusCode, res.Header.Clone(), body, until}
	}
}

func (t *transport) refused() *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refusal
}

// pause is how long the last answer asks to wait before asking for the same
// again, at least low and at most a minute.
func (t *transport) pause(low time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(low, min(t.retry.Sub(t.now()), time.Minute))
}

// Skew is how far this machine's clock is ahead of the CA's; known is false
// before the CA has said.
func (c *Client) Skew() (ahead time.Duration, known bool) {
	c.transport.mu.Lock()
	defer c.transport.mu.Unlock()
	return c.transport.skew, c.transport.dated
}

func (r *refusal) response(to *http.Request) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(r.status), StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header.Clone(), Body: io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)), Request: to,
	}
}

// maxRetryAfter bounds what a CA can make us wait: its limits are of a week.
const maxRetryAfter = 8 * 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func retryAfter(text string, now time.Time) (until time.Time, ok bool) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return now.Add(min(time.Duration(seconds)*time.Second, maxRetryAfter)), true
	}
	if date, err := http.ParseTime(text); err == nil {
		if latest := now.Add(maxRetryAfter); date.After(latest) {
			date = latest
		}
		return date, true
	}
	return time.Time{}, false
}

// newTransport is the network, with the trust that the configuration gives.
func newTransport(c Config) (*transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, Time: c.Now}
	if c.Roots != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(c.Roots)) {
			return nil, errors.New("acme: there is no certificate among the CA's roots")
		}
	}
	base := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: 64 << 10,
		MaxConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
	}
	return &transport{base: base, timeout: c.Timeout, now: c.Now}, nil
}

// httpClient is for one CA: bounded in time and in redirects.
func (t *transport) httpClient() *http.Client {
	return &http.Client{
		Transport: t, Timeout: t.timeout,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("the CA redirects in circles")
			}
			return nil
		},
	}
}
