package solve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/albion-lb/albion/internal/awsclient"
)

// route53 changes records in hosted zones of an AWS account.
type route53 struct {
	cfg     Config
	session *awsclient.Session
	id      string // of the one zone that may be written to; "": whichever holds the name
}

func newRoute53(ctx context.Context, cfg Config, id string) (*route53, error) {
	session, err := awsclient.Load(ctx, awsclient.Config{})
	if err != nil {
		return nil, err
	}
	return &route53{cfg: cfg, session: session, id: strings.TrimPrefix(id, "/hostedzone/")}, nil
}

// zone is the hosted zone for a name.
func (k *route53) zone(ctx context.Context, at place) (awsclient.HostedZone, error) {
	if k.id != "" {
		z, err := k.session.Zone(ctx, k.id)
		if err == nil && !holds(z.Name, at.name) {
			err = setback(fmt.Sprintf("%s is not in the hosted zone %s (%s)", at.name, k.id, plain(z.Name)), "name the zone of "+at.zone.Name+", or leave it out: nothing is written outside of it"+at.leads(), nil)
		}
		return z, err
	}
	all, err := k.session.Zones(ctx, at.zone.Name)
	if err != nil {
		return awsclient.HostedZone{}, err
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(z awsclient.HostedZone) bool { return !answers(z, at) })
	}
	switch len(all) {
	case 1:
		return all[0], nil
	case 0:
		return awsclient.HostedZone{}, setback("this AWS account has no public hosted zone "+at.zone.Name, "use credentials of the account that has it, or another method"+at.leads(), nil)
	}
	return awsclient.HostedZone{}, setback("this AWS account has several hosted zones "+at.zone.Name, "say which one counts: dns-route53=ZONEID", nil)
}

// answers says whether the world asks this zone, and not another one of its name.
func answers(z awsclient.HostedZone, at place) bool {
	for _, s := range at.zone.Servers {
		if slices.Contains(z.Servers, s.Name) {
			return true
		}
	}
	return false
}

func (k *route53) check(ctx context.Context, at place) error {
	_, err := k.zone(ctx, at)
	return err
}

func (k *route53) add(ctx context.Context, at place, value string) error {
	z, err := k.zone(ctx, at)
	if err != nil {
		return err
	}
	change, err := k.session.AddTXT(ctx, z.ID, awsclient.TXT{Name: at.name, Value: value, TTL: recordTTL})
	if err != nil || change == "" {
		return err
	}
	return k.settled(ctx, change)
}

// settled waits until all of Route 53 knows a change. An address of it is many
// machines, of which we see one. Who may not ask for that has to go by what is seen.
func (k *route53) settled(ctx context.Context, change string) error {
	for {
		done, err := k.session.Done(ctx, change)
		if awsclient.Denied(err) {
			return nil
		}
		if done || err != nil {
			return err
		}
		if err := rest(ctx, k.cfg.Every); err != nil {
			return err
		}
	}
}

func (k *route53) remove(ctx context.Context, at place, value string) error {
	z, err := k.zone(ctx, at)
	if err != nil {
		return err
	}
	_, err = k.session.RemoveTXT(ctx, z.ID, awsclient.TXT{Name: at.name, Value: value, TTL: recordTTL})
	return err
}
