package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/albion-lb/albion"
)

// message is what the calls of the tests carry.
type message = wrapperspb.BytesValue

// calls is a gRPC service with a method of each of the four kinds, and some that
// misbehave.
type calls struct {
	name    string
	entered chan string   // the names of methods that were called
	ended   chan error    // why the contexts of /test.Calls/Hang ended
	gate    chan struct{} // what /test.Calls/Gate waits for
}

func (s *calls) unary(ctx context.Context, method string, in *message) (*message, error) {
	select {
	case s.entered <- method:
	default:
	}
	md, _ := metadata.FromIncomingContext(ctx)
	switch method {
	case "Echo":
		if key := md.Get("x-key"); len(key) > 0 {
			grpc.SetHeader(ctx, metadata.Pairs("x-head", key[0], "x-raw-bin", string([]byte{0, 1, 254})))
			grpc.SetTrailer(ctx, metadata.Pairs("x-tail", key[0], "retry-after", "7"))
		}
		return in, nil
	case "Saw":
		return &message{Value: []byte(first(md, ":authority") + " " + first(md, "x-forwarded-proto") + " " + first(md, "content-type"))}, nil
	case "Who":
		return &message{Value: []byte(s.name)}, nil
	case "Fail":
		grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "failed"))
		return nil, grpcstatus.Error(codes.FailedPrecondition, "not now, 100% sure")
	case "Hang":
		<-ctx.Done()
		s.ended <- ctx.Err()
		return nil, ctx.Err()
	case "Gate":
		select {
		case <-s.gate:
			return &message{Value: []byte(s.name)}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, grpcstatus.Error(codes.Unimplemented, method)
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return "-"
}

// collect is client streaming: the answer is how many bytes came.
func (s *calls) collect(stream grpc.ServerStream) error {
	total := 0
	for {
		in := &message{}
		err := stream.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(&message{Value: []byte(strconv.Itoa(total))})
		}
		if err != nil {
			return err
		}
		total += len(in.Value)
	}
}

// list is server streaming: as many answers as the request says.
func (s *calls) list(stream grpc.ServerStream) error {
	in := &message{}
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(in.Value))
	if err != nil {
		return grpcstatus.Error(codes.InvalidArgument, err.Error())
	}
	for i := range n {
		if err := stream.SendMsg(&message{Value: []byte(strconv.Itoa(i))}); err != nil {
			return err
		}
	}
	stream.SetTrailer(metadata.Pairs("x-count", strconv.Itoa(n)))
	return nil
}

// chat is bidirectional: every message comes back at once.
func (s *calls) chat(stream grpc.ServerStream) error {
	for {
		in := &message{}
		err := stream.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if bytes.Equal(in.Value, []byte("stop")) {
			return grpcstatus.Error(codes.Aborted, "stopped")
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

func (s *calls) desc() *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: "test.Calls", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: "Collect", ClientStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return s.collect(st) }},
		{StreamName: "List", ServerStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return s.list(st) }},
		{StreamName: "Chat", ClientStreams: true, ServerStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return s.chat(st) }},
	}}
	for _, name := range []string{"Echo", "Saw", "Who", "Fail", "Hang", "Gate"} {
		d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &message{}
			if err := dec(in); err != nil {
				return nil, err
			}
			return s.unary(ctx, name, in)
		}})
	}
	return d
}

// newCalls serves the service with grpc-go.
func newCalls(t testing.TB, name string, options ...grpc.ServerOption) (s *calls, server *grpc.Server, address string) {
	t.Helper()
	s = &calls{name: name, entered: make(chan string, 4096), ended: make(chan error, 64), gate: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options = append([]grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20), grpc.WaitForHandlers(true)}, options...)
	server = grpc.NewServer(options...)
	server.RegisterService(s.desc(), s)
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return s, server, l.Addr().String()
}

// newSpeaking is a balancer whose targets speak this version.
func newSpeaking(t testing.TB, version albion.ProtocolVersion, targets ...string) *secure {
	t.Helper()
	s := newSecure(t)
	s.speak(version, targets...)
	return s
}

func (s *secure) speak(version albion.ProtocolVersion, targets ...string) {
	s.group.ProtocolVersion = version
	s.register(targets...)
}

// dialGRPC is a client of grpc-go that speaks with the balancer.
func (s *secure) dialGRPC() *grpc.ClientConn {
	s.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.address,
		grpc.WithTransportCredentials(credentials.NewTLS(s.config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)),
		grpc.WithDisableRetry(),
	)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

func lasting(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// call makes a unary call.
func call(ctx context.Context, c *grpc.ClientConn, method, in string, options ...grpc.CallOption) (string, error) {
	out := &message{}
	err := c.Invoke(ctx, "/test.Calls/"+method, &message{Value: []byte(in)}, out, options...)
	return string(out.Value), err
}

// stream begins a streaming call.
func stream(ctx context.Context, t testing.TB, c *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	st, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Calls/"+method)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func send(t testing.TB, st grpc.ClientStream, text string) {
	t.Helper()
	if err := st.SendMsg(&message{Value: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, st grpc.ClientStream) string {
	t.Helper()
	out := &message{}
	if err := st.RecvMsg(out); err != nil {
		t.Fatal(err)
	}
	return string(out.Value)
}

func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx, cancel
}
