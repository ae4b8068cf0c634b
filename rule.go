package albion

import "time"

// Rule says what to do with the requests of one listener that meet all its
// conditions. Of the rules that match, the one with the lowest Priority acts.
type Rule struct {
	ARN        ARN
	Listener   ARN
	Priority   int // 1 to 50000, unique in its listener
	Conditions []Condition
	Action     Action
	Created    time.Time
	Origin     Origin
}

// Condition is met when one of its values matches.
type Condition struct {
	Field  ConditionField
	Values []string // may hold the wildcards * (any run) and ? (one character)
}

// ConditionField says what a condition looks at.
type ConditionField string

// The fields of a request that a condition can look at: the host, without port
// and case, and the path, case-sensitively and without query.
const (
	HostHeader  ConditionField = "host-header"
	PathPattern ConditionField = "path-pattern"
)

// Action is what answers a request: exactly one of its fields is set.
type Action struct {
	Forward  *Forward       `json:",omitempty"`
	Redirect *Redirect      `json:",omitempty"`
	Fixed    *FixedResponse `json:",omitempty"`
}

// Forward sends the request to a target of one of the groups, in proportion to
// their weights.
type Forward struct {
	Groups []WeightedGroup // 1 to 5
}

// WeightedGroup is a target group's share of a Forward.
type WeightedGroup struct {
	Group  ARN
	Weight int // 0 to 999; when all are 0, the answer is 503
}

// Redirect answers with a Location. The parts may hold #{protocol}, #{host},
// #{port}, #{path} (without its leading slash) and #{query}; an empty part
// means the request's own, as in DefaultRedirect.
type Redirect struct {
	Protocol string
	Host     string
	Port     string
	Path     string
	Query    string
	Status   int // 301 or 302; unlike AWS, also 307 and 308
}

// DefaultRedirect is ALB's: everything as it was asked for. One part at least
// has to differ, or the client would be sent in a circle.
func DefaultRedirect() Redirect {
	return Redirect{Protocol: "#{protocol}", Host: "#{host}", Port: "#{port}", Path: "/#{path}", Query: "#{query}", Status: 301}
}

// FixedResponse answers by itself.
type FixedResponse struct {
	Status      int    // 2XX, 4XX or 5XX
	ContentType string // text/plain, text/css, text/html, application/javascript, application/json, or ""
	Body        string // at most 1024 bytes
}

func (r *Rule) Identity() string           { return string(r.ARN) }
func (*Rule) kind() Kind                   { return KindRule }
func (*Rule) table(s *State) *Table[*Rule] { return &s.Rules }
