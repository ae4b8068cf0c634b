package albion

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// What a State may hold at most. The numbers are ALB's quotas (its page "Quotas
// for your Application Load Balancers") unless they say otherwise.
const (
	MaxLoadBalancers            = 50
	MaxTargetGroups             = 3000
	MaxListenersPerLoadBalancer = 50
	MaxTargetsPerGroup          = 1000
	MaxGroupsPerAction          = 5
	MaxValuesPerRule            = 5 // condition values
	MaxWildcardsPerRule         = 5

	// Unlike AWS, whose 100 rules for each load balancer are a wall that growing
	// installations hit, this is only what keeps a mistake from growing.
	MaxRulesPerLoadBalancer = 10_000
	// Unlike AWS, whose 25 more for each load balancer are not many names.
	MaxCertificatesPerListener = 10_000

	MaxAddressesPerLoadBalancer      = 64
	MaxSecurityGroupsPerLoadBalancer = 16   // EC2's, of a network interface
	MaxSourcesPerSecurityGroup       = 1000 // EC2's, of all groups of an interface
)

// Validate is every rule that bounds a field or spans objects. It returns nil,
// or all that is wrong at once, in a stable order: errors.Join of *Error, each
// with the Code that AWS gives, the object's Kind and ID, and as Field the path
// to the part of it, in the nouns' own words: "HealthCheck.Interval",
// "Conditions[0].Values[2]", "Default.Forward.Groups[1].Group". The messages
// name objects by their names.
//
// It costs one pass over the State. What needs more than the State, such as
// parsing a certificate or opening a file, is not its business.
func Validate(s *State) error {
	c := &checker{
		state:     s,
		users:     map[ARN]*LoadBalancer{},
		rules:     map[ARN]int{},
		listeners: map[ARN]int{},
		priority:  map[place]*Rule{},
		ports:     map[uint16]*portUse{},
	}
	c.checkKeys(sorted(s.Keys))
	c.checkAuthorities(sorted(s.Authorities))
	c.checkRegistrations(sorted(s.Registrations))
	c.checkCertificates(sorted(s.Certificates))
	c.checkIssuances(sorted(s.Issuances))
	c.checkLeftovers(sorted(s.Leftovers))
	c.checkDeliveries(sorted(s.Deliveries))
	c.checkSecurityGroups(sorted(s.SecurityGroups))
	c.checkTargetGroups(sorted(s.TargetGroups))
	c.checkLoadBalancers(sorted(s.LoadBalancers))
	c.checkListeners(sorted(s.Listeners))
	c.checkRules(sorted(s.Rules))
	c.checkNameServices(sorted(s.NameServices))
	c.checkHostedZones(sorted(s.HostedZones))
	c.checkRecordSets(sorted(s.RecordSets))
	c.checkHooks(sorted(s.Hooks))
	c.checkNotices(sorted(s.Notices))
	return errors.Join(c.errs...)
}

// checker gathers what is wrong with one State.
type checker struct {
	state     *State
	errs      []error
	users     map[ARN]*LoadBalancer // by target group
	rules     map[ARN]int           // by load balancer
	listeners map[ARN]int           // by load balancer
	priority  map[place]*Rule
	ports     map[uint16]*portUse
}

// sorted lists a table in the order of identities.
func sorted[T any](t Table[T]) []T {
	list := make([]T, 0, t.Len())
	for v := range t.All() {
		list = append(list, v)
	}
	return list
}

// named is any object of a State.
type named interface {
	Identity() string
	kind() Kind
}

// subject is the object that is being looked at.
type subject struct {
	*checker
	object named
}

// at begins the checks of an object with that of its identity.
func (c *checker) at(o named) subject {
	s := subject{c, o}
	if id := o.Identity(); id == "" || len(id) > 512 || !visible(id) {
		s.wrong(CodeValidation, "", "its identity %s is not 1 to 512 visible ASCII characters", shown(id))
	}
	return s
}

// wrong records an error in one field of the subject.
func (s subject) wrong(code Code, field, format string, args ...any) {
	s.errs = append(s.errs, &Error{
		Code:    code,
		Message: s.label(s.object) + ": " + fmt.Sprintf(format, args...),
		Kind:    s.object.kind(),
		ID:      s.object.Identity(),
		Field:   field,
	})
}

// label is what people call an object.
func (c *checker) label(o named) string {
	switch o := o.(type) {
	case *LoadBalancer:
		return "load balancer " + shown(o.Name)
	case *Listener:
		label := fmt.Sprintf("listener %s:%d", strings.Trim(shown(string(o.Protocol)), `"`), o.Port)
		if lb, ok := c.state.LoadBalancers.Get(string(o.LoadBalancer)); ok {
			return label + " of " + c.label(lb)
		}
		return label + " (" + shown(string(o.ARN)) + ")"
	case *Rule:
		label := fmt.Sprintf("rule %d", o.Priority)
		if l, ok := c.state.Listeners.Get(string(o.Listener)); ok {
			return label + " of " + c.label(l)
		}
		return label + " (" + shown(string(o.ARN)) + ")"
	case *TargetGroup:
		return "target group " + shown(o.Name)
	case *Certificate:
		return "certificate " + shown(o.Name)
	case *SecurityGroup:
		return "security group " + shown(o.Name)
	case *Authority:
		return "authority " + shown(o.Name)
	case *Registration:
		return "registration " + shown(o.ID)
	case *Issuance:
		if cert, ok := c.state.Certificates.Get(string(o.Certificate)); ok {
			return "issuance of " + c.label(cert)
		}
		return "issuance of " + shown(string(o.Certificate))
	case *Delivery:
		if cert, ok := c.state.Certificates.Get(string(o.Certificate)); ok {
			return "delivery of " + c.label(cert)
		}
		return "delivery " + shown(o.ID)
	case *HostedZone:
		return "hosted zone " + shown(o.Name)
	case *RecordSet:
		label := "record set " + shown(o.Name) + " " + strings.Trim(shown(string(o.Type)), `"`)
		if o.SetIdentifier != "" {
			label += " " + shown(o.SetIdentifier)
		}
		return label
	case *NameService:
		return "the name service"
	}
	return "key " + shown(o.Identity())
}

// within checks the range of a number or a duration.
func within[T cmp.Ordered](s subject, field string, value, low, high T) {
	if value < low || value > high {
		s.wrong(CodeValidation, field, "%s is %s; choose %s to %s", words(field), measure(value), measure(low), measure(high))
	}
}

// measure renders a duration in the seconds of ALB's attributes, as long as
// they are whole.
func measure(v any) string {
	if d, ok := v.(time.Duration); ok && d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprint(v)
}

// oneOf checks a field that has one of a few values.
func oneOf[T ~string](s subject, field string, value T, choices ...T) {
	if slices.Contains(choices, value) {
		return
	}
	list := make([]string, len(choices))
	for i, choice := range choices {
		list[i] = fmt.Sprintf("%q", string(choice))
	}
	s.wrong(CodeValidation, field, "%s is %s; choose one of %s", words(field), shown(string(value)), strings.Join(list, ", "))
}

// unique checks that no other object of its kind has the same name.
func unique[T named](s subject, seen map[string]T, name string, code Code) {
	if other, ok := seen[name]; ok {
		s.wrong(code, "Name", "%s has that name already; choose another one", shown(other.Identity()))
		return
	}
	seen[name] = s.object.(T)
}

// elbName checks the name of a load balancer or target group: at most 32
// letters, digits and inner hyphens (CreateLoadBalancer, CreateTargetGroup).
func (s subject) elbName(name string) {
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && !(r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)))
	})
	if name == "" || len(name) > 32 || bad || name[0] == '-' || name[len(name)-1] == '-' {
		s.wrong(CodeValidation, "Name", "a name is 1 to 32 letters, digits and hyphens, and neither begins nor ends with a hyphen")
	}
}

// words turns the last part of a field into what a message says:
// "Attributes.IdleTimeout" into "idle timeout".
func words(field string) string {
	var b strings.Builder
	for i, r := range field[strings.LastIndexByte(field, '.')+1:] {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// shown quotes what a user wrote, and not more of it than helps.
func shown(s string) string {
	const most = 128
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}

// safe is s itself, unless a message could not hold it.
func safe(s string) string {
	if visible(s) && len(s) <= 255 {
		return s
	}
	return shown(s)
}

// visible reports whether s is ASCII without blanks and controls.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// index names an element of a list: "Groups[1]".
func index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
