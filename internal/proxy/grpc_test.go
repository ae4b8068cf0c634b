package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/albion-lb/albion"
)

func TestGRPCUnary(t *testing.T) {
	_, _, address := newCalls(t, "a")
	for _, version := range []albion.ProtocolVersion{albion.GRPC, albion.HTTP2} {
		s := newSpeaking(t, version, address)
		c := s.dialGRPC()
		var head, tail metadata.MD
		ctx := metadata.AppendToOutgoingContext(lasting(t, 10*time.Second), "x-key", "value")
		if got, err := call(ctx, c, "Echo", "hello", grpc.Header(&head), grpc.Trailer(&tail)); got != "hello" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if first(head, "x-head") != "value" || first(head, "x-raw-bin") != "\x00\x01\xfe" || first(tail, "x-tail") != "value" || first(tail, "retry-after") != "7" {
			t.Errorf("metadata: %v, %v", head, tail)
		}
		_, err := call(ctx, c, "Fail", "", grpc.Trailer(&tail))
		if st := grpcstatus.Convert(err); st.Code() != codes.FailedPrecondition || st.Message() != "not now, 100% sure" || first(tail, "x-tail") != "failed" {
			t.Errorf("%v %v", err, tail)
		}
		if _, err := call(ctx, c, "Nobody", ""); grpcstatus.Code(err) != codes.Unimplemented {
			t.Errorf("an unknown method: %v", err)
		}
		if got, err := call(ctx, c, "Saw", ""); got != "127.0.0.1 https application/grpc" || err != nil {
			t.Errorf("the target saw %q, %v", got, err)
		}
		large := strings.Repeat("0123456789abcdef", 20<<16)
		if got, err := call(ctx, c, "Echo", large); got != large || err != nil {
			t.Errorf("%d bytes of %d, %v", len(got), len(large), err)
		}
		for _, line := range s.lines() {
			if !strings.HasPrefix(line, "grpcs ") || !strings.Contains(line, " 200 200 ") || !strings.Contains(line, `HTTP/2.0" `) {
				t.Error(line)
			}
		}
	}
}

func TestGRPCStreams(t *testing.T) {
	_, _, address := newCalls(t, "a")
	s := newSpeaking(t, albion.GRPC, address)
	c := s.dialGRPC()
	ctx := lasting(t, 20*time.Second)

	up := stream(ctx, t, c, "Collect")
	for range 1000 {
		send(t, up, strings.Repeat("x", 100))
	}
	up.CloseSend()
	if got := receive(t, up); got != "100000" {
		t.Errorf("collected %s bytes", got)
	}

	down := stream(ctx, t, c, "List")
	send(t, down, "5000")
	down.CloseSend()
	for i := range 5000 {
		if got := receive(t, down); got != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, got)
		}
	}
	if err := down.RecvMsg(&message{}); !errors.Is(err, io.EOF) || first(down.Trailer(), "x-count") != "5000" {
		t.Errorf("%v %v", err, down.Trailer())
	}

	// Each message has to come back before the next is sent: nothing is held back.
	both := stream(ctx, t, c, "Chat")
	for i := range 200 {
		text := strconv.Itoa(i)
		send(t, both, text)
		if got := receive(t, both); got != text {
			t.Fatalf("%q came back for %q", got, text)
		}
	}
	send(t, both, "stop")
	if err := both.RecvMsg(&message{}); grpcstatus.Code(err) != codes.Aborted {
		t.Errorf("the end of the target: %v", err)
	}
	closed := stream(ctx, t, c, "Chat")
	closed.CloseSend()
	if err := closed.RecvMsg(&message{}); !errors.Is(err, io.EOF) {
		t.Errorf("the end of both: %v", err)
	}
}

func TestWhoGivesUpACallTellsTheTarget(t *testing.T) {
	service, _, address := newCalls(t, "a")
	s := newSpeaking(t, albion.GRPC, address)
	c := s.dialGRPC()
	_, err := call(lasting(t, 50*time.Millisecond), c, "Hang", "")
	if grpcstatus.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	if err := <-service.ended; err == nil {
		t.Error("the target's context did not end")
	}
	ctx, cancel := contextOf(t)
	go func() {
		<-service.entered
		<-service.entered
		cancel()
	}()
	if _, err := call(ctx, c, "Hang", ""); grpcstatus.Code(err) != codes.Canceled {
		t.Error(err)
	}
	<-service.ended
	if lines := s.lines(); len(lines) != 2 || !strings.Contains(lines[1], " 460 ") || !strings.Contains(lines[1], `"ClientClosed"`) {
		t.Errorf("%q", lines)
	}
}

func TestAThousandCallsAtOnce(t *testing.T) {
	const many = 1000
	service, _, address := newCalls(t, "a", grpc.MaxConcurrentStreams(100))
	s := newSpeaking(t, albion.GRPC, address)
	clients := make([]*grpc.ClientConn, many/100)
	for i := range clients {
		clients[i] = s.dialGRPC()
	}
	ctx := lasting(t, 60*time.Second)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			if got, err := call(ctx, clients[i%len(clients)], "Gate", ""); got != "a" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		})
	}
	for range many {
		<-service.entered // all are under way
	}
	close(service.gate)
	all.Wait()
}

// Calls that are under way finish at the target that is taken out, and no other
// fails.
func TestATargetIsDrainedWithoutLosingACall(t *testing.T) {
	_, _, one := newCalls(t, "one")
	_, _, two := newCalls(t, "two")
	s := newSpeaking(t, albion.GRPC, one, two)
	c := s.dialGRPC()
	ctx := lasting(t, 30*time.Second)
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	served := map[string]int{}
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				who, err := call(ctx, c, "Who", "")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				served[who]++
				mu.Unlock()
			}
		})
	}
	for i := range 20 {
		if i%2 == 0 {
			s.register(two)
		} else {
			s.register(one, two)
		}
		for range 50 {
			if _, err := call(ctx, c, "Who", ""); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	all.Wait()
	if served["one"] == 0 || served["two"] == 0 {
		t.Errorf("%v", served)
	}
}

// A target that leaves says GOAWAY: what it did not look at is asked elsewhere.
func TestATargetThatLeavesLosesNoCall(t *testing.T) {
	_, leaving, one := newCalls(t, "one")
	_, _, two := newCalls(t, "two")
	s := newSpeaking(t, albion.GRPC, one, two)
	c := s.dialGRPC()
	ctx := lasting(t, 30*time.Second)
	var all sync.WaitGroup
	began := make(chan struct{}, 1000)
	for range 8 {
		all.Go(func() {
			for range 100 {
				if _, err := call(ctx, c, "Who", ""); err != nil && !strings.Contains(fmt.Sprint(err), "502") {
					t.Error(err)
				}
				began <- struct{}{}
			}
		})
	}
	for range 50 {
		<-began
	}
	leaving.GracefulStop()
	s.register(two)
	all.Wait()
	for _, line := range s.lines() {
		if strings.Contains(line, " 502 ") && !strings.Contains(line, "TargetConnectionRefused") {
			t.Error(line)
		}
	}
}

// A target that sees to it that somebody is there gets its answers, while nobody
// says anything else.
func TestTheKeepaliveOfATarget(t *testing.T) {
	t.Parallel() // it waits
	_, _, address := newCalls(t, "a", grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, Timeout: 500 * time.Millisecond}))
	s := newSpeaking(t, albion.GRPC, address)
	chat := stream(lasting(t, 20*time.Second), t, s.dialGRPC(), "Chat")
	send(t, chat, "hello")
	receive(t, chat)
	<-time.After(2500 * time.Millisecond) // one second, and the time out, twice
	send(t, chat, "still here")
	if got := receive(t, chat); got != "still here" {
		t.Errorf("%q", got)
	}
}

// What the balancer answers by itself is an answer of HTTP, as ALB's is.
func TestErrorsOfTheBalancerToGRPC(t *testing.T) {
	s := newSpeaking(t, albion.GRPC)
	c := s.dialGRPC()
	if _, err := call(lasting(t, 10*time.Second), c, "Echo", ""); grpcstatus.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "503") {
		t.Errorf("no target: %v", err)
	}
	other := newSpeaking(t, albion.HTTP1, "127.0.0.1:1")
	if _, err := call(lasting(t, 10*time.Second), other.dialGRPC(), "Echo", ""); grpcstatus.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "464") {
		t.Errorf("a target of HTTP/1.1: %v", err)
	}
}
