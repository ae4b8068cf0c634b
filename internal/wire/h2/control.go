package h2

import (
	"math"
	"time"

	"golang.org/x/net/http2"
)

// maxSettings is how many settings one frame may hold. There are seven, and
// clients add one that nobody knows.
const maxSettings = 64

// settings applies a SETTINGS frame (RFC 9113 §6.5).
func (c *Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if f.NumSettings() > maxSettings {
		return connFault(http2.ErrCodeEnhanceYourCalm, "too many settings")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range f.NumSettings() {
		if err := c.setting(f.Setting(i)); err != nil {
			return err
		}
	}
	c.framer.WriteSettingsAck()
	return c.bounded()
}

// setting applies one of them. With mu held.
func (c *Conn) setting(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case http2.SettingHeaderTableSize:
		c.resized = true
		c.encoder.SetMaxDynamicTableSizeLimit(min(s.Val, tableSize))
	case http2.SettingInitialWindowSize:
		change := int64(s.Val) - int64(c.initial)
		c.initial = int32(s.Val) // Valid: at most 2^31-1
		for _, stream := range c.streams {
			widened := int64(stream.send) + change
			if widened > math.MaxInt32 {
				return connFault(http2.ErrCodeFlowControl, "stream window overflow")
			}
			stream.send = int32(widened) // may be negative (RFC 9113 §6.9.2)
		}
		c.wakeNext()
	}
	c.asking.setting(s)
	return nil
}

// ping answers a PING, or takes the answer to the one of a drain.
func (c *Conn) ping(f *http2.PingFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !f.IsAck():
		c.framer.WritePing(true, f.Data)
	case c.draining && string(f.Data[:]) == drainPing:
		c.sayLast()
	}
}

// windowUpdate widens a window of the client's (RFC 9113 §6.9).
func (c *Conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budgets.windows.grant(c.explains - c.granted)
	c.granted = c.explains
	if !c.budgets.windows.spend(time.Now()) {
		return connFault(http2.ErrCodeEnhanceYourCalm, "too many WINDOW_UPDATEs")
	}
	more := int64(f.Increment)
	if f.StreamID == 0 {
		if int64(c.send)+more > math.MaxInt32 {
			return connFault(http2.ErrCodeFlowControl, "connection window overflow")
		}
		c.send += int32(more)
		c.wakeNext()
		return nil
	}
	if f.StreamID > c.maxID {
		return connFault(http2.ErrCodeProtocol, "WINDOW_UPDATE for an idle stream")
	}
	s := c.streams[f.StreamID]
	if s == nil || s.err != nil {
		return nil
	}
	if int64(s.send)+more > math.MaxInt32 {
		return streamFault(s.id, http2.ErrCodeFlowControl, "stream window overflow")
	}
	s.send += int32(more)
	c.wakeNext()
	return nil
}

// credit lets the client send n bytes more, on s if that still makes sense. It
// is told when it is worth a frame. With mu held.
func (c *Conn) credit(s *Stream, n int) {
	if c.closing || n == 0 {
		return
	}
	if s != nil && !s.remoteClosed && s.err == nil {
		if s.unsaid += int32(n); s.unsaid >= streamWindow/4 {
			c.framer.WriteWindowUpdate(s.id, uint32(s.unsaid))
			s.recv += s.unsaid
			s.unsaid = 0
		}
	}
	if c.unsaid += int32(n); c.unsaid >= min(c.window/4, streamWindow) {
		c.framer.WriteWindowUpdate(0, uint32(c.unsaid))
		c.recv += c.unsaid
		c.unsaid = 0
	}
}
