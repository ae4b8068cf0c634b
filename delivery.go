package albion

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Delivery is a place outside that gets a certificate with its key now and
// whenever its contents change.
type Delivery struct {
	ID          string // see DeliveryID
	Certificate ARN
	Kind        DeliveryKind
	To          string // a folder by its absolute name, or the ARN of a certificate in AWS
	Created     time.Time
	Origin      Origin

	// What has become of it.
	Digest    string    // of the contents that were delivered last, see Certificate.Digest; "": none were
	Serial    string    // of those contents
	Delivered time.Time // when
	Failures  int       // in a row
	Last      *Setback  `json:",omitempty"` // why the last attempt failed; nil after a success
	Failed    time.Time // when
	Next      time.Time // nothing is tried before
}

// DeliveryKind is a kind of place.
type DeliveryKind string

// Live is a folder in the form of certbot's, with live/NAME and archive/NAME
// below it. InACM is a certificate in AWS Certificate Manager, which has been
// imported there before and keeps its ARN.
const (
	Live  DeliveryKind = "live"
	InACM DeliveryKind = "acm"
)

// MaxDeliveries bounds what a State holds of them.
const MaxDeliveries = 10_000

// DeliveryID is the identity of what brings a certificate to a place. There is one
// for both.
func DeliveryID(certificate ARN, kind DeliveryKind, to string) string {
	sum := sha256.Sum256([]byte(string(certificate) + "\x00" + string(kind) + "\x00" + to))
	return hex.EncodeToString(sum[:8])
}

// Digest tells contents apart: two of the same digest have the same chain, and so
// the same key.
func (c *Certificate) Digest() string {
	sum := sha256.Sum256([]byte(c.Chain))
	return hex.EncodeToString(sum[:])
}

// acmARN is that of a certificate in AWS (ACM API, "CertificateArn"): partition,
// region, account, UUID.
var acmARN = regexp.MustCompile(`^arn:aws(?:-[a-z]+)*:acm:([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:certificate/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// ACMRegion returns the region of a certificate in AWS. The error is *Error: it is
// the ARN of something else, or of a certificate of Albion's own.
func ACMRegion(arn string) (string, error) {
	if m := acmARN.FindStringSubmatch(arn); m != nil {
		return m[1], nil
	}
	no := func(format string, args ...any) (string, error) {
		e := Errorf(CodeInvalidParameter, format, args...)
		e.Field = "CertificateArn"
		return "", e
	}
	parts := strings.SplitN(arn, ":", 6)
	switch {
	case len(parts) < 6 || parts[0] != "arn":
		return no("%s is no ARN: AWS's console and `aws acm list-certificates` show those of your certificates", shown(arn))
	case parts[3] == Region && parts[4] == Account:
		return no("%s is a certificate of Albion's own: give the ARN of one in AWS", shown(arn))
	case parts[2] != "acm":
		return no("%s is an ARN of %s and not of ACM: give the one of the certificate, arn:aws:acm:REGION:ACCOUNT:certificate/ID", shown(arn), shown(parts[2]))
	}
	return no("%s is not the ARN of a certificate in ACM: expected arn:aws:acm:REGION:ACCOUNT:certificate/ID", shown(arn))
}

// DeleteDeliveries deletes what brings a certificate elsewhere.
func DeleteDeliveries(d *Draft, certificate ARN) {
	for v := range d.Deliveries.All() {
		if v.Certificate == certificate {
			Delete[*Delivery](d, v.ID)
		}
	}
}

func (c *checker) checkDeliveries(deliveries []*Delivery) {
	if len(deliveries) > MaxDeliveries {
		c.at(deliveries[0]).wrong(CodeValidation, "", "%d deliveries; at most %d are allowed", len(deliveries), MaxDeliveries)
	}
	places := map[string]*Delivery{}
	for _, v := range deliveries {
		s := c.at(v)
		if v.ID != DeliveryID(v.Certificate, v.Kind, v.To) {
			s.wrong(CodeValidation, "ID", "it is the identity of another delivery")
		}
		if _, ok := c.state.Certificates.Get(string(v.Certificate)); !ok {
			s.wrong(CodeCertificateNotFound, "Certificate", "there is no certificate %s", shown(string(v.Certificate)))
		}
		oneOf(s, "Kind", v.Kind, Live, InACM)
		switch {
		case v.Kind == Live && (!filepath.IsAbs(v.To) || len(v.To) > maxArgument || !printableArgument(v.To)):
			s.wrong(CodeValidation, "To", "%s is not the absolute name of a folder", shown(v.To))
		case v.Kind == InACM:
			if _, err := ACMRegion(v.To); err != nil {
				s.wrong(CodeInvalidParameter, "To", "%s", err)
			}
			if other, taken := places[v.To]; taken {
				s.wrong(CodeValidation, "To", "%s gets the contents of another certificate, too (%s): only one can be there", shown(v.To), shown(string(other.Certificate)))
			}
			places[v.To] = v
		}
		if w := v.Last; w != nil && max(len(w.Sentence), len(w.Advice), len(w.Words)) > maxWords {
			s.wrong(CodeValidation, "Last", "what was said is longer than %d bytes", maxWords)
		}
	}
}

func (v *Delivery) Identity() string               { return v.ID }
func (*Delivery) kind() Kind                       { return KindDelivery }
func (*Delivery) table(s *State) *Table[*Delivery] { return &s.Deliveries }
