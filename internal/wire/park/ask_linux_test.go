package park_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire/park"
)

// Questions of any size get their own answers, in time or late, and a question
// that comes upon words that nobody asked for is not sent.
func TestAskIsAnswered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near, far := pair(t)
		near.SetDeadline(time.Now().Add(30 * time.Second))
		for range rapid.IntRange(1, 4).Draw(t, "questions") {
			question := make([]byte, rapid.SampledFrom([]int{1, 100, 5000, 8 << 20}).Draw(t, "size"))
			rand.NewChaCha8([32]byte{1}).Read(question)
			answered := make(chan error, 1)
			go func() {
				got := make([]byte, len(question))
				_, err := io.ReadFull(far, got)
				if err == nil && string(got) != string(question) {
					err = errors.New("another question")
				}
				_, failed := far.Write([]byte("answer"))
				answered <- errors.Join(err, failed)
			}()
			room := make([]byte, 100)
			n, err := near.Ask(question, room)
			if err := errors.Join(err, <-answered); err != nil || string(room[:n]) != "answer" {
				t.Fatalf("%q, %v", room[:n], err)
			}
		}
		// The word has come once it can be seen.
		if _, err := far.Write([]byte("unasked")); err != nil {
			t.Fatal(err)
		}
		seen(t, near)
		if _, err := near.Ask([]byte("well?"), make([]byte, 10)); !errors.Is(err, park.ErrStale) {
			t.Fatalf("got %v", err)
		}
		near.CloseWrite()
		if rest, err := io.ReadAll(far); len(rest) > 0 || err != nil {
			t.Fatalf("%q was sent, %v", rest, err)
		}
	})
}

// seen waits until there is something to read.
func seen(t tb, s *park.Socket) {
	t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAskNoticesThatNobodyIsThere(t *testing.T) {
	near, far := pair(t)
	near.SetDeadline(time.Now().Add(30 * time.Second))
	far.Close()
	seen(t, near)
	if _, err := near.Ask([]byte("hello?"), make([]byte, 10)); !errors.Is(err, park.ErrStale) {
		t.Errorf("got %v", err)
	}
	near, far = pair(t)
	near.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		io.ReadFull(far, make([]byte, 6))
		far.Close()
	}()
	if n, err := near.Ask([]byte("hello?"), make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("got %d, %v", n, err)
	}
	near, _ = pair(t)
	near.Close()
	if _, err := near.Ask([]byte("hello?"), make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// A late answer is read by whoever goes on waiting.
func TestAskGivesUpInTime(t *testing.T) {
	near, far := pair(t)
	near.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := near.Ask([]byte("hello?"), make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	near.SetReadDeadline(time.Now().Add(30 * time.Second))
	far.Write([]byte("yes"))
	room := make([]byte, 10)
	if n, err := near.Read(room); err != nil || string(room[:n]) != "yes" {
		t.Errorf("%q, %v", room[:n], err)
	}
}

// A question is sent even when the time to wait for its answer is over.
func TestAskIsSentLate(t *testing.T) {
	near, far := pair(t)
	far.SetDeadline(time.Now().Add(30 * time.Second))
	for _, question := range []string{"hello?", "still there?"} {
		near.SetReadDeadline(time.Unix(1, 0))
		room := make([]byte, 100)
		if n, err := near.Ask([]byte(question), room); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d, %v", n, err)
		}
		got := make([]byte, len(question))
		if _, err := io.ReadFull(far, got); err != nil || string(got) != question {
			t.Fatalf("%q, %v", got, err)
		}
		far.Write([]byte("yes"))
		near.SetReadDeadline(time.Now().Add(30 * time.Second))
		if n, err := near.Read(room); err != nil || string(room[:n]) != "yes" {
			t.Fatalf("%q, %v", room[:n], err)
		}
	}
	far.Write([]byte("unasked"))
	seen(t, near)
	near.SetReadDeadline(time.Unix(1, 0))
	if _, err := near.Ask([]byte("well?"), make([]byte, 10)); !errors.Is(err, park.ErrStale) {
		t.Errorf("got %v", err)
	}
	near.Close()
	if _, err := near.Ask([]byte("hello?"), make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
