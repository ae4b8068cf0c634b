package awsclient

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// HostedZone is a public hosted zone of the account.
type HostedZone struct {
	ID      string // Z0123456789
	Name    string // without a dot at the end
	Servers []string
}

// TXT is one value of a TXT record set.
type TXT struct {
	Name  string
	Value string // up to 255 bytes
	TTL   time.Duration
}

// maxZones is how many hosted zones of one name are looked at.
const maxZones = 10

// Zones returns the public hosted zones of exactly this name. There may be several;
// their servers tell which of them counts.
func (s *Session) Zones(ctx context.Context, name string) ([]HostedZone, error) {
	client := route53.NewFromConfig(s.cfg)
	out, err := client.ListHostedZonesByName(ctx, &route53.ListHostedZonesByNameInput{
		DNSName: aws.String(name), MaxItems: aws.Int32(maxZones),
	})
	if err != nil {
		return nil, explain("list the hosted zones (route53:ListHostedZonesByName)", err)
	}
	var all []HostedZone
	for _, z := range out.HostedZones {
		if host(z.Name) != host(&name) || z.Config != nil && z.Config.PrivateZone {
			continue
		}
		zone, err := s.Zone(ctx, aws.ToString(z.Id))
		if err != nil {
			return nil, err
		}
		all = append(all, zone)
	}
	return all, nil
}

// Zone returns a hosted zone by its id.
func (s *Session) Zone(ctx context.Context, id string) (HostedZone, error) {
	out, err := route53.NewFromConfig(s.cfg).GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: aws.String(id)})
	if err != nil {
		return HostedZone{}, explain("read the hosted zone "+plain(id)+" (route53:GetHostedZone)", err)
	}
	zone := HostedZone{ID: strings.TrimPrefix(aws.ToString(out.HostedZone.Id), "/hostedzone/"), Name: host(out.HostedZone.Name)}
	if out.DelegationSet != nil {
		for _, server := range out.DelegationSet.NameServers {
			zone.Servers = append(zone.Servers, host(&server))
		}
	}
	return zone, nil
}

func host(name *string) string {
	return strings.ToLower(strings.TrimSuffix(aws.ToString(name), "."))
}

// AddTXT adds a value to the record set of a name and keeps those that it has. It
// returns the id of the change; "" when the value was there already.
func (s *Session) AddTXT(ctx context.Context, zone string, txt TXT) (string, error) {
	return s.changeTXT(ctx, zone, txt, func(values []string) []string {
		if slices.Contains(values, txt.Value) {
			return values
		}
		return append(slices.Clone(values), txt.Value)
	})
}

// RemoveTXT removes exactly this value. That it is not there is no mistake.
func (s *Session) RemoveTXT(ctx context.Context, zone string, txt TXT) (string, error) {
	return s.changeTXT(ctx, zone, txt, func(values []string) []string {
		return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == txt.Value })
	})
}

// changeTXT replaces a record set by what edit makes of it. Route 53 knows sets only
// as a whole: the old one is deleted by all it holds, in one batch with the new one,
// so that a change by somebody else in between makes Route 53 refuse, and it is
// tried again with what is there then.
func (s *Session) changeTXT(ctx context.Context, zone string, txt TXT, edit func([]string) []string) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	client := route53.NewFromConfig(s.cfg)
	const tries = 5
	var last error
	for range tries {
		old, err := currentTXT(ctx, client, zone, txt.Name)
		if err != nil {
			return "", err
		}
		batch := replacement(old, txt, edit)
		if len(batch) == 0 {
			return "", nil
		}
		out, err := client.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
			HostedZoneId: aws.String(zone), ChangeBatch: &types.ChangeBatch{Changes: batch},
		})
		if err == nil {
			return strings.TrimPrefix(aws.ToString(out.ChangeInfo.Id), "/change/"), nil
		}
		last = explain("change the TXT record of "+plain(txt.Name)+" (route53:ChangeResourceRecordSets)", err)
		if code(err) != "InvalidChangeBatch" {
			break
		}
	}
	return "", last
}

// currentTXT is the record set of a name, or nil.
func currentTXT(ctx context.Context, client *route53.Client, zone, name string) (*types.ResourceRecordSet, error) {
	out, err := client.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{
		HostedZoneId: aws.String(zone), StartRecordName: aws.String(name + "."), StartRecordType: types.RRTypeTxt, MaxItems: aws.Int32(1),
	})
	if err != nil {
		return nil, explain("read the records of "+plain(name)+" (route53:ListResourceRecordSets)", err)
	}
	for _, set := range out.ResourceRecordSets {
		if set.Type != types.RRTypeTxt || host(set.Name) != host(&name) {
			continue
		}
		if set.SetIdentifier != nil {
			return nil, &Error{
				Doing: "change the TXT record of " + plain(name), Detail: "it has a routing policy",
				Advice: "make it a simple record: a CA may be answered by any of several sets",
			}
		}
		return &set, nil
	}
	return nil, nil
}

// replacement is the batch that turns a record set into another; none when nothing
// changes.
func replacement(old *types.ResourceRecordSet, txt TXT, edit func([]string) []string) []types.Change {
	var batch []types.Change
	var values []string
	ttl := aws.Int64(int64(txt.TTL / time.Second))
	if old != nil {
		for _, r := range old.ResourceRecords {
			values = append(values, unquote(aws.ToString(r.Value)))
		}
		ttl = old.TTL
		batch = append(batch, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: old})
	}
	edited := edit(values)
	if slices.Equal(edited, values) {
		return nil
	}
	if len(edited) == 0 {
		return batch
	}
	set := &types.ResourceRecordSet{Name: aws.String(txt.Name + "."), Type: types.RRTypeTxt, TTL: ttl}
	for _, v := range edited {
		value := quote(v)
		if i := slices.Index(values, v); i >= 0 {
			value = aws.ToString(old.ResourceRecords[i].Value) // as it was written
		}
		set.ResourceRecords = append(set.ResourceRecords, types.ResourceRecord{Value: aws.String(value)})
	}
	return append(batch, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: set})
}

// quote writes a value as Route 53 wants it.
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// unquote reads a value of one string. What it does not understand it returns as it
// is: it is nobody's proof then.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	inner := value[1 : len(value)-1]
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] == '"':
			return value // several strings
		case inner[i] == '\\' && i+1 < len(inner):
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

// Done says whether all of Route 53's servers know a change.
func (s *Session) Done(ctx context.Context, change string) (bool, error) {
	out, err := route53.NewFromConfig(s.cfg).GetChange(ctx, &route53.GetChangeInput{Id: aws.String(change)})
	if err != nil {
		return false, explain("ask how far a change is (route53:GetChange)", err)
	}
	return out.ChangeInfo.Status == types.ChangeStatusInsync, nil
}

// Denied says whether AWS refused a question because the credentials may not ask it.
func Denied(err error) bool {
	var e *Error
	return errors.As(err, &e) && strings.HasPrefix(e.Code, "AccessDenied")
}
