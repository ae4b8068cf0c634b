package albion

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// challengeLabel stands in front of a name that dns-01 proves (RFC 8555 §8.4).
const challengeLabel = "_acme-challenge."

// ChallengeName is where a CA looks for the TXT record that proves a domain,
// without a dot at the end. A wildcard is proved where the name below it is.
func ChallengeName(domain string) string { return challengeLabel + strings.TrimPrefix(domain, "*.") }

// TXT is the value of the TXT record that proves the name of a dns-01 answer
// (RFC 8555 §8.4).
func (a *Answer) TXT() string {
	sum := sha256.Sum256([]byte(a.Proof))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Wanted is a DNS record that an order waits for, and which servers show it. It
// is seen, not stored.
type Wanted struct {
	Domain  string // that it proves, without "*."
	Type    RecordType
	Name    string // full, without a dot at the end
	Zone    string // that holds Name, without a dot at the end; "" while that is not known
	Value   string // of a CNAME: the target, without a dot at the end
	Problem string // what is wrong with what is there instead, and what to do; ""
	Servers []ServerSaid
}

// ServerSaid is what one authoritative server says about a Wanted.
type ServerSaid struct {
	Server string // "ns1.example.com (192.0.2.1)"
	Has    bool
	Says   string // when it has it not: "no such record", "does not answer", …
}

// Host is the name within its zone, as the form of a registrar wants it: "@" for
// the zone itself. While the zone is not known it is the whole name.
func (w *Wanted) Host() string {
	switch host, inside := strings.CutSuffix(w.Name, "."+w.Zone); {
	case w.Name == w.Zone:
		return "@"
	case inside && w.Zone != "":
		return host
	}
	return w.Name
}

// Seen says how many servers have the record, of how many that were asked.
func (w *Wanted) Seen() (has, asked int) {
	for _, s := range w.Servers {
		if s.Has {
			has++
		}
	}
	return has, len(w.Servers)
}

// String is the sentence for a person: what to add where.
func (w *Wanted) String() string {
	return fmt.Sprintf("add this %s record: %s with the value %s", w.Type, w.Name, w.Value)
}
