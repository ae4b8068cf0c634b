package albion

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Leftover is what an order that has ended left in the world: what was presented
// and is to be removed, names that count at the CA until they are given back. It
// is kept until that is done, whatever happens to the process, the request or
// the certificate meanwhile.
type Leftover struct {
	ID       string   // of the order, as LeftoverID forms it
	Request  *Request // by whose method, and at whose CA
	Account  string   // ID of a Registration
	Answers  []Answer
	Proved   bool // nothing is to be given back
	Failures int
	Next     time.Time // nothing is tried before
}

// LeftoverID is the identity of what the order with this URL left.
func LeftoverID(order string) string {
	sum := sha256.Sum256([]byte(order))
	return hex.EncodeToString(sum[:12])
}

// Presents says whether the method leaves something in places that are not ours,
// which has to be removed.
func (m Method) Presents() bool {
	return slices.Contains([]Method{MethodWebroot, MethodExec, MethodRFC2136, MethodRoute53, MethodCloudflare}, m)
}

// EndOrder takes the order of a certificate, if there is one, and its key out of
// the journal, and keeps what it left.
func EndOrder(d *Draft, certificate ARN) {
	old, ok := d.Issuances.Get(string(certificate))
	if !ok || old.Order == nil {
		return
	}
	i, o := *old, old.Order
	i.Order = nil
	Put(d, &i)
	Delete[*Key](d, OrderKeyName(certificate))
	cert, ok := d.Certificates.Get(string(certificate))
	if !ok || cert.Request == nil || len(o.Answers) == 0 {
		return
	}
	proved := slices.Contains([]Step{StepValidated, StepIssued, StepDownloaded}, o.Step)
	if proved && !cert.Request.Method.Presents() {
		return
	}
	r := cert.Request
	if account, ok := d.Registrations.Get(o.Account); ok {
		for _, ca := range r.CAs() {
			if ca.Directory == account.Directory {
				r = r.At(ca)
				break
			}
		}
	}
	Put(d, &Leftover{ID: LeftoverID(o.URL), Request: r, Account: o.Account, Answers: o.Answers, Proved: proved})
}

func (c *checker) checkLeftovers(leftovers []*Leftover) {
	for _, l := range leftovers {
		s := c.at(l)
		if l.Request == nil {
			s.wrong(CodeValidation, "Request", "it does not say how its proofs were presented")
			continue
		}
		if _, ok := c.state.Registrations.Get(l.Account); !ok {
			s.wrong(CodeValidation, "Account", "there is no account %s", shown(l.Account))
		}
		s.answers("Answers", l.Answers)
	}
}

func (l *Leftover) Identity() string               { return l.ID }
func (*Leftover) kind() Kind                       { return KindLeftover }
func (*Leftover) table(s *State) *Table[*Leftover] { return &s.Leftovers }
