package park_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire/park"
)

// chopper writes in pieces of random sizes, so that TLS records arrive in parts.
type chopper struct {
	net.Conn
	dice *rand.Rand
	most int
}

func (c *chopper) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(1+c.dice.IntN(c.most), len(rest))
		if _, err := c.Conn.Write(rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
		runtime.Gosched() // a chance that the other side reads what there is
	}
	return len(p), nil
}

// Whatever the pieces in which bytes and TLS records come, and whoever says
// goodbye first: each side hears exactly what the other one said.
func TestTunnelsPassOnEverything(t *testing.T) {
	config := serverTLS(t)
	lot, _ := open(t)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		make1 := func(name string, stream uint64) *peer {
			if !rapid.Bool().Draw(t, name+" has TLS") {
				return plain(t)
			}
			c := &chopper{dice: rand.New(rand.NewPCG(seed, stream)), most: rapid.SampledFrom([]int{1, 7, 300, 40000}).Draw(t, name+" pieces")}
			return secure(t, config, func(conn net.Conn) net.Conn { c.Conn = conn; return c })
		}
		client, target := make1("client", 1), make1("target", 2)
		most := 3000
		if rapid.Bool().Draw(t, "much") {
			most = 300_000
		}
		early := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "early")
		said := [2][]byte{early, nil}
		for i, size := range []int{rapid.IntRange(0, most).Draw(t, "up"), rapid.IntRange(0, most).Draw(t, "down")} {
			more := make([]byte, size)
			rand.NewChaCha8([32]byte{byte(i)}).Read(more)
			said[i] = append(said[i], more...)
		}
		ended := tunnel(t, lot, client, target, func(p *park.Tunnel) { p.Early = early })
		var talk sync.WaitGroup
		var heard [2][]byte
		var failed [4]error
		for i, p := range []*peer{client, target} {
			text := said[i]
			if i == 0 {
				text = text[len(early):]
			}
			talk.Go(func() {
				_, failed[2*i] = p.Write(text)
				failed[2*i] = errors.Join(failed[2*i], p.closeWrite())
			})
			talk.Go(func() { heard[i], failed[2*i+1] = io.ReadAll(p) })
		}
		talk.Wait()
		if err := errors.Join(failed[:]...); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(heard[1], said[0]) || !bytes.Equal(heard[0], said[1]) {
			t.Fatalf("heard %d and %d bytes of %d and %d, or others", len(heard[1]), len(heard[0]), len(said[0]), len(said[1]))
		}
		o := <-ended
		if o.FromClient != (park.Told{Bytes: int64(len(said[0]))}) || o.FromTarget != (park.Told{Bytes: int64(len(said[1]))}) || o.Panic != nil {
			t.Fatalf("ended with %+v", o)
		}
	})
}

func TestTunnelsGoOnHalfClosed(t *testing.T) {
	lot, _ := open(t)
	config := serverTLS(t)
	for name, make1 := range map[string]func() *peer{
		"plain": func() *peer { return plain(t) },
		"TLS":   func() *peer { return secure(t, config, func(c net.Conn) net.Conn { return c }) },
	} {
		client, target := make1(), make1()
		ended := tunnel(t, lot, client, target, nil)
		client.say(t, "all that I have to say")
		if err := client.closeWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(target); err != nil || string(got) != "all that I have to say" {
			t.Errorf("%s: heard %q, %v", name, got, err)
		}
		for range 3 {
			target.say(t, "go on")
			client.hear(t, "go on")
		}
		target.closeWrite()
		if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
			t.Errorf("%s: heard %q, %v", name, rest, err)
		}
		if o := <-ended; o.FromClient.Err != nil || o.FromTarget.Err != nil {
			t.Errorf("%s: ended with %+v", name, o)
		}
	}
}

func TestSilentTunnelsEnd(t *testing.T) {
	lot, _ := open(t)
	begun := time.Now()
	client, target := plain(t), plain(t)
	ended := tunnel(t, lot, client, target, func(p *park.Tunnel) { p.Idle = 600 * time.Millisecond })
	busy, other := plain(t), plain(t)
	talks := tunnel(t, lot, busy, other, func(p *park.Tunnel) { p.Idle = 600 * time.Millisecond })
	stop := make(chan struct{})
	var talk sync.WaitGroup
	talk.Go(func() {
		for beat := time.NewTicker(50 * time.Millisecond); ; <-beat.C {
			select {
			case <-stop:
				beat.Stop()
				return
			default:
				io.WriteString(other, ".")
			}
		}
	})
	o := <-ended
	if took := time.Since(begun); took < 600*time.Millisecond {
		t.Errorf("it ended after %v", took)
	}
	if !errors.Is(o.FromClient.Err, os.ErrDeadlineExceeded) || !errors.Is(o.FromTarget.Err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %+v", o)
	}
	select {
	case o := <-talks:
		t.Errorf("the other one ended with %+v", o)
	default:
	}
	close(stop)
	talk.Wait()
	if o := <-talks; o.FromTarget.Bytes < 5 {
		t.Errorf("ended with %+v", o)
	}
}

// A side that takes nothing holds the other one up, piles nothing up, and ends
// the tunnel after the idle timeout, however busy the other direction is.
func TestDeafSidesEndATunnel(t *testing.T) {
	lot, _ := open(t)
	config := serverTLS(t)
	client, target := secure(t, config, func(c net.Conn) net.Conn { return c }), plain(t)
	ended := tunnel(t, lot, client, target, func(p *park.Tunnel) { p.Idle = time.Second })
	var talk sync.WaitGroup
	var sent int
	talk.Go(func() { // to a client that does not read
		chunk := make([]byte, 64<<10)
		for {
			n, err := target.Write(chunk)
			sent += n
			if err != nil {
				return
			}
		}
	})
	talk.Go(func() { // and talks all the time
		for beat := time.NewTicker(20 * time.Millisecond); ; <-beat.C {
			if _, err := io.WriteString(client, "me, me, me"); err != nil {
				beat.Stop()
				return
			}
		}
	})
	talk.Go(func() { io.Copy(io.Discard, target.tcp) })
	o := <-ended
	talk.Wait()
	if !errors.Is(o.FromTarget.Err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %+v", o)
	}
	if held := int64(sent) - o.FromTarget.Bytes; sent > 64<<20 || held < 0 {
		t.Errorf("%d bytes were taken from the target, %d of them read", sent, o.FromTarget.Bytes)
	}
}

func TestClosingASocketEndsItsTunnel(t *testing.T) {
	lot, _ := open(t)
	config := serverTLS(t)
	for side := range 2 {
		client, target := secure(t, config, func(c net.Conn) net.Conn { return c }), plain(t)
		ended := tunnel(t, lot, client, target, nil)
		client.say(t, "x")
		target.hear(t, "x")
		[]*peer{client, target}[side].end.Socket.Close()
		if o := <-ended; !errors.Is(o.FromClient.Err, net.ErrClosed) || !errors.Is(o.FromTarget.Err, net.ErrClosed) {
			t.Errorf("ended with %+v", o)
		}
		for _, p := range []*peer{client, target} {
			if _, err := io.ReadAll(p.tcp); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Error(err)
			}
		}
	}
}

func TestClosedSocketsMakeNoTunnel(t *testing.T) {
	lot, _ := open(t)
	client, target := plain(t), plain(t)
	client.end.Socket.Close()
	if lot.Tunnel(&park.Tunnel{Client: client.end, Target: target.end, Idle: time.Minute, Ended: func(park.Outcome) { t.Error("ended") }}) {
		t.Error("it was taken")
	}
	target.say(t, "still mine")
	got := make([]byte, 10)
	if _, err := io.ReadFull(target.end.Socket, got); err != nil || string(got) != "still mine" {
		t.Errorf("heard %q, %v", got, err)
	}
}

// broken is TLS with a mistake in it.
type broken struct{ net.Conn }

func (broken) Read([]byte) (int, error) { panic("a mistake") }

func TestMistakesEndOneTunnelOnly(t *testing.T) {
	lot, _ := open(t)
	client, target := plain(t), plain(t)
	good, other := plain(t), plain(t)
	goes := tunnel(t, lot, good, other, nil)
	ended := tunnel(t, lot, client, target, func(p *park.Tunnel) { p.Client.Conn = broken{p.Client.Socket} })
	if o := <-ended; o.Panic != "a mistake" || !bytes.Contains(o.Stack, []byte("broken.Read")) {
		t.Errorf("ended with %+v", o)
	}
	good.say(t, "well?")
	other.hear(t, "well?")
	good.Close()
	other.Close()
	<-goes
}

// Somebody who floods a tunnel with the smallest of records does not keep others
// from theirs.
func TestFloodsOfTinyRecordsLeaveOthersAlone(t *testing.T) {
	lot, _ := open(t)
	config := serverTLS(t)
	var floods sync.WaitGroup
	for range 4 {
		client, target := secure(t, config, func(c net.Conn) net.Conn { return c }), plain(t)
		ended := tunnel(t, lot, client, target, nil)
		floods.Go(func() {
			for range 20_000 {
				if _, err := client.Write([]byte("x")); err != nil {
					t.Error(err)
					break
				}
			}
			client.closeWrite()
			target.closeWrite()
			if o := <-ended; o.FromClient.Bytes != 20_000 {
				t.Errorf("ended with %+v", o)
			}
		})
		floods.Go(func() {
			if n, err := io.Copy(io.Discard, target); n != 20_000 || err != nil {
				t.Errorf("heard %d, %v", n, err)
			}
		})
	}
	client, target := plain(t), plain(t)
	ended := tunnel(t, lot, client, target, nil)
	for range 200 {
		client.say(t, "ping")
		target.hear(t, "ping")
	}
	floods.Wait()
	client.Close()
	target.Close()
	<-ended
}

func TestTunnelsEndWithTheLot(t *testing.T) {
	lot, end := open(t)
	client, target := plain(t), plain(t)
	ended := tunnel(t, lot, client, target, nil)
	client.say(t, "x")
	target.hear(t, "x")
	end()
	if o := <-ended; !errors.Is(o.FromClient.Err, net.ErrClosed) {
		t.Errorf("ended with %+v", o)
	}
	client, target = plain(t), plain(t)
	if lot.Tunnel(&park.Tunnel{Client: client.end, Target: target.end, Idle: time.Minute}) {
		t.Error("a tunnel was taken after the end")
	}
}

// However a tunnel ends, both descriptors are closed with its connections.
func TestTunnelsLeaveNoDescriptors(t *testing.T) {
	lot, _ := open(t)
	files := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	var before int
	for i := range 50 {
		client, target := plain(t), plain(t)
		ended := tunnel(t, lot, client, target, nil)
		switch i % 3 {
		case 0:
			client.closeWrite()
			target.closeWrite()
		case 1:
			client.end.Socket.Close()
		case 2:
			target.tcp.SetLinger(0)
			target.Close()
		}
		<-ended
		client.Close()
		target.Close()
		if i == 0 {
			before = files()
		}
	}
	if after := files(); after > before {
		t.Errorf("%d descriptors, %d after the first tunnel", after, before)
	}
}
