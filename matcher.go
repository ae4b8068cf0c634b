package albion

import (
	"fmt"
	"strconv"
	"strings"
)

// Matcher is the status codes that a health check takes for a success.
type Matcher struct{ ranges []statusRange }

type statusRange struct{ low, high int }

// ParseMatcher reads ALB's HttpCode: codes and ranges of codes between commas,
// such as "200", "200,202" or "200-299,301", all within 200 to 499.
func ParseMatcher(s string) (Matcher, error) {
	const longest = 128 // far more than anybody writes
	if s == "" || len(s) > longest {
		return Matcher{}, fmt.Errorf("a matcher is 1 to %d characters, such as 200 or 200-299,301", longest)
	}
	var m Matcher
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		low, ok := successCode(from)
		high, ok2 := successCode(to)
		if !ok || !ok2 || low > high {
			return Matcher{}, fmt.Errorf("%s is no status code or range within 200 to 499; write 200 or 200-299,301", shown(part))
		}
		m.ranges = append(m.ranges, statusRange{low, high})
	}
	return m, nil
}

func successCode(s string) (int, bool) {
	if len(s) != 3 || s[0] < '2' || s[0] > '4' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

// Match reports whether an answer with this status is a success.
func (m Matcher) Match(status int) bool {
	for _, r := range m.ranges {
		if r.low <= status && status <= r.high {
			return true
		}
	}
	return false
}
