package health

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// servingPath is the method of gRPC's own health checking protocol.
const servingPath = "/grpc.health.v1.Health/Check"

// emptyMessage is how gRPC frames a message without fields: not compressed, no
// bytes (gRPC's page "gRPC over HTTP2", Requests).
var emptyMessage = [5]byte{}

// clientHTTP2 is clientTLS for a target of HTTP/2 (RFC 9113 §9.2).
func clientHTTP2(host string) *tls.Config {
	config := clientTLS(host)
	config.MinVersion, config.NextProtos = tls.VersionTLS12, []string{"h2"}
	return config
}

// exchangeHTTP2 asks over HTTP/2: GET, or with gRPC a call with an empty message.
// It owns conn, and leaves no goroutine.
func (c *Checker) exchangeHTTP2(ctx context.Context, conn net.Conn, host string, hc settings) (Result, error) {
	client := h2.NewClient(conn, h2.ClientConfig{Limits: h2.Limits{Head: maxHead}, Streams: 1, IdleTimeout: hc.Timeout}, c.http2)
	served := make(chan struct{})
	go func() { // joined below
		defer close(served)
		_ = client.Serve() // what the target did wrong, the stream says
	}()
	defer func() {
		client.Cut()
		<-served
	}()
	defer context.AfterFunc(ctx, client.Cut)()
	if err := client.Await(ctx); err != nil {
		return Result{}, err
	}
	s, err := client.Open()
	if err != nil {
		return Result{}, err
	}
	defer s.Release()
	if err := sendProbe(s, host, hc); err != nil {
		return Result{}, err
	}
	return readProbe(s, hc)
}

func sendProbe(s *h2.Stream, host string, hc settings) error {
	field := func(name, value string) wire.Field { return wire.Field{Name: []byte(name), Value: []byte(value)} }
	r := &h2.Request{Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte(host), Path: []byte(hc.Path)}
	if hc.Protocol == albion.HTTPS {
		r.Scheme = []byte("https")
	}
	r.Fields = []wire.Field{field("user-agent", "ELB-HealthChecker/2.0")}
	if hc.version != albion.GRPC {
		r.Fields = append(r.Fields, field("accept-encoding", "gzip, compressed"))
		return s.WriteRequest(r, true)
	}
	r.Method, r.Trailers = []byte("POST"), true
	r.Fields = append(r.Fields, field("content-type", "application/grpc"))
	if err := s.WriteRequest(r, false); err != nil {
		return err
	}
	if err := s.Finish(emptyMessage[:], nil); err != nil && !errors.Is(err, h2.ErrFinished) {
		return err // ErrFinished: the answer is there already
	}
	return nil
}

// readProbe reads the answer, at least the beginning of its content; of gRPC all
// of it, because the status comes last.
func readProbe(s *h2.Stream, hc settings) (Result, error) {
	var head wire.Response
	for interims := 0; head.Status < 200; interims++ {
		if interims == maxInterim {
			return Result{}, errors.New("too many interim answers")
		}
		if _, err := s.ReadHead(&head); err != nil {
			return Result{}, err
		}
	}
	result := Result{Status: head.Status}
	code := fieldOf(head.Fields, "grpc-status")
	body, err := io.ReadAll(io.LimitReader(s, maxBody))
	if hc.version != albion.GRPC || err != nil || head.Status != 200 {
		return result, err
	}
	if code == "" {
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return Result{}, errors.New("the answer is longer than that to a health check")
		}
		code = fieldOf(s.Trailers(), "grpc-status")
	}
	number, err := strconv.ParseUint(code, 10, 16)
	if err != nil {
		return Result{}, errors.New("the answer has no grpc-status")
	}
	path, _, _ := strings.Cut(hc.Path, "?")
	return Result{Status: int(number), GRPC: true, NotServing: path == servingPath && number == 0 && !serving(body)}, nil
}

// serving reads HealthCheckResponse: its first field is the status, and 1 says
// SERVING (grpc.health.v1).
func serving(body []byte) bool {
	const tag, yes = 1 << 3, 1 // field 1, a varint
	message := body[min(len(body), len(emptyMessage)):]
	return len(message) >= 2 && message[0] == tag && message[1] == yes
}

func fieldOf(fields []wire.Field, name string) string {
	for i := range fields {
		if wire.EqualFold(fields[i].Name, name) {
			return string(fields[i].Value)
		}
	}
	return ""
}
