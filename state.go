package albion

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Kind names a kind of object, as the store keeps it.
type Kind string

// The kinds of which a State consists.
const (
	KindLoadBalancer  Kind = "load-balancer"
	KindListener      Kind = "listener"
	KindRule          Kind = "rule"
	KindTargetGroup   Kind = "target-group"
	KindCertificate   Kind = "certificate"
	KindSecurityGroup Kind = "security-group"
	KindAuthority     Kind = "authority"
	KindRegistration  Kind = "registration"
	KindIssuance      Kind = "issuance"
	KindLeftover      Kind = "leftover"
	KindDelivery      Kind = "delivery"
	KindHostedZone    Kind = "hosted-zone"
	KindRecordSet     Kind = "record-set"
	KindNameService   Kind = "name-service"
	KindHook          Kind = "hook"
	KindNotice        Kind = "notice"
	KindKey           Kind = "key" // secret: a store seals what it keeps of this kind
)

// Kinds lists every kind, referred-to kinds before those that refer to them.
func Kinds() []Kind {
	return []Kind{
		KindKey, KindAuthority, KindRegistration, KindCertificate, KindIssuance, KindLeftover, KindDelivery, KindSecurityGroup,
		KindTargetGroup, KindLoadBalancer, KindListener, KindRule,
		KindNameService, KindHostedZone, KindRecordSet,
		KindHook, KindNotice,
	}
}

// State is all that an operator wants, at one version. The zero State is an
// empty balancer. A State and everything it holds is never written again once
// it is published.
type State struct {
	Version        uint64
	LoadBalancers  Table[*LoadBalancer]
	Listeners      Table[*Listener]
	Rules          Table[*Rule]
	TargetGroups   Table[*TargetGroup]
	Certificates   Table[*Certificate]
	SecurityGroups Table[*SecurityGroup]
	Authorities    Table[*Authority]
	Registrations  Table[*Registration]
	Issuances      Table[*Issuance]
	Leftovers      Table[*Leftover]
	Deliveries     Table[*Delivery]
	HostedZones    Table[*HostedZone]
	RecordSets     Table[*RecordSet]
	NameServices   Table[*NameService]
	Hooks          Table[*Hook]
	Notices        Table[*Notice]
	Keys           Table[*Key]
}

// Table is the objects of one kind by identity. Values are shared and must not
// be written. A Table is a value: copying it costs nothing, and so does a Draft
// that changes little of it.
type Table[T any] struct {
	byID   *tree[T]
	byName *tree[T] // by nameKey, of a kind that is looked up by name
}

// Get returns the object with this identity.
func (t Table[T]) Get(id string) (T, bool) { return t.byID.get(id) }

// Len is the number of objects.
func (t Table[T]) Len() int { return t.byID.len() }

// All yields the objects in the order of their identities.
func (t Table[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		t.byID.from("", func(_ string, v T) bool { return yield(v) })
	}
}

// called is what a kind has whose objects are looked up by name.
type called interface{ called() string }

// nameKey orders objects by name and then by identity.
func nameKey(name, id string) string { return name + "\x00" + id }

func put[T object[T]](t *Table[T], v T) {
	id := v.Identity()
	if c, ok := any(v).(called); ok {
		if old, ok := t.byID.get(id); ok {
			t.byName = t.byName.without(nameKey(any(old).(called).called(), id))
		}
		t.byName = t.byName.with(nameKey(c.called(), id), v)
	}
	t.byID = t.byID.with(id, v)
}

func remove[T object[T]](t *Table[T], id string, old T) {
	if c, ok := any(old).(called); ok {
		t.byName = t.byName.without(nameKey(c.called(), id))
	}
	t.byID = t.byID.without(id)
}

// CertificateNamed returns the certificate with this name; of several, which no
// valid State has, the one whose identity comes first.
func (s *State) CertificateNamed(name string) (found *Certificate, ok bool) {
	s.Certificates.byName.from(nameKey(name, ""), func(key string, c *Certificate) bool {
		if ok = strings.HasPrefix(key, nameKey(name, "")); ok {
			found = c
		}
		return false
	})
	return found, ok
}

// object is what a Table can hold: T itself, which knows its place in a State.
type object[T any] interface {
	comparable
	Identity() string
	kind() Kind
	table(s *State) *Table[T]
}

// Draft is the next State in the making. It belongs to one goroutine.
type Draft struct {
	State          // what the next State holds so far; read it, change it with Put and Delete
	base    *State // what it started from
	changes map[Change]struct{}
}

// Change names one object that a Draft put or deleted.
type Change struct {
	Kind Kind
	ID   string
}

// NewDraft begins the State that follows base.
func NewDraft(base *State) *Draft {
	return &Draft{State: *base, base: base, changes: map[Change]struct{}{}}
}

// Put adds v, or replaces the object with the same identity. v belongs to the
// State from then on.
func Put[T object[T]](d *Draft, v T) {
	put(v.table(&d.State), v)
	d.changes[Change{v.kind(), v.Identity()}] = struct{}{}
}

// Delete removes the object with this identity, if there is one.
func Delete[T object[T]](d *Draft, id string) {
	var zero T
	table := zero.table(&d.State)
	old, ok := table.Get(id)
	if !ok {
		return
	}
	remove(table, id, old)
	d.changes[Change{zero.kind(), id}] = struct{}{}
}

// Changes lists what was put or deleted, in a stable order.
func (d *Draft) Changes() []Change {
	return slices.SortedFunc(maps.Keys(d.changes), func(a, b Change) int {
		if a.Kind != b.Kind {
			return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind)
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
}

// Finish validates the Draft and returns it as the next State. Without changes
// it returns the State that the Draft began with. After an error nothing has
// happened.
func (d *Draft) Finish() (*State, error) {
	if len(d.changes) == 0 {
		return d.base, nil
	}
	next := d.State
	next.Version++
	if err := Validate(&next); err != nil {
		return nil, err
	}
	if err := checkVersions(d.base, &next, d.changes); err != nil {
		return nil, err
	}
	return &next, nil
}

// Encode returns the stored form of one object, or false when the State does
// not hold it. The form of a Key is its secret itself.
func (s *State) Encode(c Change) (data []byte, ok bool, err error) {
	switch c.Kind {
	case KindLoadBalancer:
		return encode(s.LoadBalancers, c.ID)
	case KindListener:
		return encode(s.Listeners, c.ID)
	case KindRule:
		return encode(s.Rules, c.ID)
	case KindTargetGroup:
		return encode(s.TargetGroups, c.ID)
	case KindCertificate:
		return encode(s.Certificates, c.ID)
	case KindSecurityGroup:
		return encode(s.SecurityGroups, c.ID)
	case KindAuthority:
		return encode(s.Authorities, c.ID)
	case KindRegistration:
		return encode(s.Registrations, c.ID)
	case KindIssuance:
		return encode(s.Issuances, c.ID)
	case KindLeftover:
		return encode(s.Leftovers, c.ID)
	case KindDelivery:
		return encode(s.Deliveries, c.ID)
	case KindHostedZone:
		return encode(s.HostedZones, c.ID)
	case KindRecordSet:
		return encode(s.RecordSets, c.ID)
	case KindNameService:
		return encode(s.NameServices, c.ID)
	case KindHook:
		return encode(s.Hooks, c.ID)
	case KindNotice:
		return encode(s.Notices, c.ID)
	case KindKey:
		key, ok := s.Keys.Get(c.ID)
		if !ok {
			return nil, false, nil
		}
		return key.Secret, true, nil
	}
	return nil, false, fmt.Errorf("albion: no kind %q", c.Kind)
}

// Decode puts one object from its stored form into the Draft.
func (d *Draft) Decode(c Change, data []byte) error {
	switch c.Kind {
	case KindLoadBalancer:
		return decode(d, data, new(LoadBalancer))
	case KindListener:
		return decode(d, data, new(Listener))
	case KindRule:
		return decode(d, data, new(Rule))
	case KindTargetGroup:
		return decode(d, data, new(TargetGroup))
	case KindCertificate:
		return decode(d, data, new(Certificate))
	case KindSecurityGroup:
		return decode(d, data, new(SecurityGroup))
	case KindAuthority:
		return decode(d, data, new(Authority))
	case KindRegistration:
		return decode(d, data, new(Registration))
	case KindIssuance:
		return decode(d, data, new(Issuance))
	case KindLeftover:
		return decode(d, data, new(Leftover))
	case KindDelivery:
		return decode(d, data, new(Delivery))
	case KindHostedZone:
		return decode(d, data, new(HostedZone))
	case KindRecordSet:
		return decode(d, data, new(RecordSet))
	case KindNameService:
		return decode(d, data, new(NameService))
	case KindHook:
		return decode(d, data, new(Hook))
	case KindNotice:
		return decode(d, data, new(Notice))
	case KindKey:
		Put(d, &Key{Name: c.ID, Secret: data})
		return nil
	}
	return fmt.Errorf("albion: no kind %q", c.Kind)
}

func encode[T any](t Table[T], id string) ([]byte, bool, error) {
	v, ok := t.Get(id)
	if !ok {
		return nil, false, nil
	}
	data, err := json.Marshal(v)
	return data, true, err
}

func decode[T object[T]](d *Draft, data []byte, v T) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("albion: stored %s: %w", v.kind(), err)
	}
	Put(d, v)
	return nil
}
