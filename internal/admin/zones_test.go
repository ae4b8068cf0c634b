package admin_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/store"
)

// zoned is a Service with a load balancer, web, and a zone, and a Client of it.
func zoned(t *testing.T) (*admin.Client, *store.Store) {
	t.Helper()
	service, s := newService(t, nil)
	apply(t, service, file)
	c := admin.Direct(service)
	z, err := c.CreateZone(t.Context(), admin.CreateZoneRequest{Name: "Example.com", Comment: "the shop"})
	if err != nil {
		t.Fatal(err)
	}
	if z.Name != "example.com." || z.RecordSets != 2 || !slices.Equal(z.NameServers, []string{"ns1.example.com."}) {
		t.Errorf("made %+v", z)
	}
	return c, s
}

func put(r admin.Record) admin.RecordChange {
	return admin.RecordChange{Action: admin.ActionUpsert, Record: r}
}

func TestABatchHappensWholeOrNotAtAll(t *testing.T) {
	c, s := zoned(t)
	www := admin.Record{Name: "www", Type: "a", TTL: 60, Values: []string{"192.0.2.1", "192.0.2.2"}}
	if _, err := c.ChangeRecords(t.Context(), admin.ChangeRecordsRequest{Zone: "example.com", Changes: []admin.RecordChange{
		put(www), put(admin.Record{Name: "@", Type: "A", LoadBalancer: "web", EvaluateTargetHealth: true}),
		put(admin.Record{Name: "text", Type: "TXT", TTL: 1, Values: []string{"free text"}}),
	}}); err != nil {
		t.Fatal(err)
	}
	z, err := c.Zone(t.Context(), "example.com.")
	if err != nil || z.RecordSets != 5 || len(z.Records) != 5 {
		t.Fatalf("%+v, %v", z, err)
	}
	var shown []string
	for _, r := range z.Records {
		shown = append(shown, r.Name+" "+string(r.Type)+" "+strings.Join(r.Values, ",")+r.LoadBalancer)
	}
	if !slices.Contains(shown, "example.com. A web") || !slices.Contains(shown, `text.example.com. TXT "free text"`) {
		t.Errorf("shown %q", shown)
	}
	before := s.State()
	for want, change := range map[string]admin.RecordChange{
		"the record set www.example.com. A is there already": {Action: admin.ActionCreate, Record: www},
		"there is no record set gone.example.com. A":         {Action: admin.ActionDelete, Record: admin.Record{Name: "gone", Type: "A"}},
		"the record set www.example.com. A has other values": {Action: admin.ActionDelete, Record: admin.Record{Name: "www", Type: "A", Values: []string{"192.0.2.1"}}},
		"its record set of type SOA is missing":              {Action: admin.ActionDelete, Record: admin.Record{Type: "SOA"}},
		`action "MOVE" is not known`:                         {Action: "MOVE", Record: www},
		`there is no load balancer "wep"`:                    put(admin.Record{Type: "AAAA", LoadBalancer: "wep"}),
		"www.example.net. is not in the zone example.com.":   put(admin.Record{Name: "www.example.net.", Type: "A", Values: []string{"192.0.2.1"}}),
		"a CNAME cannot stand at the apex":                   put(admin.Record{Type: "CNAME", Values: []string{"www.example.com"}}),
		`"x" is not the value of a record of type A`:         put(admin.Record{Name: "x", Type: "A", Values: []string{"x"}}),
		`records of type "NAPTR" are not supported`:          put(admin.Record{Name: "x", Type: "NAPTR", Values: []string{"x"}}),
		"a failover record set needs a set identifier":       put(admin.Record{Name: "x", Type: "A", Failover: "primary", Values: []string{"192.0.2.1"}}),
		"ttl is -1s": put(admin.Record{Name: "x", Type: "A", TTL: -1, Values: []string{"192.0.2.1"}}),
	} {
		_, err := c.ChangeRecords(t.Context(), admin.ChangeRecordsRequest{Zone: "example.com", Changes: []admin.RecordChange{
			put(admin.Record{Name: "first", Type: "A", TTL: 1, Values: []string{"192.0.2.9"}}), change,
		}})
		if err == nil || !strings.Contains(err.Error(), want) || albion.CodeOf(err) == "" || s.State() != before {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	for _, n := range []int{0, 1001} {
		_, err := c.ChangeRecords(t.Context(), admin.ChangeRecordsRequest{Zone: "example.com", Changes: make([]admin.RecordChange, n)})
		if albion.CodeOf(err) != albion.CodeInvalidChangeBatch {
			t.Errorf("%d changes: %v", n, err)
		}
	}
}

func TestZonesGoWhenNothingIsLost(t *testing.T) {
	c, s := zoned(t)
	if _, err := c.CreateZone(t.Context(), admin.CreateZoneRequest{Name: "example.com."}); albion.CodeOf(err) != albion.CodeHostedZoneExists {
		t.Errorf("made twice: %v", err)
	}
	if _, err := c.CreateZone(t.Context(), admin.CreateZoneRequest{Name: "a..b"}); albion.CodeOf(err) != albion.CodeInvalidDomainName {
		t.Errorf("made: %v", err)
	}
	if _, err := c.ChangeRecords(t.Context(), admin.ChangeRecordsRequest{Zone: "example.com", Changes: []admin.RecordChange{
		put(admin.Record{Name: "www", Type: "A", Values: []string{"192.0.2.1"}}),
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteZone(t.Context(), admin.DeleteZoneRequest{Name: "example.com"}); albion.CodeOf(err) != albion.CodeHostedZoneNotEmpty {
		t.Errorf("deleted: %v", err)
	}
	gone, err := c.DeleteZone(t.Context(), admin.DeleteZoneRequest{Name: "example.com", WithRecords: true})
	if err != nil || gone.RecordSets != 3 || s.State().RecordSets.Len()+s.State().HostedZones.Len() != 0 {
		t.Errorf("%+v, %v", gone, err)
	}
	if _, err := c.Zone(t.Context(), "example.com"); albion.CodeOf(err) != albion.CodeHostedZoneNotFound {
		t.Errorf("shown: %v", err)
	}
}

func TestWhatAFileDeclaresIsChangedThere(t *testing.T) {
	service, s := newService(t, nil)
	apply(t, service, "hosted_zones: {example.com: {records: [{name: www, type: A, values: 192.0.2.1}]}}\ndns: {listen: \":53\"}\n")
	c, before := admin.Direct(service), s.State()
	_, err := c.ChangeRecords(t.Context(), admin.ChangeRecordsRequest{Zone: "example.com", Changes: []admin.RecordChange{
		put(admin.Record{Name: "www", Type: "A", Values: []string{"192.0.2.2"}}),
	}})
	_, err2 := c.DeleteZone(t.Context(), admin.DeleteZoneRequest{Name: "example.com", WithRecords: true})
	_, err3 := c.ImportZone(t.Context(), admin.ImportZoneRequest{File: "f", Origin: "example.com", Data: []byte("www 1 A 192.0.2.3\n")})
	for _, err := range []error{err, err2, err3} {
		if albion.CodeOf(err) != albion.CodeResourceInUse || s.State() != before {
			t.Errorf("got %v", err)
		}
	}
	status, err := c.Status(t.Context())
	if err != nil || len(status.NameServers) != 1 || status.NameServers[0].State != "stopped" || len(status.Zones) != 1 || !status.Zones[0].Declared {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestAZoneFileGoesInAndOut(t *testing.T) {
	c, s := zoned(t)
	text := "@ 300 MX 10 mail\nmail 300 A 192.0.2.1\n@ 300 NS old.example.net.\n"
	result, err := c.ImportZone(t.Context(), admin.ImportZoneRequest{File: "f", Origin: "example.com", Data: []byte(text)})
	if err != nil || result.Created || result.Records != 2 || len(result.Skipped) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	result, err = c.ImportZone(t.Context(), admin.ImportZoneRequest{File: "f", Origin: "example.net", Data: []byte(text), KeepNS: true})
	if err != nil || !result.Created || result.Records != 3 || !slices.Equal(result.Zone.NameServers, []string{"old.example.net."}) {
		t.Fatalf("%+v, %v", result, err)
	}
	out, err := c.ExportZone(t.Context(), "example.net")
	if err != nil || !strings.Contains(out.Text, "mail.example.net.\t300\tIN\tA\t192.0.2.1\n") || len(out.Skipped) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	before := s.State()
	if _, err := c.ImportZone(t.Context(), admin.ImportZoneRequest{File: "f", Origin: "example.org", Data: []byte("@ 1 A 192.0.2.1\n@ 1 CNAME a\n")}); err == nil || s.State() != before {
		t.Errorf("a zone with a CNAME at its apex: %v", err)
	}
	zones, err := c.Zones(t.Context())
	if err != nil || len(zones) != 2 || zones[0].Name != "example.com." {
		t.Errorf("%+v, %v", zones, err)
	}
}

// What proves the names of a certificate stays, and is said to be needed.
func TestAZoneThatProvesNamesStays(t *testing.T) {
	c, s := zoned(t)
	if _, err := s.Update(t.Context(), func(d *albion.Draft) error {
		_, _, err := acm.Request(d, acm.CARequest{
			Domains: []string{"dd.example.org"}, Issuer: acm.LetsEncrypt, Challenge: "dns-delegated=example.com", Now: time.Now(), Rand: rand.Reader, ID: [16]byte{9},
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, err := c.DeleteZone(t.Context(), admin.DeleteZoneRequest{Name: "example.com"})
	if albion.CodeOf(err) != albion.CodeResourceInUse || !strings.Contains(err.Error(), "is used by the certificate dd.example.org") {
		t.Errorf("%v", err)
	}
	if s.State().HostedZones.Len() != 1 {
		t.Error("it is gone")
	}
}
