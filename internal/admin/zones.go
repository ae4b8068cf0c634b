package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

// Zone is what people and programs may know of a hosted zone.
type Zone struct {
	Name        string // with the final dot
	ID          string
	Comment     string `json:",omitempty"`
	NameServers []string
	RecordSets  int
	Declared    bool     // by a configuration file
	Records     []Record `json:",omitempty"` // only when one zone is asked for
}

// Record is a record set on its way in or out. On the way in its name may be
// relative to the zone, and its values may be written as people write them.
type Record struct {
	Name                 string
	Type                 albion.RecordType
	TTL                  int             `json:",omitempty"` // seconds
	Values               []string        `json:",omitempty"`
	LoadBalancer         string          `json:",omitempty"` // name or ARN; of an alias, instead of Values
	EvaluateTargetHealth bool            `json:",omitempty"`
	SetIdentifier        string          `json:",omitempty"`
	Weight               int             `json:",omitempty"`
	Failover             albion.Failover `json:",omitempty"`
	Declared             bool            `json:",omitempty"` // by a configuration file
}

// RecordChange is one change of a batch.
type RecordChange struct {
	Action string // CREATE, UPSERT or DELETE
	Record Record // of DELETE: without values, whatever they are
}

// The actions of Route 53's ChangeResourceRecordSets.
const (
	ActionCreate = "CREATE"
	ActionUpsert = "UPSERT"
	ActionDelete = "DELETE"
)

// ChangeRecordsRequest is changes that happen together or not at all.
type ChangeRecordsRequest struct {
	Zone    string // name or ID
	Changes []RecordChange
}

// CreateZoneRequest is a zone to make.
type CreateZoneRequest struct{ Name, Comment string }

// DeleteZoneRequest is a zone to delete, by name or ID.
type DeleteZoneRequest struct {
	Name        string
	WithRecords bool // also when it holds more than every zone does
}

// ImportZoneRequest is a zone file to take over.
type ImportZoneRequest struct {
	File   string // its name, for messages
	Data   []byte
	Origin string // name of the zone; "": as the file says
	KeepNS bool   // take its SOA and name servers too
}

// ImportZoneResult is what became of a zone file.
type ImportZoneResult struct {
	Zone    Zone
	Created bool // the zone is new
	Records int  // record sets taken over
	Skipped []dns.Skipped
}

// ExportZoneResult is a zone file.
type ExportZoneResult struct {
	Text    string
	Skipped []dns.Skipped
}

// NameServer is one place where names are answered, and how it fares.
type NameServer struct {
	Address string // as the configuration has it
	State   string // serving, failed, or stopped when nothing runs
	Problem string `json:",omitempty"`
}

func nameServers(state *albion.State, seen albion.Seen, running bool) []NameServer {
	all := []NameServer{}
	service, ok := state.NameServices.Get(albion.NameServiceID)
	if !ok {
		return all
	}
	for _, at := range service.Listen {
		shown := NameServer{Address: at, State: "stopped"}
		for _, n := range seen.NameServers {
			if running && n.Address == at {
				shown.State, shown.Problem = "serving", n.Problem
			}
		}
		if shown.Problem != "" {
			shown.State = "failed"
		}
		all = append(all, shown)
	}
	return all
}

func describeNameServer(n NameServer) string {
	text := "name server " + n.Address + ": " + n.State
	if n.Problem != "" {
		text += ": " + n.Problem
	}
	return text
}

// Zones lists the hosted zones by name.
func (s *Service) Zones() []Zone {
	state := s.cfg.Store.State()
	count := map[string]int{}
	for r := range state.RecordSets.All() {
		count[r.Zone]++
	}
	all := []Zone{}
	for z := range state.HostedZones.All() {
		all = append(all, describeZone(state, z, count[z.ID]))
	}
	slices.SortFunc(all, func(a, b Zone) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func describeZone(state *albion.State, z *albion.HostedZone, count int) Zone {
	shown := Zone{Name: z.Name, ID: z.ID, Comment: z.Comment, RecordSets: count, Declared: z.Origin == albion.OriginFile, NameServers: []string{}}
	if ns, ok := state.RecordSets.Get(albion.RecordSetID(z.ID, z.Name, albion.TypeNS, "")); ok {
		shown.NameServers = ns.Values
	}
	return shown
}

// Zone shows one, by name or ID, with its record sets.
func (s *Service) Zone(name string) (*Zone, error) {
	state := s.cfg.Store.State()
	z, err := findZone(state, name)
	if err != nil {
		return nil, err
	}
	sets := recordSets(state, z)
	shown := describeZone(state, z, len(sets))
	shown.Records = []Record{}
	for _, r := range sets {
		shown.Records = append(shown.Records, describeRecord(state, r))
	}
	return &shown, nil
}

func describeRecord(state *albion.State, r *albion.RecordSet) Record {
	out := Record{
		Name: r.Name, Type: r.Type, TTL: int(r.TTL.Seconds()), Values: r.Values, SetIdentifier: r.SetIdentifier,
		Weight: r.Weight, Failover: r.Failover, Declared: r.Origin == albion.OriginFile,
	}
	if r.Alias != nil {
		out.TTL, out.LoadBalancer = int(albion.AliasTTL.Seconds()), string(r.Alias.LoadBalancer)
		out.EvaluateTargetHealth = r.Alias.EvaluateTargetHealth
		if lb, ok := state.LoadBalancers.Get(out.LoadBalancer); ok {
			out.LoadBalancer = lb.Name
		}
	}
	return out
}

func findZone(state *albion.State, name string) (*albion.HostedZone, error) {
	full := strings.ToLower(strings.TrimSuffix(name, ".")) + "."
	for z := range state.HostedZones.All() {
		if z.Name == full || z.ID == strings.TrimPrefix(name, "/hostedzone/") {
			return z, nil
		}
	}
	return nil, albion.Errorf(albion.CodeHostedZoneNotFound, "there is no hosted zone %q: `albion dns zone list` shows the ones there are", name)
}

// recordSets lists those of a zone, the apex first.
func recordSets(state *albion.State, z *albion.HostedZone) []*albion.RecordSet {
	var all []*albion.RecordSet
	for r := range state.RecordSets.All() {
		if r.Zone == z.ID {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b *albion.RecordSet) int {
		switch {
		case z.Apex(a) != z.Apex(b):
			if z.Apex(a) {
				return -1
			}
			return 1
		case len(a.Name) != len(b.Name) && (a.Name == z.Name || b.Name == z.Name):
			return len(a.Name) - len(b.Name)
		}
		return 0
	})
	return all
}

// CreateZone makes a zone with its SOA and NS.
func (s *Service) CreateZone(ctx context.Context, in CreateZoneRequest) (*Zone, error) {
	name, err := albion.CanonicalDomain(in.Name)
	if err != nil {
		return nil, err
	}
	return s.changeZone(ctx, name, func(d *albion.Draft) error {
		s.putZone(d, name, in.Comment)
		return nil
	})
}

// putZone adds a zone with its SOA and NS.
func (s *Service) putZone(d *albion.Draft, name, comment string) *albion.HostedZone {
	z := &albion.HostedZone{ID: albion.HostedZoneID(s.id()), Name: name, Comment: comment, Created: s.cfg.Now()}
	var servers []string
	if service, ok := d.NameServices.Get(albion.NameServiceID); ok {
		servers = service.NameServers
	}
	soa, ns := z.DefaultRecordSets(servers)
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	return z
}

// changeZone changes something, and shows the zone of that name as it is then.
func (s *Service) changeZone(ctx context.Context, name string, change func(*albion.Draft) error) (*Zone, error) {
	state, err := s.cfg.Store.Update(ctx, change)
	if err != nil {
		return nil, err
	}
	z, err := findZone(state, name)
	if err != nil {
		return nil, err
	}
	shown := describeZone(state, z, len(recordSets(state, z)))
	return &shown, nil
}

// DeleteZone deletes a zone, and returns what it was. One that a file declares,
// or that holds more than every zone does, is refused.
func (s *Service) DeleteZone(ctx context.Context, in DeleteZoneRequest) (*Zone, error) {
	var gone Zone
	_, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		z, err := findZone(&d.State, in.Name)
		if err != nil {
			return err
		}
		if z.Origin == albion.OriginFile {
			return albion.Errorf(albion.CodeResourceInUse, "a configuration file declares the zone %s: take it out there, and apply the file", z.Name)
		}
		sets := recordSets(&d.State, z)
		if own := len(sets) - 2; own > 0 && !in.WithRecords {
			return albion.Errorf(albion.CodeHostedZoneNotEmpty, "the zone %s holds %d more than its SOA and NS: delete them first, or all together with --with-records", z.Name, own)
		}
		gone = describeZone(&d.State, z, len(sets))
		for _, r := range sets {
			albion.Delete[*albion.RecordSet](d, r.Identity())
		}
		albion.Delete[*albion.HostedZone](d, z.ID)
		if names := unproved(&d.State); len(names) > 0 {
			return albion.Errorf(albion.CodeResourceInUse, "the zone %s is used by the certificate %s, whose names are proved through it: request that another way, or delete it, first", z.Name, strings.Join(names, ", "))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &gone, nil
}

// unproved are the certificates whose names a zone that is gone proved.
func unproved(state *albion.State) []string {
	var names []string
	for c := range state.Certificates.All() {
		r := c.Request
		if r == nil || r.Method != albion.MethodDelegated {
			continue
		}
		if slices.ContainsFunc(r.Domains, func(domain string) bool {
			_, err := state.Delegation(r, domain)
			return err != nil
		}) {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// ChangeRecords makes the changes of a batch, all or none.
func (s *Service) ChangeRecords(ctx context.Context, in ChangeRecordsRequest) (*Zone, error) {
	if n := len(in.Changes); n == 0 || n > maxBatch {
		return nil, albion.Errorf(albion.CodeInvalidChangeBatch, "the batch has %d changes; 1 to %d are allowed", n, maxBatch)
	}
	return s.changeZone(ctx, in.Zone, func(d *albion.Draft) error {
		z, err := findZone(&d.State, in.Zone)
		if err != nil {
			return err
		}
		for _, c := range in.Changes {
			if err := changeRecord(d, z, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxBatch is Route 53's: record elements of one ChangeResourceRecordSets.
const maxBatch = 1000

func changeRecord(d *albion.Draft, z *albion.HostedZone, c RecordChange) error {
	r, err := recordSet(&d.State, z, c.Record, c.Action != ActionDelete)
	if err != nil {
		return err
	}
	old, there := d.RecordSets.Get(r.Identity())
	what := r.Name + " " + string(r.Type) + strings.TrimRight(" "+r.SetIdentifier, " ")
	if there && old.Origin == albion.OriginFile {
		return albion.Errorf(albion.CodeResourceInUse, "a configuration file declares the record set %s: change it there, and apply the file", what)
	}
	switch c.Action {
	case ActionCreate:
		if there {
			return albion.Errorf(albion.CodeInvalidChangeBatch, "the record set %s is there already", what)
		}
		albion.Put(d, r)
	case ActionUpsert:
		albion.Put(d, r)
	case ActionDelete:
		if !there {
			return albion.Errorf(albion.CodeInvalidChangeBatch, "there is no record set %s", what)
		}
		if len(r.Values) > 0 && !sameValues(old.Values, r.Values) {
			return albion.Errorf(albion.CodeInvalidChangeBatch, "the record set %s has other values: %s", what, strings.Join(old.Values, ", "))
		}
		albion.Delete[*albion.RecordSet](d, r.Identity())
	default:
		return albion.Errorf(albion.CodeInvalidInput, "action %q is not known: expected %s, %s or %s", c.Action, ActionCreate, ActionUpsert, ActionDelete)
	}
	return nil
}

func sameValues(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// recordSet puts into the model's form what people write. Of one that is to be
// deleted the target of an alias is not looked for.
func recordSet(state *albion.State, z *albion.HostedZone, in Record, whole bool) (*albion.RecordSet, error) {
	name, err := z.Within(in.Name)
	if err != nil {
		return nil, err
	}
	r := &albion.RecordSet{
		Zone: z.ID, Name: name, Type: albion.RecordType(strings.ToUpper(string(in.Type))), SetIdentifier: in.SetIdentifier,
		Weight: in.Weight, Failover: albion.Failover(strings.ToUpper(string(in.Failover))),
	}
	for _, v := range in.Values {
		canonical, err := r.Type.Canonical(v)
		if err != nil {
			return nil, err
		}
		r.Values = append(r.Values, canonical)
	}
	if in.LoadBalancer == "" || !whole {
		r.TTL = time.Duration(in.TTL) * time.Second
		return r, nil
	}
	for lb := range state.LoadBalancers.All() {
		if lb.Name == in.LoadBalancer || string(lb.ARN) == in.LoadBalancer {
			r.Alias = &albion.AliasTarget{LoadBalancer: lb.ARN, EvaluateTargetHealth: in.EvaluateTargetHealth}
			return r, nil
		}
	}
	return nil, albion.Errorf(albion.CodeLoadBalancerNotFound, "there is no load balancer %q: `albion status` shows their listeners", in.LoadBalancer)
}

// ImportZone takes over a zone file, whole or not at all: into the zone that has
// its name, or a new one. What the zone holds besides stays.
func (s *Service) ImportZone(ctx context.Context, in ImportZoneRequest) (*ImportZoneResult, error) {
	file, err := dns.ReadFile(in.Data, dns.ReadOptions{Name: in.File, Origin: in.Origin, KeepNS: in.KeepNS})
	if err != nil {
		return nil, err
	}
	out := &ImportZoneResult{Records: len(file.Sets), Skipped: file.Skipped}
	zone, err := s.changeZone(ctx, file.Origin, func(d *albion.Draft) error {
		z, err := findZone(&d.State, file.Origin)
		if out.Created = err != nil; out.Created {
			z = s.putZone(d, file.Origin, "")
		}
		for _, r := range file.Sets {
			r.Zone = z.ID
			if old, ok := d.RecordSets.Get(r.Identity()); ok && old.Origin == albion.OriginFile {
				return albion.Errorf(albion.CodeResourceInUse, "a configuration file declares the record set %s %s: take one of them out", r.Name, r.Type)
			}
			albion.Put(d, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Zone = *zone
	return out, nil
}

// ExportZone writes a zone as a zone file.
func (s *Service) ExportZone(name string) (*ExportZoneResult, error) {
	state := s.cfg.Store.State()
	z, err := findZone(state, name)
	if err != nil {
		return nil, err
	}
	text, skipped := dns.WriteFile(z, recordSets(state, z))
	return &ExportZoneResult{Text: string(text), Skipped: skipped}, nil
}
