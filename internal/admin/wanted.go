package admin

import (
	"strings"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// Wanted is a DNS record that an order waits for, as a person adds it.
type Wanted struct {
	Add     bool   // a person has to add it; else it is added, and only waited for
	Host    string // as the form of a registrar wants it: within Zone
	Zone    string `json:",omitempty"` // "" while it is not known; Host is the whole name then
	Name    string // the whole name
	Type    albion.RecordType
	Value   string
	Problem string              `json:",omitempty"` // what is wrong with what is there instead
	Servers []albion.ServerSaid // the authoritative servers, and what they say
}

// wanted lists what an order waits for; nil when it waits for nothing.
func (s *Service) wanted(c *albion.Certificate) []Wanted {
	if s.cfg.Wanted == nil || c.Request == nil {
		return nil
	}
	var all []Wanted
	for _, w := range s.cfg.Wanted(c.ARN) {
		all = append(all, Wanted{
			Add: c.Request.Method.Manual(), Host: w.Host(), Zone: w.Zone, Name: w.Name, Type: w.Type, Value: w.Value, Problem: w.Problem,
			Servers: append([]albion.ServerSaid{}, w.Servers...),
		})
	}
	return all
}

// Missing says whether some server lacks the record, or something is wrong.
func (w *Wanted) Missing() bool {
	for _, s := range w.Servers {
		if !s.Has {
			return true
		}
	}
	return w.Problem != "" || len(w.Servers) == 0
}

// wait says in a table what a person has to do.
func wait(fare acm.Fare, all []Wanted) acm.Fare {
	var lacking []string
	for _, w := range all {
		if !w.Add || !w.Missing() {
			continue
		}
		if w.Problem != "" {
			lacking = append(lacking, w.Problem)
		}
		if w.Value != "" {
			one := albion.Wanted{Type: w.Type, Name: w.Name, Value: w.Value}
			lacking = append(lacking, one.String())
		}
	}
	if len(lacking) == 0 || fare.Word == acm.StatusExpired || fare.Word == acm.StatusAtRisk {
		return fare
	}
	fare.Word, fare.Reason = acm.StatusWaiting, strings.Join(lacking, "; ")
	if !strings.HasPrefix(fare.Next, "goes on") {
		fare.Next = "goes on by itself once it is seen"
	}
	return fare
}
