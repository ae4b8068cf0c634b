package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/albion-lb/albion"
)

// DeliveryRequest is a certificate and a place that gets it now and at every
// renewal.
type DeliveryRequest struct {
	Certificate string // name or ARN
	Kind        albion.DeliveryKind
	To          string // a folder by its absolute name, or the ARN of a certificate in AWS
}

// Delivery is what people and programs may know of a delivery.
type Delivery struct {
	Certificate string // name
	Kind        albion.DeliveryKind
	To          string
	State       string          // ok, pending, retrying
	Serial      string          `json:",omitempty"` // of the contents that are there
	Delivered   *time.Time      `json:",omitempty"`
	Problem     *albion.Setback `json:",omitempty"`
	Failures    int             `json:",omitempty"` // in a row
	Failed      *time.Time      `json:",omitempty"`
	Next        *time.Time      `json:",omitempty"` // when it is tried again
}

// The words of Delivery.State.
const (
	DeliveryOK       = "ok"       // what is there is what listeners show
	DeliveryPending  = "pending"  // it is about to be brought
	DeliveryRetrying = "retrying" // the last attempt failed
)

// Deliver brings a certificate to a place, now and at every renewal. Asked again it
// tries at once, should the last attempt have failed.
func (s *Service) Deliver(ctx context.Context, in DeliveryRequest) (*Delivery, error) {
	return s.changeDelivery(ctx, in, func(d *albion.Draft, cert *albion.Certificate, id string) (*albion.Delivery, error) {
		v := &albion.Delivery{ID: id, Certificate: cert.ARN, Kind: in.Kind, To: in.To, Created: s.cfg.Now()}
		if old, ok := d.Deliveries.Get(id); ok {
			again := *old
			v, again.Next = &again, time.Time{}
		}
		albion.Put(d, v)
		return v, nil
	})
}

// EndDelivery ends that a place gets a certificate. What is there stays.
func (s *Service) EndDelivery(ctx context.Context, in DeliveryRequest) (*Delivery, error) {
	return s.changeDelivery(ctx, in, func(d *albion.Draft, cert *albion.Certificate, id string) (*albion.Delivery, error) {
		v, ok := d.Deliveries.Get(id)
		if !ok {
			return nil, albion.Errorf(albion.CodeResourceNotFound, "the certificate %s is not delivered to %s: `albion cert delivery list` shows what is", cert.Name, in.To)
		}
		if v.Origin == albion.OriginFile {
			return nil, albion.Errorf(albion.CodeResourceInUse, "a configuration file declares that %s is delivered to %s: take it out there, and apply the file", cert.Name, in.To)
		}
		albion.Delete[*albion.Delivery](d, id)
		return v, nil
	})
}

func (s *Service) changeDelivery(ctx context.Context, in DeliveryRequest, change func(*albion.Draft, *albion.Certificate, string) (*albion.Delivery, error)) (*Delivery, error) {
	var out Delivery
	_, err := s.cfg.Store.Update(ctx, func(d *albion.Draft) error {
		cert, err := find(&d.State, in.Certificate)
		if err != nil {
			return err
		}
		v, err := change(d, cert, albion.DeliveryID(cert.ARN, in.Kind, in.To))
		if err == nil {
			out = describeDelivery(v, cert)
		}
		return err
	})
	return &out, err
}

// Deliveries lists them by certificate and place.
func (s *Service) Deliveries() []Delivery {
	state := s.cfg.Store.State()
	all := []Delivery{}
	for v := range state.Deliveries.All() {
		if cert, ok := state.Certificates.Get(string(v.Certificate)); ok {
			all = append(all, describeDelivery(v, cert))
		}
	}
	slices.SortFunc(all, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(a.Certificate, b.Certificate), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.To, b.To))
	})
	return all
}

// deliveriesOf lists those of one certificate.
func deliveriesOf(state *albion.State, cert *albion.Certificate) []Delivery {
	var all []Delivery
	for v := range state.Deliveries.All() {
		if v.Certificate == cert.ARN {
			all = append(all, describeDelivery(v, cert))
		}
	}
	return all
}

func describeDelivery(v *albion.Delivery, cert *albion.Certificate) Delivery {
	out := Delivery{Certificate: cert.Name, Kind: v.Kind, To: v.To, State: DeliveryOK, Serial: v.Serial, Problem: v.Last, Failures: v.Failures}
	given := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	out.Delivered, out.Failed = given(v.Delivered), given(v.Failed)
	switch {
	case v.Digest == cert.Digest():
	case v.Last != nil:
		out.State, out.Next = DeliveryRetrying, given(v.Next)
	default:
		out.State = DeliveryPending
	}
	return out
}

func (s *Service) deliveryOperations(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/deliveries", answer(s.Deliver))
	mux.HandleFunc("POST /v1/deliveries/end", answer(s.EndDelivery))
	mux.HandleFunc("POST /v1/deliveries/list", answer(func(context.Context, struct{}) (*[]Delivery, error) {
		all := s.Deliveries()
		return &all, nil
	}))
}

// Deliver brings a certificate to a place, now and at every renewal.
func (c *Client) Deliver(ctx context.Context, in DeliveryRequest) (*Delivery, error) {
	return ask[Delivery](ctx, c, "deliveries", in)
}

// EndDelivery ends that, and returns what it was.
func (c *Client) EndDelivery(ctx context.Context, in DeliveryRequest) (*Delivery, error) {
	return ask[Delivery](ctx, c, "deliveries/end", in)
}

// Deliveries lists them.
func (c *Client) Deliveries(ctx context.Context) ([]Delivery, error) {
	all, err := ask[[]Delivery](ctx, c, "deliveries/list", struct{}{})
	if err != nil {
		return nil, err
	}
	return *all, nil
}
