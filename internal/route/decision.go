package route

import (
	"errors"
	"fmt"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire"
)

// Decision is what to do with a request.
type Decision struct {
	Priority int // of the rule; 0: the default action
	Action   albion.Action

	groups   []share
	redirect *redirect
}

// share is a target group's part of a forward action: it has the numbers from
// the share before it up to below.
type share struct {
	group albion.ARN
	below uint64
}

func decide(priority int, a albion.Action) (Decision, error) {
	d := Decision{Priority: priority, Action: a}
	count := 0
	if a.Forward != nil {
		count++
		var err error
		if d.groups, err = shares(a.Forward.Groups); err != nil {
			return Decision{}, err
		}
	}
	if a.Redirect != nil {
		count++
		var err error
		if d.redirect, err = compileRedirect(*a.Redirect); err != nil {
			return Decision{}, err
		}
	}
	if a.Fixed != nil {
		count++
	}
	if count != 1 {
		return Decision{}, errOneAction
	}
	return d, nil
}

func shares(groups []albion.WeightedGroup) ([]share, error) {
	if len(groups) == 0 {
		return nil, errors.New("a forward action without target groups")
	}
	var list []share
	var total uint64
	for _, g := range groups {
		if g.Weight < 0 {
			return nil, fmt.Errorf("weight %d of %s is negative", g.Weight, g.Group)
		}
		if g.Weight == 0 {
			continue
		}
		total += uint64(g.Weight)
		list = append(list, share{g.Group, total})
	}
	return list, nil
}

// Group chooses a target group of a forward action by the random number n, in
// proportion to the weights. It is false when all weights are 0, which ALB
// answers with 503, and when the action is another one.
func (d *Decision) Group(n uint64) (albion.ARN, bool) {
	if len(d.groups) == 0 {
		return "", false
	}
	n %= d.groups[len(d.groups)-1].below
	for _, s := range d.groups {
		if n < s.below {
			return s.group, true
		}
	}
	return "", false
}

// Location appends the Location of a redirect action for r. Scheme is what the
// client used, "http" or "https", and port the listener's.
//
// It is false, and dst as it was, when the Location would be longer than 8 KiB,
// which ALB answers with 507; and, to be answered alike, when r has no valid
// host to take one from, or when the action is another one. What comes from r
// is escaped where RFC 3986 wants it, so that no request can end the field or
// change the authority.
func (d *Decision) Location(dst []byte, r *wire.Request, scheme string, port uint16) (loc []byte, ok bool) {
	if d.redirect == nil {
		return dst, false
	}
	return d.redirect.append(dst, r, scheme, port)
}
