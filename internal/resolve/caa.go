package resolve

import (
	"context"
	"errors"
	"strings"

	"github.com/miekg/dns"
)

// CAA is one property of who may issue for a name (RFC 8659 §4.1).
type CAA struct {
	Critical bool // a CA that does not know the tag has to refuse
	Tag      string
	Value    string // "letsencrypt.org; accounturi=https://…"
}

// CAASet is what a CA goes by.
type CAASet struct {
	Name    string // where it was found; "" when nothing forbids anything
	Records []CAA
}

// CAA climbs from a name towards the root until it finds CAA records (RFC 8659
// §3). Aliases are followed at each step, and not climbed. An error other than
// BadName stops a CA from issuing too: its Name says where it happened.
func (r *Resolver) CAA(ctx context.Context, name string) (CAASet, error) {
	for at := plain(strings.TrimPrefix(name, "*.")); at != ""; at = parent(at) {
		m, _, err := r.recursive(ctx, at, "CAA")
		if err != nil && !errors.Is(err, NoData) {
			return CAASet{}, err
		}
		set := CAASet{Name: at}
		for _, rr := range m.Answer {
			if caa, ok := rr.(*dns.CAA); ok {
				set.Records = append(set.Records, CAA{
					Critical: caa.Flag&0x80 != 0, Tag: strings.ToLower(caa.Tag), Value: text([]string{caa.Value}),
				})
			}
		}
		if len(set.Records) > 0 {
			return set, nil
		}
	}
	return CAASet{}, nil
}
