package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// What a target may send in answer to a probe.
const (
	maxHead    = 64 << 10 // with every 1xx before it, and the buffered part of the body
	maxBody    = 4 << 10  // read; the rest is not waited for
	maxInterim = 8        // answers with 1xx
)

// probe asks t once. It returns when there is an answer, no hope of one, hc's
// timeout is over or ctx is done, and leaves nothing behind.
func (c *Checker) probe(ctx context.Context, t albion.Target, hc settings) Result {
	ctx, cancel := context.WithTimeout(ctx, hc.Timeout)
	defer cancel()
	result, err := c.ask(ctx, t, hc)
	if err == nil {
		result.At = c.cfg.Now()
		return result
	}
	var slow net.Error
	timeout := errors.As(err, &slow) && slow.Timeout() || errors.Is(ctx.Err(), context.DeadlineExceeded)
	return Result{At: c.cfg.Now(), Timeout: timeout}
}

// ask sends the request on a connection of its own and returns what a complete
// answer says.
func (c *Checker) ask(ctx context.Context, t albion.Target, hc settings) (Result, error) {
	if hc.Port != 0 {
		t.Port = hc.Port
	}
	raw, err := c.cfg.Dial(ctx, "tcp", t.String())
	if err != nil {
		return Result{}, err
	}
	conn := raw
	defer raw.Close()
	http1 := hc.version == albion.HTTP1
	// Unblocks what follows when ctx is done, whichever way.
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	if hc.Protocol == albion.HTTPS {
		config := clientTLS(t.Host)
		if !http1 {
			config = clientHTTP2(t.Host)
		}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return Result{}, err
		}
		conn = secured
	}
	if !http1 {
		return c.exchangeHTTP2(ctx, conn, t.String(), hc)
	}
	status, err := exchange(conn, t.String(), hc.Path)
	return Result{Status: status}, err
}

// clientTLS takes whatever certificate the target shows, as ALB does, and speaks
// what ALB's policy for targets speaks.
func clientTLS(host string) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
	if _, err := netip.ParseAddr(host); err != nil {
		config.ServerName = host // RFC 6066 §3: names only
	}
	return config
}

// exchange sends ALB's health check request and reads the answer, at least the
// beginning of its body. Redirects are answers.
func exchange(conn net.Conn, host, path string) (status int, err error) {
	if path == "" {
		path = "/"
	}
	if path[0] != '/' || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return 0, errors.New("the path is not a request target") // RFC 9112 §3.2.1
	}
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+host+
		"\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n")
	if err != nil {
		return 0, err
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxHead+maxBody))
	for range maxInterim {
		response, err := http.ReadResponse(answer, &http.Request{Method: http.MethodGet})
		if err != nil {
			return 0, err
		}
		if response.StatusCode >= 200 {
			return response.StatusCode, readBody(response)
		}
	}
	return 0, errors.New("too many interim answers")
}

func readBody(response *http.Response) error {
	defer response.Body.Close()
	_, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxBody))
	return err
}
