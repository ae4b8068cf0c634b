package proxy_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/albion-lb/albion"
)

// Both sides of a call may talk at once, for much longer than any window, though
// the target takes the next message only once the answer to the last has gone.
func TestBothSidesTalkAtOnce(t *testing.T) {
	const many, size = 500, 16 << 10
	_, _, address := newCalls(t, "a")
	s := newSpeaking(t, albion.GRPC, address)
	chat := stream(lasting(t, 15*time.Second), t, s.dialGRPC(), "Chat")
	sent := make(chan error, 1)
	go func() {
		in := &message{Value: make([]byte, size)}
		for range many {
			if err := chat.SendMsg(in); err != nil {
				sent <- err
				return
			}
		}
		sent <- chat.CloseSend()
	}()
	out := &message{}
	for i := range many {
		if err := chat.RecvMsg(out); err != nil || len(out.Value) != size {
			t.Fatalf("message %d: %d bytes, %v", i, len(out.Value), err)
		}
	}
	if err := chat.RecvMsg(out); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// endless is a request's content that goes on until enough is closed.
type endless struct{ enough chan struct{} }

func (e endless) Read(p []byte) (int, error) {
	select {
	case <-e.enough:
		return 0, io.EOF
	default:
		return len(p), nil
	}
}

// A target may answer while the content still comes.
func TestAnAnswerDoesNotWaitForTheUpload(t *testing.T) {
	address := web2(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(202)
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "all")
	})
	s := newSpeaking(t, albion.HTTP2, address)
	body := endless{make(chan struct{})}
	req, err := http.NewRequestWithContext(lasting(t, 10*time.Second), "POST", "https://"+s.address+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	close(body.enough)
	if all, err := io.ReadAll(res.Body); res.StatusCode != 202 || string(all) != "all" || err != nil {
		t.Errorf("%d %q %v", res.StatusCode, all, err)
	}
}

// A request that is sent again does not wait for a target with a small window
// either, when that answers without it.
func TestARepeatedRequestReadsTheAnswer(t *testing.T) {
	address := raw(t, func(conn net.Conn) {
		f := http2.NewFramer(conn, conn)
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		for id := uint32(1); readFrame(f, http2.FrameHeaders) == nil; id += 2 {
			if id == 1 {
				readFrame(f, http2.FrameData)
				f.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				continue
			}
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true, BlockFragment: []byte{0x8c}}) // 400
		}
	})
	s := newSpeaking(t, albion.HTTP2, address)
	req, err := http.NewRequestWithContext(lasting(t, 5*time.Second), "POST", "https://"+s.address+"/", io.LimitReader(endless{make(chan struct{})}, 1000))
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 400 {
		t.Errorf("%d", res.StatusCode)
	}
}

// A call that the target resets is over, though the configuration has changed
// meanwhile: it is not asked again, and has one line in the log.
func TestAResetCallIsNotRepeatedAfterAChange(t *testing.T) {
	asked, changed := make(chan uint32, 8), make(chan struct{})
	address := raw(t, func(conn net.Conn) {
		f := http2.NewFramer(conn, conn)
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f.WriteSettings()
		for id := uint32(1); readFrame(f, http2.FrameHeaders) == nil; id += 2 {
			asked <- id
			<-changed
			f.WriteRSTStream(id, http2.ErrCodeInternal)
		}
	})
	s := newSpeaking(t, albion.GRPC, address)
	c := s.dialGRPC()
	ended := make(chan error, 1)
	go func() {
		_, err := call(lasting(t, 10*time.Second), c, "Echo", "")
		ended <- err
	}()
	<-asked
	view := s.view
	s.live.Set(&view)
	close(changed)
	if err := <-ended; grpcstatus.Code(err) != codes.Internal {
		t.Errorf("the call: %v", err)
	}
	lines := s.lines()
	if len(lines) != 1 || !strings.Contains(lines[0], `"TargetResetStream"`) {
		t.Errorf("%q", lines)
	}
	if len(asked) != 0 {
		t.Error("the target was asked again")
	}
}
