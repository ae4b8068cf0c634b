package h2_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// Whatever was said in the answers before, each says its own fields, in their
// order, and secrets are never put into a table.
func TestAnswersSayTheirOwnFields(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		answers := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]string {
			return [2]string{
				rapid.SampledFrom([]string{"Date", "date", "DATE", "X-A", "x-a", "Set-Cookie", "Server", "Connection", "Keep-Alive"}).Draw(t, "name"),
				rapid.SampledFrom([]string{"", "a", "b", "text/plain", "a value that is somewhat longer than the others are"}).Draw(t, "value"),
			}
		}), 0, 10), 1, 8).Draw(rt, "answers")
		at := 0
		client, _, ended := pipe(h2.Config{Handler: func(s *h2.Stream) {
			var fields []wire.Field
			for _, f := range answers[at] {
				fields = append(fields, field(f[0], f[1]))
			}
			s.WriteHead(&wire.Response{Status: 200, Fields: fields}, nil, true)
		}})
		p := newPeer(t, client, false)
		for i, answer := range answers {
			at = i
			p.request(uint32(2*i+1), true, head("GET", "/")...)
			got := p.wait("an answer", func(s said) bool { return s.Type == http2.FrameHeaders })
			want, have := []string{":status: 200 false"}, []string(nil)
			for _, f := range answer {
				if name := strings.ToLower(f[0]); name != "connection" && name != "keep-alive" {
					want = append(want, fmt.Sprint(name, ": ", f[1], " ", name == "set-cookie"))
				}
			}
			for _, f := range got.fields {
				have = append(have, fmt.Sprint(f.Name, ": ", f.Value, " ", f.Sensitive))
			}
			if !slices.Equal(have, want) {
				rt.Fatalf("%q, not %q", have, want)
			}
		}
		client.Close()
		<-ended
	})
}
