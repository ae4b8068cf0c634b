package albion

import (
	"fmt"
	"strings"
)

// place is where a priority has to be unique.
type place struct {
	listener ARN
	priority int
}

func (c *checker) checkRules(rules []*Rule) {
	for _, r := range rules {
		s := c.at(r)
		within(s, "Priority", r.Priority, 1, 50_000)
		l, ok := c.state.Listeners.Get(string(r.Listener))
		if !ok {
			s.wrong(CodeListenerNotFound, "Listener", "there is no listener %s", shown(string(r.Listener)))
		} else {
			s.countRule(l)
		}
		where := place{r.Listener, r.Priority}
		if other, taken := c.priority[where]; taken {
			s.wrong(CodePriorityInUse, "Priority", "%s has priority %d already; choose another one", shown(string(other.ARN)), r.Priority)
		} else {
			c.priority[where] = r
		}
		s.conditions(r.Conditions)
		s.action("Action", &r.Action, l)
		if l != nil && r.Action.Redirect != nil && redirectsToItself(r, l) {
			s.wrong(CodeInvalidAction, "Action.Redirect", "the redirect leads back to this rule; change its protocol, host, port or path")
		}
	}
}

func (s subject) countRule(l *Listener) {
	s.rules[l.LoadBalancer]++
	if s.rules[l.LoadBalancer] == MaxRulesPerLoadBalancer+1 {
		s.wrong(CodeTooManyRules, "Listener", "its load balancer has more than %d rules", MaxRulesPerLoadBalancer)
	}
}

func (s subject) conditions(conditions []Condition) {
	if len(conditions) == 0 {
		s.wrong(CodeValidation, "Conditions", "a rule needs a condition; what matches everything belongs into the listener's default action")
	}
	seen := map[ConditionField]bool{}
	values, wildcards := 0, 0
	for i, c := range conditions {
		field := index("Conditions", i)
		if seen[c.Field] {
			s.wrong(CodeValidation, field+".Field", "a rule has at most one condition on %s; give that one more values", shown(string(c.Field)))
		}
		seen[c.Field] = true
		if len(c.Values) == 0 {
			s.wrong(CodeValidation, field+".Values", "the condition has no values")
		}
		values += len(c.Values)
		for j, value := range c.Values {
			wildcards += strings.Count(value, "*") + strings.Count(value, "?")
			if problem := conditionProblem(c.Field, value); problem != "" {
				s.wrong(CodeValidation, index(field+".Values", j), "%s", problem)
			}
		}
		if c.Field != HostHeader && c.Field != PathPattern {
			s.wrong(CodeValidation, field+".Field", "a condition on %s is none of %s and %s", shown(string(c.Field)), HostHeader, PathPattern)
		}
	}
	if values > MaxValuesPerRule {
		s.wrong(CodeValidation, "Conditions", "the rule has %d condition values; %d are allowed, so split it in two", values, MaxValuesPerRule)
	}
	if wildcards > MaxWildcardsPerRule {
		s.wrong(CodeValidation, "Conditions", "the rule has %d wildcards; %d are allowed, so split it in two", wildcards, MaxWildcardsPerRule)
	}
}

const (
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

	// Unlike AWS, which wants a dot and behind the last one letters only, names
	// without a dot and IPv4 addresses are allowed, because on laptops and in CI
	// there is hardly anything else.
	hostPatternChars = alphanumeric + "-_.*?"
	// Unlike AWS, which takes fewer, this is all that RFC 3986 §3.3 allows in a
	// path, and the double quote of ALB's own list.
	pathPatternChars = alphanumeric + `-._~!$&'()*+,;=:@%/?"`
)

// conditionProblem says what is wrong with a value, or "".
func conditionProblem(field ConditionField, value string) string {
	const longest = 128
	if value == "" || len(value) > longest {
		return fmt.Sprintf("the value %s is not 1 to %d characters long", shown(value), longest)
	}
	switch field {
	case HostHeader:
		if rest := strings.Trim(value, hostPatternChars); rest != "" {
			return fmt.Sprintf("the host %s holds more than letters, digits, -, _, ., * and ?; write it without scheme and port, and international names in their xn-- form", shown(value))
		}
		if value[len(value)-1] == '.' {
			return fmt.Sprintf("the host %s ends with a dot; leave it out, it is understood", shown(value))
		}
	case PathPattern:
		if rest := strings.Trim(value, pathPatternChars); rest != "" {
			return fmt.Sprintf("the path %s holds a character that no path has; write others percent-encoded, and no #", shown(value))
		}
	}
	return ""
}

// redirectsToItself reports whether a rule sends the very host that it asks for
// to the same place again: whoever follows meets the same rule.
func redirectsToItself(r *Rule, l *Listener) bool {
	to := r.Action.Redirect
	if movesElsewhere(to, l) {
		return false
	}
	for _, c := range r.Conditions {
		for _, host := range c.Values {
			if c.Field == HostHeader && strings.EqualFold(host, to.Host) {
				return true
			}
		}
	}
	return false
}
