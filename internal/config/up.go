package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/albion-lb/albion"
)

// UpOptions is what "albion up" is told.
type UpOptions struct {
	Domains   []string     // to answer for; at least one
	To        []string     // the servers, HOST:PORT; at least one
	Addresses []netip.Addr // to listen on; none: all
	HTTPPort  uint16       // 0: 80
	HTTPSPort uint16       // 0: 443

	// Where the certificate comes from: files, a certbot folder, or, when none
	// of them is given, an issuer.
	Certificate, Key, Chain string
	Certbot                 string
	Issuer                  albion.Issuer // "": the local authority

	// Of a certificate that a CA issues, in place of Issuer.
	CA        string // letsencrypt, letsencrypt-staging, or the https URL of a directory
	CARoot    string // file
	Email     string
	Challenge string // "": either
}

// Names of the objects that Up declares.
const (
	upBalancer = "web"
	upGroup    = "servers"
)

// Up writes the file that "albion up" stands for: HTTPS in front of some
// servers, and HTTP that redirects to it. Parse accepts what it writes.
func Up(o UpOptions) ([]byte, error) {
	if o.HTTPPort == 0 {
		o.HTTPPort = 80
	}
	if o.HTTPSPort == 0 {
		o.HTTPSPort = defaultPort(albion.HTTPS)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	var b strings.Builder
	name := certificateName(o.Domains[0])
	fmt.Fprintf(&b, "# HTTPS for %s, in front of %s.\n# Save this as albion.yaml, change it, and run: albion serve -c albion.yaml\n\n", strings.Join(o.Domains, ", "), strings.Join(o.To, ", "))
	o.writeCertificate(&b, name)
	o.writeTargets(&b)
	o.writeBalancer(&b, name)
	if _, err := Parse("albion up", []byte(b.String())); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// check says what is wrong in the words of the command.
func (o *UpOptions) check() error {
	var errs []error
	if len(o.Domains) == 0 {
		errs = append(errs, errors.New("which domain? expected at least one, such as chat.example.com"))
	}
	for _, d := range o.Domains {
		if _, err := netip.ParseAddr(d); err != nil && !isDomain(strings.TrimPrefix(d, "*.")) {
			errs = append(errs, fmt.Errorf("%s is not a domain name, such as chat.example.com", quote(d)))
		}
	}
	if len(o.To) == 0 {
		errs = append(errs, errors.New("in front of which server? expected HOST:PORT, such as 127.0.0.1:8080"))
	}
	for _, s := range o.To {
		if _, problem := parseTarget(s); problem != "" {
			errs = append(errs, errors.New(problem))
		}
	}
	if o.HTTPPort == o.HTTPSPort {
		errs = append(errs, fmt.Errorf("port %d cannot be for HTTP and for HTTPS", o.HTTPPort))
	}
	return errors.Join(append(errs, o.checkCertificate())...)
}

func (o *UpOptions) checkCertificate() error {
	switch {
	case o.Certificate != "" && o.Certbot != "":
		return errors.New("the certificate comes from files or from a certbot folder, not from both")
	case o.Certificate == "" && (o.Key != "" || o.Chain != ""):
		return errors.New("a key or chain needs the certificate that it belongs to")
	case (o.Certificate != "" || o.Certbot != "") && o.Issuer != "":
		return errors.New("a certificate from files has no issuer here: leave one of them out")
	case o.CA != "" && (o.Certificate != "" || o.Certbot != ""):
		return errors.New("a certificate from files is not requested from a CA: leave one of them out")
	case o.CA == "" && (o.CARoot != "" || o.Challenge != ""):
		return errors.New("a challenge or the root of a CA needs a CA")
	case o.Issuer != "" && o.Issuer != albion.Local:
		return fmt.Errorf("issuer %s is not known: expected %s", quote(string(o.Issuer)), albion.Local)
	}
	for _, name := range []string{o.Certificate, o.Key, o.Chain, o.Certbot, o.CARoot, o.CA, o.Email, o.Challenge} {
		if !utf8.ValidString(name) {
			return fmt.Errorf("the file name %s is not UTF-8, and a YAML file is", quote(name))
		}
	}
	return nil
}

// isDomain is isHost with the letters and marks of all scripts. What it lets
// through can stand in a comment of the file.
func isDomain(s string) bool {
	return isHost(strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)) {
			return 'a'
		}
		return r
	}, s))
}

// certificateName names a certificate after a domain, if that can be a name.
func certificateName(domain string) string {
	name := strings.TrimPrefix(domain, "*.")
	if _, err := netip.ParseAddr(name); err != nil && !isHost(name) {
		return "site"
	}
	return name
}

func (o *UpOptions) writeCertificate(b *strings.Builder, name string) {
	fmt.Fprintf(b, "certificates:\n  %s:\n", scalar(name))
	switch {
	case o.Certbot != "":
		fmt.Fprintf(b, "    certbot: %s   # read again when it is renewed\n", scalar(absolute(o.Certbot)))
	case o.Certificate != "":
		fmt.Fprintf(b, "    # Read again when they change; live connections stay.\n    certificate: %s\n", scalar(absolute(o.Certificate)))
		if o.Key != "" {
			fmt.Fprintf(b, "    key: %s\n", scalar(absolute(o.Key)))
		}
		if o.Chain != "" {
			fmt.Fprintf(b, "    chain: %s\n", scalar(absolute(o.Chain)))
		}
	case o.CA != "":
		o.writeRequest(b)
	default:
		fmt.Fprintf(b, "    domains: [%s]\n    issuer: local   # Albion's own authority: browsers trust it once its certificate is installed\n", scalars(o.Domains))
	}
}

func (o *UpOptions) writeRequest(b *strings.Builder) {
	fmt.Fprintf(b, "    domains: [%s]\n    issuer: %s   # obtained and renewed by itself; its terms of service are agreed to\n", scalars(o.Domains), scalar(o.CA))
	for _, line := range [][2]string{{"ca_root", absoluteOrNone(o.CARoot)}, {"email", o.Email}, {"challenge", o.Challenge}} {
		if line[1] != "" {
			fmt.Fprintf(b, "    %s: %s\n", line[0], scalar(line[1]))
		}
	}
}

func absoluteOrNone(name string) string {
	if name == "" {
		return ""
	}
	return absolute(name)
}

func (o *UpOptions) writeTargets(b *strings.Builder) {
	fmt.Fprintf(b, `
target_groups:
  %s:
    targets: [%s]
    # A SockJS session stays with its server, whatever transport it uses and
    # without a cookie; other requests take turns.
    stickiness: sockjs
    health_check:
      path: /
      interval: 10s
      # Any answer but a server error counts: many servers have no page at /.
      matcher: 200-499
`, upGroup, scalars(o.To))
}

func (o *UpOptions) writeBalancer(b *strings.Builder, name string) {
	fmt.Fprintf(b, "\nload_balancers:\n  %s:\n", upBalancer)
	if len(o.Addresses) > 0 {
		addresses := make([]string, len(o.Addresses))
		for i, a := range o.Addresses {
			addresses[i] = a.String()
		}
		fmt.Fprintf(b, "    addresses: [%s]\n", scalars(addresses))
	}
	redirect := "https   # the same address, encrypted"
	if o.HTTPSPort != 443 {
		redirect = fmt.Sprintf("{protocol: HTTPS, port: %d}   # the same address, encrypted", o.HTTPSPort)
	}
	fmt.Fprintf(b, `    listeners:
      - port: %d
        redirect: %s
      - port: %d
        certificates: [%s]
        forward: %s
`, o.HTTPPort, redirect, o.HTTPSPort, scalar(name), upGroup)
}

// absolute makes a file's name mean the same wherever the text is saved.
func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

func scalars(all []string) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = scalar(s)
	}
	return strings.Join(out, ", ")
}

// scalar writes text as YAML: as it is when that can only mean text, else in
// double quotes, whose escapes for ASCII are Go's.
func scalar(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	begins := s != "" && (strings.ContainsRune(plain, rune(s[0])) || s[0] == '/' && len(s) > 1)
	if begins && strings.Trim(s, plain+"0123456789-_./:") == "" && !strings.HasSuffix(s, ":") && !isWord(s) {
		return s
	}
	// host:port of an IPv4 address cannot be anything else either.
	if a, err := netip.ParseAddrPort(s); err == nil && a.Addr().Is4() {
		return s
	}
	return strconv.Quote(s)
}

// isWord says whether YAML, of whatever version, reads a word as something else
// than text.
func isWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return true
	}
	return false
}
