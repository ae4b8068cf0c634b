package config

import (
	"strings"

	"github.com/albion-lb/albion"
)

// delivery is a place that gets a certificate at every renewal.
type delivery struct {
	at   places
	kind albion.DeliveryKind
	to   string
}

// deliveries reads folders, and ARNs of certificates in ACM.
func (n node) deliveries() []delivery {
	var all []delivery
	n.oneOrMore("folders, or ARNs of certificates in ACM", func(n node) {
		s, ok := n.text("a folder, or the ARN of a certificate in ACM")
		switch {
		case !ok:
		case !strings.HasPrefix(s, "arn:"):
			if dir := n.filename(); dir != "" {
				all = append(all, delivery{n.parts, albion.Live, dir})
			}
		default:
			if _, err := albion.ACMRegion(s); err != nil {
				n.bad("%s", err)
				return
			}
			all = append(all, delivery{n.parts, albion.InACM, s})
		}
	})
	return all
}

// deliver puts what brings a certificate elsewhere.
func (a *applier) deliver(c certificate, arn albion.ARN) {
	for _, want := range c.deliveries {
		id := albion.DeliveryID(arn, want.kind, want.to)
		a.declare(albion.KindDelivery, id, want.at)
		old, ok := a.d.Deliveries.Get(id)
		if ok && old.Origin == albion.OriginFile {
			continue
		}
		v := &albion.Delivery{ID: id, Certificate: arn, Kind: want.kind, To: want.to, Created: a.env.Now}
		base := &albion.Delivery{Origin: albion.OriginFile}
		if ok {
			mine := *old
			v, base = &mine, old
		}
		v.Origin = albion.OriginFile
		albion.Put(a.d, v)
		a.say(verb(old), albion.KindDelivery, nameOfDelivery(c.name, v), diff([]fact{origin(base.Origin)}, []fact{origin(v.Origin)}))
	}
}

func nameOfDelivery(certificate string, v *albion.Delivery) string {
	return "of " + certificate + " to " + v.To
}

func (a *applier) removeDeliveries() {
	for v := range a.d.Deliveries.All() {
		cert, ok := a.d.Certificates.Get(string(v.Certificate))
		if ok && v.Origin == albion.OriginFile && !a.declares(albion.KindDelivery, v.ID) {
			albion.Delete[*albion.Delivery](a.d, v.ID)
			a.say(Removed, albion.KindDelivery, nameOfDelivery(cert.Name, v), nil)
		}
	}
}
