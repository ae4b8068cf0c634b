package acm

import (
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// CARequest asks for a certificate of a CA that speaks ACME. What it says is in
// the words of a person.
type CARequest struct {
	Name      string   // "" means the first domain
	Domains   []string // DNS names and IP addresses; international names in any script
	Issuer    string   // a name of Issuers, or the https URL of a directory
	Roots     string   // PEM; who vouches for a private CA's server; "": the system's authorities
	Email     string
	Challenge string   // as albion.ParseMethod reads it; names of files are absolute
	Zones     []string // hosted zones that are about to be made, without a dot at the end
	KeyType   string   // ecdsa (or ""), or rsa
	Profile   string
	KeyID     string        // as in Choice
	MAC       albion.Secret // as in Choice
	Fallbacks []Choice      // asked while the CA cannot issue, in this order
	Again     bool          // try now, even when it has failed a moment ago
	Origin    albion.Origin
	Now       time.Time
	Rand      io.Reader
	ID        [16]byte // random; of the ARN, should the name be new
}

// Request makes a certificate be one that a CA issues: its ARN is there at once,
// its contents follow. Until then it keeps what it has, if that is good for the
// names, or else it is given something by the balancer's own authority, so that
// there is an answer to a handshake. When nothing differs from what was
// requested before, nothing changes and changed is false.
func Request(d *albion.Draft, in CARequest) (cert *albion.Certificate, changed bool, err error) {
	want, err := in.request()
	if err != nil {
		return nil, false, err
	}
	if in.Name == "" {
		in.Name = want.Domains[0]
	}
	cert, err = slot(d, in.Name, in.Origin, in.ID, in.Now)
	if err != nil {
		return nil, false, err
	}
	if err := in.through(&d.State, cert.Request, want); err != nil {
		return nil, false, err
	}
	secrets, err := in.bind(&d.State, want)
	if err != nil {
		return nil, false, err
	}
	for _, secret := range secrets {
		albion.Put(d, secret)
	}
	same := cert.Issuer == albion.ACME && reflect.DeepEqual(cert.Request, want)
	if same && !in.Again && len(secrets) == 0 {
		return cert, keep(d, cert), nil
	}
	if !same {
		restart(d, cert.ARN)
	}
	hurry(d, cert.ARN)
	cert.Issuer, cert.Request = albion.ACME, want
	if _, ok := d.Certificates.Get(string(cert.ARN)); ok && good(cert, want.Domains, in.Now) {
		albion.Put(d, cert)
		return cert, true, nil
	}
	cert.Pending = true
	if err := issue(d, cert, want.Domains, in.Now, in.Rand); err != nil {
		return nil, false, err
	}
	return cert, true, nil
}

// good says whether what a certificate holds can be shown for these names
// meanwhile.
func good(cert *albion.Certificate, domains []string, now time.Time) bool {
	leaf, err := parseFirst(cert.Chain)
	if err != nil || now.After(leaf.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(domains, func(name string) bool { return leaf.VerifyHostname(name) != nil })
}

// restart forgets an order that was for something else, and its failures.
func restart(d *albion.Draft, arn albion.ARN) {
	albion.EndOrder(d, arn)
	old, ok := d.Issuances.Get(string(arn))
	if !ok {
		return
	}
	i := *old
	i.Last, i.Failures, i.Turn = nil, 0, 0
	albion.Put(d, &i)
}

// hurry ends the wait after a failure. What earlier attempts did is not shown as
// steps of the one that follows, unless their order goes on.
func hurry(d *albion.Draft, arn albion.ARN) {
	old, ok := d.Issuances.Get(string(arn))
	if !ok {
		return
	}
	i := *old
	i.Next = time.Time{}
	if i.Order == nil {
		i.Steps = nil
	}
	albion.Put(d, &i)
}

// settle makes a certificate be none of a CA's any more.
func settle(d *albion.Draft, cert *albion.Certificate) {
	albion.EndOrder(d, cert.ARN)
	cert.Request, cert.Pending = nil, false
	albion.Delete[*albion.Issuance](d, string(cert.ARN))
}

// request turns words into what the CA will be asked.
func (in *CARequest) request() (*albion.Request, error) {
	domains, err := localDomains(in.Domains)
	if err != nil {
		return nil, err
	}
	r := &albion.Request{Email: in.Email, Domains: domains}
	for n, choice := range in.choices() {
		ca, err := choice.ca()
		switch {
		case err != nil:
			return nil, err
		case r.MayGoTo(ca.Directory):
			return nil, refuse("CertificateAuthority", "the CA %s is named twice: a CA is no fallback for itself", printable(choice.Issuer))
		}
		if err := issuable(domains, ca.Directory); err != nil {
			return nil, err
		}
		if n == 0 {
			r = r.At(ca)
			continue
		}
		r.Fallbacks = append(r.Fallbacks, ca)
	}
	if r.Method, r.Argument, err = albion.ParseMethod(in.Challenge); err != nil {
		return nil, err
	}
	for _, domain := range domains {
		if err := r.Method.Proves(domain); err != nil {
			return nil, err
		}
	}
	switch in.KeyType {
	case "", string(albion.KeyECDSA):
		r.KeyType = albion.KeyECDSA
	case string(albion.KeyRSA):
		r.KeyType = albion.KeyRSA
	default:
		return nil, refuse("KeyAlgorithm", "the key type %q is not known: expected ecdsa or rsa", printable(in.KeyType))
	}
	return r, nil
}

// issuable refuses what no public CA issues for, before it is asked again and
// again. A CA with only an address here may be a private one and decides itself.
func issuable(domains []string, directory string) error {
	ca, named := namedCA(directory)
	if !named {
		return nil
	}
	const instead = "use issuer local for it, or a CA of your own by the https address of its directory"
	for _, domain := range domains {
		address, err := netip.ParseAddr(domain)
		switch {
		case err == nil && !albion.PublicAddress(address):
			return refuse("DomainName", "%s does not issue for %s, an address that only a private network knows: %s", ca.name, domain, instead)
		case err == nil:
		case !strings.Contains(domain, "."):
			return refuse("DomainName", "%s does not issue for %q, which is no full domain name: %s", ca.name, domain, instead)
		case albion.ReservedName(domain):
			return refuse("DomainName", "%s does not issue for %q, whose last part is reserved for private names: %s", ca.name, domain, instead)
		}
	}
	return nil
}

// through chooses the hosted zone that names are delegated into, when nobody has
// said which: as before, or the only one that there is. It is kept, so that
// another zone changes nothing.
func (in *CARequest) through(s *albion.State, before, want *albion.Request) error {
	if want.Method != albion.MethodDelegated {
		return nil
	}
	zones := slices.Clone(in.Zones)
	for zone := range s.HostedZones.All() {
		zones = append(zones, strings.TrimSuffix(zone.Name, "."))
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	outside := slices.ContainsFunc(want.Domains, func(domain string) bool {
		return !slices.ContainsFunc(zones, func(zone string) bool { return strings.HasSuffix(albion.ChallengeName(domain), "."+zone) })
	})
	switch given := strings.ToLower(strings.TrimSuffix(want.Argument, ".")); {
	case given != "" && slices.Contains(zones, given):
		want.Argument = given
	case given != "":
		_, err := s.Delegation(want, want.Domains[0]) // says what to do
		return err
	case !outside:
	case before != nil && before.Method == albion.MethodDelegated && slices.Contains(zones, before.Argument):
		want.Argument = before.Argument
	case len(zones) == 1:
		want.Argument = zones[0]
	case len(zones) == 0:
		return refuse("ValidationMethod", "dns-delegated needs a hosted zone to delegate into, and there is none: make one with `albion dns zone create`, and have its NS records lead here")
	default:
		return refuse("ValidationMethod", "there are several hosted zones to delegate into (%s): say which, as dns-delegated=%s", strings.Join(zones, ", "), zones[0])
	}
	return nil
}
