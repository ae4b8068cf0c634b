package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/doctor"
)

// diagnosis bounds how long a person waits for the doctor after an order failed.
const diagnosis = 20 * time.Second

// diagnose shows the worst that the doctor finds of a name that could not be
// proved, as far as it concerns a CA, and says where the rest is.
func (g *globals) diagnose(ctx context.Context, s *server, domain string) {
	subject, err := doctor.ParseSubject(strings.TrimPrefix(domain, "*."), 80)
	if err != nil {
		return // an order for it fails for that reason, which is said
	}
	known := s.service.Known()
	if len(known.Addresses) == 0 {
		known.Addresses = ownAddresses()
	}
	ctx, cancel := context.WithTimeout(ctx, diagnosis)
	defer cancel()
	report := doctor.Examine(ctx, subject, doctor.Config{Names: s.resolver, Known: *known})
	for _, f := range report.Findings {
		if f.Grade.AtLeast(doctor.Warning) && slices.Contains([]doctor.Topic{doctor.Names, doctor.Ports, doctor.Clock, doctor.Authorities}, f.Topic) {
			fmt.Fprintf(g.out, "  the doctor finds: %s\n  next: %s\n  `%s` shows more\n", f.Says, f.Next, g.doctorCommand(s.store.State(), subject))
			return
		}
	}
}

// doctorCommand is what to type to have a name examined as it is served here: on
// the port of the first HTTPS listener, with what this data folder knows.
func (g *globals) doctorCommand(state *albion.State, subject doctor.Subject) string {
	ports := []uint16{}
	for l := range state.Listeners.All() {
		if l.Protocol == albion.HTTPS {
			ports = append(ports, l.Port)
		}
	}
	name := subject.Name
	if len(ports) > 0 && !slices.Contains(ports, 443) {
		name = net.JoinHostPort(name, strconv.Itoa(int(slices.Min(ports))))
	}
	command := g.name + " doctor " + name
	if g.dataDir != defaultDataDir() {
		command += " --data " + g.dataDir
	}
	return command
}
