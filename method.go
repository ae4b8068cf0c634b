package albion

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Method is how it is proved to a CA that names are ours, as users write it.
type Method string

// The methods. The zero value leaves the choice between HTTP and TLS-ALPN to
// what the CA offers.
const (
	MethodAuto       Method = ""
	MethodHTTP       Method = "http"          // our listeners answer on port 80
	MethodALPN       Method = "tls-alpn"      // our listeners answer on port 443
	MethodWebroot    Method = "webroot"       // a file for another web server; =DIR
	MethodStandalone Method = "standalone"    // a listener on port 80 for as long as it takes
	MethodManual     Method = "dns-manual"    // a person adds a TXT record
	MethodDelegated  Method = "dns-delegated" // a CNAME leads to a zone that we serve; may be =ZONE
	MethodExec       Method = "dns-exec"      // a program adds the TXT record; =HOOK
	MethodRFC2136    Method = "dns-rfc2136"   // dynamic update; =FILE with the credentials
	MethodRoute53    Method = "dns-route53"   // AWS; may be =ZONEID
	MethodCloudflare Method = "dns-cloudflare"
)

// need is what stands behind the "=" of a method.
type need int

const (
	nothing need = iota
	optional
	aFile // an absolute name
)

// methodForms says of every method but the zero one how it is written. They are
// in the order in which users are told of them.
func methodForms() []methodForm {
	return []methodForm{
		{MethodHTTP, ChallengeHTTP, nothing, ""},
		{MethodALPN, ChallengeALPN, nothing, ""},
		{MethodWebroot, ChallengeHTTP, aFile, "DIR"},
		{MethodStandalone, ChallengeHTTP, nothing, ""},
		{MethodManual, ChallengeDNS, nothing, ""},
		{MethodDelegated, ChallengeDNS, optional, "ZONE"},
		{MethodExec, ChallengeDNS, aFile, "HOOK"},
		{MethodRFC2136, ChallengeDNS, aFile, "FILE"},
		{MethodRoute53, ChallengeDNS, optional, "ZONEID"},
		{MethodCloudflare, ChallengeDNS, aFile, "FILE"},
	}
}

type methodForm struct {
	method    Method
	challenge Challenge
	need      need
	argument  string // what the argument is called
}

// Methods lists the methods as they are written: http, webroot=DIR,
// dns-delegated[=ZONE], …
func Methods() []string {
	var all []string
	for _, f := range methodForms() {
		all = append(all, f.String())
	}
	return all
}

func (f methodForm) String() string {
	switch f.need {
	case optional:
		return string(f.method) + "[=" + f.argument + "]"
	case aFile:
		return string(f.method) + "=" + f.argument
	}
	return string(f.method)
}

func (m Method) form() (methodForm, bool) {
	all := methodForms()
	i := slices.IndexFunc(all, func(f methodForm) bool { return f.method == m })
	if i < 0 {
		return methodForm{}, false
	}
	return all[i], true
}

// Challenge is ACME's name of what the method answers; "" for MethodAuto.
func (m Method) Challenge() Challenge {
	f, _ := m.form()
	return f.challenge
}

// Manual says whether a person has to do something: add a record at each proof,
// or once for all.
func (m Method) Manual() bool { return m == MethodManual || m == MethodDelegated }

// TakesFile says whether the argument is the name of a file, a folder or a
// program, which is kept as an absolute name.
func (m Method) TakesFile() bool {
	f, _ := m.form()
	return f.need == aFile
}

// ParseMethod reads a method as users write it: http, webroot=/var/www,
// dns-route53=Z123. "" and "auto" are MethodAuto, and the challenges' own names
// http-01 and tls-alpn-01 are understood. The name of a file may still be
// relative to whatever the user meant. Errors are *Error and say what to write.
func ParseMethod(words string) (Method, string, error) {
	name, argument, given := strings.Cut(words, "=")
	switch name {
	case "", "auto":
		if given {
			return "", "", methodError("the challenge auto takes nothing behind a =")
		}
		return MethodAuto, "", nil
	case string(ChallengeHTTP):
		name = string(MethodHTTP)
	case string(ChallengeALPN):
		name = string(MethodALPN)
	}
	f, known := Method(name).form()
	switch {
	case !known && name == "dns" || name == string(ChallengeDNS):
		return "", "", methodError("%s says too little: which one of %s?", name, strings.Join(dnsMethods(), ", "))
	case !known:
		return "", "", methodError("the challenge %s is not known: expected auto, %s", shown(name), strings.Join(Methods(), ", "))
	case f.need == nothing && given:
		return "", "", methodError("the challenge %s takes nothing behind a =: write only %s", name, name)
	case f.need == aFile && argument == "":
		return "", "", methodError("the challenge %s needs %s: write %s", name, article(f.argument), f)
	case f.need == optional && given && argument == "":
		return "", "", methodError("nothing stands behind the = of %s: write %s, or leave the = out", words, f)
	case !printableArgument(argument):
		return "", "", methodError("what stands behind the = of %s is no %s", name, f.argument)
	}
	return f.method, argument, nil
}

func methodError(format string, args ...any) error {
	e := Errorf(CodeValidation, format, args...)
	e.Field = "ValidationMethod"
	return e
}

// article says what an argument is.
func article(argument string) string {
	switch argument {
	case "DIR":
		return "the folder that the web server shows"
	case "HOOK":
		return "the program to run"
	}
	return "the file with the credentials"
}

func dnsMethods() []string {
	var all []string
	for _, f := range methodForms() {
		if f.challenge == ChallengeDNS {
			all = append(all, f.String())
		}
	}
	return all
}

// maxArgument bounds what stands behind the = of a method, in bytes.
const maxArgument = 4096

func printableArgument(s string) bool {
	return len(s) <= maxArgument && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Proves says whether the method can prove a name at all: nil, or an *Error
// that says which method can.
func (m Method) Proves(domain string) error {
	dns := m.Challenge() == ChallengeDNS
	_, address := netip.ParseAddr(domain)
	switch {
	case strings.HasPrefix(domain, "*.") && !dns:
		how := "by " + string(m)
		if m == MethodAuto {
			how = "without a DNS challenge"
		}
		return methodError("the wildcard %s cannot be proved %s: choose one of %s", domain, how, strings.Join(dnsMethods(), ", "))
	case address == nil && dns:
		// RFC 8738 §7: dns-01 must not be used for addresses.
		return methodError("the IP address %s cannot be proved by %s: choose http or tls-alpn, in a certificate of its own", domain, m)
	}
	return nil
}

// Way is the method of a request as users write it; auto for the zero Method.
func (r *Request) Way() string {
	switch {
	case r.Method == MethodAuto:
		return "auto"
	case r.Argument == "":
		return string(r.Method)
	}
	return fmt.Sprintf("%s=%s", r.Method, r.Argument)
}

// method checks how a request's names are to be proved.
func (s subject) method(r *Request) {
	if m, argument, err := ParseMethod(r.Way()); err != nil || m != r.Method || argument != r.Argument {
		s.wrong(CodeValidation, "Request.Method", "%s is no way to prove a name: expected auto, %s", shown(r.Way()), strings.Join(Methods(), ", "))
		return
	}
	if r.Method.TakesFile() && !filepath.IsAbs(r.Argument) {
		s.wrong(CodeValidation, "Request.Argument", "%s means something else in every folder: write the whole name, from the root on", shown(r.Argument))
	}
	for i, domain := range r.Domains {
		if err := r.Method.Proves(domain); err != nil {
			s.wrong(CodeValidation, index("Request.Domains", i), "%s", err)
		}
	}
}
