package albion

import (
	"fmt"
	"strconv"
	"strings"
)

// Matcher is the status codes, of HTTP or of gRPC, that a health check takes for a
// success.
type Matcher struct{ ranges []statusRange }

type statusRange struct{ low, high int }

// ParseMatcher reads ALB's HttpCode: codes and ranges of codes between commas,
// such as "200", "200,202" or "200-299,301", all within 200 to 499.
func ParseMatcher(s string) (Matcher, error) {
	return parseMatcher(s, successCode, "status code or range within 200 to 499", "200 or 200-299,301")
}

// ParseGRPCMatcher reads ALB's GrpcCode: the same with the status codes of gRPC,
// all within 0 to 99, such as "12", "0,12" or "0-99".
func ParseGRPCMatcher(s string) (Matcher, error) {
	return parseMatcher(s, grpcCode, "gRPC status code or range within 0 to 99", "0 or 0-99")
}

// ParseMatcher reads the Matcher of a group with this ProtocolVersion.
func (v ProtocolVersion) ParseMatcher(s string) (Matcher, error) {
	if v == GRPC {
		return ParseGRPCMatcher(s)
	}
	return ParseMatcher(s)
}

func parseMatcher(s string, code func(string) (int, bool), what, example string) (Matcher, error) {
	const longest = 128 // far more than anybody writes
	if s == "" || len(s) > longest {
		return Matcher{}, fmt.Errorf("a matcher is 1 to %d characters, such as %s", longest, example)
	}
	var m Matcher
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		low, ok := code(from)
		high, ok2 := code(to)
		if !ok || !ok2 || low > high {
			return Matcher{}, fmt.Errorf("%s is no %s; write %s", shown(part), what, example)
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

func grpcCode(s string) (int, bool) {
	if len(s) > 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 8)
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
