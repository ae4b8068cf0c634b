package albion_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
)

const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

// world is a small State whose objects a test may still change, before finish.
type world struct {
	lb         *albion.LoadBalancer
	other      *albion.LoadBalancer
	http       *albion.Listener
	https      *albion.Listener
	rule       *albion.Rule
	group      *albion.TargetGroup
	spare      *albion.TargetGroup
	cert       *albion.Certificate
	key        *albion.Key
	security   *albion.SecurityGroup
	authority  *albion.Authority
	authorized *albion.Key
}

func newWorld() *world {
	lb := &albion.LoadBalancer{
		ARN: albion.LoadBalancerARN("web", [8]byte{1}), Name: "web", SecurityGroups: []string{"sg-1"},
		Attributes: albion.DefaultLoadBalancerAttributes(),
	}
	other := &albion.LoadBalancer{
		ARN: albion.LoadBalancerARN("other", [8]byte{2}), Name: "other",
		Attributes: albion.DefaultLoadBalancerAttributes(),
	}
	group := newGroup("chat", 1)
	cert := &albion.Certificate{
		ARN: albion.CertificateARN([16]byte{1}), Name: "chat.example.com", Chain: pem, Issuer: albion.Imported,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0),
	}
	toHTTPS := albion.DefaultRedirect()
	toHTTPS.Protocol, toHTTPS.Port = "HTTPS", "443"
	http := &albion.Listener{
		ARN: albion.ListenerARN(lb.ARN, [8]byte{1}), LoadBalancer: lb.ARN, Protocol: albion.HTTP, Port: 80,
		Default: albion.Action{Redirect: &toHTTPS},
	}
	https := &albion.Listener{
		ARN: albion.ListenerARN(lb.ARN, [8]byte{2}), LoadBalancer: lb.ARN, Protocol: albion.HTTPS, Port: 443,
		SSLPolicy: albion.DefaultSSLPolicy, Certificates: []albion.ARN{cert.ARN},
		Default: albion.Action{Fixed: &albion.FixedResponse{Status: 404, ContentType: "text/plain", Body: "no"}},
	}
	return &world{
		lb: lb, other: other, http: http, https: https, group: group, spare: newGroup("spare", 2), cert: cert,
		key:        &albion.Key{Name: string(cert.ARN), Secret: albion.Secret("key")},
		authority:  &albion.Authority{Name: "local", Chain: pem},
		authorized: &albion.Key{Name: "authority/local", Secret: albion.Secret("key")},
		security: &albion.SecurityGroup{ID: "sg-1", Name: "open", Ingress: []albion.Permission{
			{FromPort: 0, ToPort: 65535, Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		}},
		rule: &albion.Rule{
			ARN: albion.RuleARN(https.ARN, [8]byte{1}), Listener: https.ARN, Priority: 10,
			Conditions: []albion.Condition{
				{Field: albion.HostHeader, Values: []string{"chat.example.com", "*.example.com"}},
				{Field: albion.PathPattern, Values: []string{"/chat", "/chat/*"}},
			},
			Action: forwardTo(group),
		},
	}
}

func newGroup(name string, id byte) *albion.TargetGroup {
	return &albion.TargetGroup{
		ARN: albion.TargetGroupARN(name, [8]byte{id}), Name: name, Protocol: albion.HTTP, Port: 8080,
		Targets:     []albion.Target{{Host: "127.0.0.1", Port: 8080}, {Host: "chat-2.internal", Port: 8080}},
		HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	}
}

func forwardTo(groups ...*albion.TargetGroup) albion.Action {
	f := &albion.Forward{}
	for _, g := range groups {
		f.Groups = append(f.Groups, albion.WeightedGroup{Group: g.ARN, Weight: 1})
	}
	return albion.Action{Forward: f}
}

// draft puts the world, leaving out what a test has set to nil.
func (w *world) draft() *albion.Draft {
	d := albion.NewDraft(&albion.State{})
	put(d, w.lb, w.other)
	put(d, w.http, w.https)
	put(d, w.rule)
	put(d, w.group, w.spare)
	put(d, w.cert)
	put(d, w.key, w.authorized)
	put(d, w.security)
	put(d, w.authority)
	return d
}

func put[T interface {
	comparable
	Identity() string
}](d *albion.Draft, list ...T) {
	var none T
	for _, v := range list {
		if v == none {
			continue
		}
		switch v := any(v).(type) {
		case *albion.LoadBalancer:
			albion.Put(d, v)
		case *albion.Listener:
			albion.Put(d, v)
		case *albion.Rule:
			albion.Put(d, v)
		case *albion.TargetGroup:
			albion.Put(d, v)
		case *albion.Certificate:
			albion.Put(d, v)
		case *albion.Key:
			albion.Put(d, v)
		case *albion.SecurityGroup:
			albion.Put(d, v)
		case *albion.Authority:
			albion.Put(d, v)
		}
	}
}

func (w *world) redirect(edit func(*albion.Redirect)) {
	r := albion.DefaultRedirect()
	r.Host = "www.example.org"
	edit(&r)
	w.rule.Action = albion.Action{Redirect: &r}
}

func (w *world) fixed(f albion.FixedResponse) { w.rule.Action = albion.Action{Fixed: &f} }

func (w *world) values(field albion.ConditionField, values ...string) {
	w.rule.Conditions = []albion.Condition{{Field: field, Values: values}}
}

func TestAValidStateIsAccepted(t *testing.T) {
	for name, edit := range map[string]func(w *world){
		"as it is":               func(*world) {},
		"IPv6 target":            func(w *world) { w.group.Targets[0].Host = "2001:db8::1" },
		"target by service name": func(w *world) { w.group.Targets[0].Host = "chat_server" },
		"absolute target name":   func(w *world) { w.group.Targets[0].Host = "chat.internal." },
		"no targets":             func(w *world) { w.group.Targets = nil },
		"longest name":           func(w *world) { w.lb.Name = strings.Repeat("a", 32) },
		"ends of ranges":         func(w *world) { w.lb.Attributes.IdleTimeout = 4000 * time.Second },
		"no delay":               func(w *world) { w.group.Attributes.DeregistrationDelay = 0 },
		"disabled health check":  func(w *world) { w.group.HealthCheck = albion.HealthCheck{Disabled: true} },
		"matcher":                func(w *world) { w.group.HealthCheck.Matcher = "200-299,301,499" },
		"stickiness by cookie": func(w *world) {
			w.group.Attributes.Stickiness = albion.Stickiness{Type: albion.LBCookie, Duration: time.Second}
		},
		"stickiness by session":    func(w *world) { w.group.Attributes.Stickiness.Type = albion.SockJS },
		"weight 0":                 func(w *world) { w.rule.Action.Forward.Groups[0].Weight = 0 },
		"weight 999":               func(w *world) { w.rule.Action.Forward.Groups[0].Weight = 999 },
		"two groups":               func(w *world) { w.rule.Action = forwardTo(w.group, w.spare) },
		"group in two listeners":   func(w *world) { w.http.Default = forwardTo(w.group) },
		"localhost":                func(w *world) { w.values(albion.HostHeader, "localhost", "127.0.0.1") },
		"path with every wildcard": func(w *world) { w.values(albion.PathPattern, "*.php", "/a?b/*/c?*") },
		"path with escapes":        func(w *world) { w.values(albion.PathPattern, "/%EC%B1%84;v=1,2(3)") },
		"redirect of the host":     func(w *world) { w.redirect(func(*albion.Redirect) {}) },
		"redirect to IPv6":         func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host = "[2001:db8::1]" }) },
		"redirect 308":             func(w *world) { w.redirect(func(r *albion.Redirect) { r.Status = 308 }) },
		"redirect with all": func(w *world) {
			w.redirect(func(r *albion.Redirect) {
				*r = albion.Redirect{Host: "www.#{host}", Path: "/#{host}/#{port}/#{path}", Query: "#{protocol}#{host}#{port}#{path}#{query}", Status: 302}
			})
		},
		"redirect of the path":     func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host, r.Path = "", "/new/#{path}" }) },
		"redirect to another port": func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host, r.Port = "#{host}", "8443" }) },
		"HTTP redirect on HTTP":    func(w *world) { w.http.Default.Redirect.Protocol, w.http.Default.Redirect.Port = "HTTP", "8080" },
		"fixed 204":                func(w *world) { w.fixed(albion.FixedResponse{Status: 204}) },
		"fixed with 1024 bytes":    func(w *world) { w.fixed(albion.FixedResponse{Status: 599, Body: strings.Repeat("a", 1024)}) },
		"same port, own addresses": func(w *world) {
			w.lb.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
			w.other.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
			w.http.LoadBalancer, w.http.Port = w.other.ARN, 443
		},
		"IPv4 and IPv6 apart": func(w *world) {
			w.lb.Addresses = []netip.Addr{netip.MustParseAddr("0.0.0.0")}
			w.other.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::1")}
			w.http.LoadBalancer, w.http.Port = w.other.ARN, 443
		},
		"shared access log": func(w *world) {
			w.lb.AccessLog = albion.AccessLog{File: "/var/log/a.log", Keep: 3}
			w.other.AccessLog = albion.AccessLog{File: "/var/log/./a.log", Keep: 3}
		},
		"access log": func(w *world) { w.lb.AccessLog = albion.AccessLog{File: "/var/log/a b.log", MaxSize: 1 << 20, Keep: 3} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			edit(w)
			if _, err := w.draft().Finish(); err != nil {
				t.Error(err)
			}
		})
	}
}

// problem is one thing that a test expects to be said.
type problem struct {
	code  albion.Code
	kind  albion.Kind
	field string
	says  string // a part of the message
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	const (
		invalid = albion.CodeValidation
		lb      = albion.KindLoadBalancer
		ls      = albion.KindListener
		rl      = albion.KindRule
		tg      = albion.KindTargetGroup
		ct      = albion.KindCertificate
		sg      = albion.KindSecurityGroup
	)
	addr := netip.MustParseAddr
	for _, c := range []struct {
		name string
		edit func(w *world)
		problem
	}{
		{"lb without a name", func(w *world) { w.lb.Name = "" }, problem{invalid, lb, "Name", "1 to 32 letters"}},
		{"lb with a long name", func(w *world) { w.lb.Name = strings.Repeat("a", 33) }, problem{invalid, lb, "Name", "1 to 32"}},
		{"lb with an edge hyphen", func(w *world) { w.lb.Name = "-a" }, problem{invalid, lb, "Name", `load balancer "-a"`}},
		{"lb with a foreign letter", func(w *world) { w.lb.Name = "bücher" }, problem{invalid, lb, "Name", "letters"}},
		{"lb with a reserved name", func(w *world) { w.lb.Name = "internal-web" }, problem{invalid, lb, "Name", "reserved"}},
		{"two lbs of one name", func(w *world) { w.other.Name = "web" }, problem{albion.CodeDuplicateLoadBalancer, lb, "Name", "already"}},
		{"idle timeout", func(w *world) { w.lb.Attributes.IdleTimeout = 4001 * time.Second }, problem{invalid, lb, "Attributes.IdleTimeout", "idle timeout is 4001s; choose 1s to 4000s"}},
		{"idle timeout 0", func(w *world) { w.lb.Attributes.IdleTimeout = 0 }, problem{invalid, lb, "Attributes.IdleTimeout", "0s"}},
		{"keep-alive", func(w *world) { w.lb.Attributes.ClientKeepAlive = 59 * time.Second }, problem{invalid, lb, "Attributes.ClientKeepAlive", "60s to 604800s"}},
		{"desync", func(w *world) { w.lb.Attributes.DesyncMode = "" }, problem{invalid, lb, "Attributes.DesyncMode", `"defensive"`}},
		{"xff", func(w *world) { w.lb.Attributes.XFFMode = "add" }, problem{invalid, lb, "Attributes.XFFMode", `"add"`}},
		{"log file", func(w *world) { w.lb.AccessLog.File = "a\x00" }, problem{invalid, lb, "AccessLog.File", "controls"}},
		{"log size", func(w *world) { w.lb.AccessLog.MaxSize = 1 }, problem{invalid, lb, "AccessLog.MaxSize", "max size"}},
		{"log keep", func(w *world) { w.lb.AccessLog.Keep = -1 }, problem{invalid, lb, "AccessLog.Keep", "-1"}},
		{"shared log", func(w *world) {
			w.lb.AccessLog, w.other.AccessLog = albion.AccessLog{File: "/a.log", Keep: 3}, albion.AccessLog{File: "/./a.log", Keep: 4}
		}, problem{invalid, lb, "AccessLog", "writes to the same file"}},
		{"lb's group", func(w *world) { w.security = nil }, problem{albion.CodeSecurityGroupNotFound, lb, "SecurityGroups[0]", `"sg-1"`}},
		{"lb's group twice", func(w *world) { w.lb.SecurityGroups = []string{"sg-1", "sg-1"} }, problem{invalid, lb, "SecurityGroups[1]", "twice"}},
		{"no address", func(w *world) { w.lb.Addresses = []netip.Addr{{}} }, problem{invalid, lb, "Addresses[0]", "no address"}},
		{"address twice", func(w *world) { w.lb.Addresses = []netip.Addr{addr("127.0.0.1"), addr("::ffff:127.0.0.1")} }, problem{invalid, lb, "Addresses[1]", "twice"}},

		{"listener's lb", func(w *world) { w.lb = nil }, problem{albion.CodeLoadBalancerNotFound, ls, "LoadBalancer", "no load balancer"}},
		{"listener's port", func(w *world) { w.http.Port = 0 }, problem{invalid, ls, "Port", `listener HTTP:0 of load balancer "web"`}},
		{"same port", func(w *world) { w.http.Port = 443 }, problem{albion.CodeDuplicateListener, ls, "Port", `taken by the listener HTTP:443 of load balancer "web"`}},
		{"same port elsewhere", func(w *world) { w.http.LoadBalancer, w.http.Port = w.other.ARN, 443 }, problem{albion.CodeDuplicateListener, ls, "Port", `"other"`}},
		{"same port, all of IPv4", func(w *world) {
			w.lb.Addresses, w.other.Addresses = []netip.Addr{addr("127.0.0.1")}, []netip.Addr{addr("0.0.0.0")}
			w.http.LoadBalancer, w.http.Port = w.other.ARN, 443
		}, problem{albion.CodeDuplicateListener, ls, "Port", "443"}},
		{"same port, all and one", func(w *world) {
			w.lb.Addresses = []netip.Addr{addr("::1")}
			w.http.LoadBalancer, w.http.Port = w.other.ARN, 443
		}, problem{albion.CodeDuplicateListener, ls, "Port", "443"}},
		{"listener's protocol", func(w *world) { w.http.Protocol = "TCP" }, problem{albion.CodeUnsupportedProtocol, ls, "Protocol", `"TCP"`}},
		{"HTTP with certificate", func(w *world) { w.http.Certificates = []albion.ARN{w.cert.ARN} }, problem{invalid, ls, "Certificates", "shows no certificate"}},
		{"HTTP with policy", func(w *world) { w.http.SSLPolicy = albion.DefaultSSLPolicy }, problem{invalid, ls, "SSLPolicy", "no security policy"}},
		{"HTTPS without certificate", func(w *world) { w.https.Certificates = nil }, problem{albion.CodeCertificateNotFound, ls, "Certificates", "needs a certificate"}},
		{"HTTPS with a lost certificate", func(w *world) { w.cert = nil }, problem{albion.CodeCertificateNotFound, ls, "Certificates[0]", "no certificate"}},
		{"certificate twice", func(w *world) { w.https.Certificates = append(w.https.Certificates, w.cert.ARN) }, problem{invalid, ls, "Certificates[1]", "twice"}},
		{"unknown policy", func(w *world) { w.https.SSLPolicy = "strong" }, problem{albion.CodeSSLPolicyNotFound, ls, "SSLPolicy", albion.DefaultSSLPolicy}},
		{"no action", func(w *world) { w.https.Default = albion.Action{} }, problem{invalid, ls, "Default", "does nothing"}},
		{"two actions", func(w *world) { w.https.Default.Forward = forwardTo(w.group).Forward }, problem{albion.CodeTooManyActions, ls, "Default", "2 actions"}},

		{"rule's listener", func(w *world) { w.https = nil }, problem{albion.CodeListenerNotFound, rl, "Listener", "no listener"}},
		{"priority", func(w *world) { w.rule.Priority = 50001 }, problem{invalid, rl, "Priority", `rule 50001 of listener HTTPS:443 of load balancer "web"`}},
		{"no conditions", func(w *world) { w.rule.Conditions = nil }, problem{invalid, rl, "Conditions", "needs a condition"}},
		{"no values", func(w *world) { w.values(albion.HostHeader) }, problem{invalid, rl, "Conditions[0].Values", "no values"}},
		{"unknown field", func(w *world) { w.values("colour", "red") }, problem{invalid, rl, "Conditions[0].Field", `"colour"`}},
		{"two host conditions", func(w *world) {
			w.rule.Conditions[1] = w.rule.Conditions[0]
			w.rule.Conditions[1].Values = []string{"x"}
		}, problem{invalid, rl, "Conditions[1].Field", "at most one"}},
		{"six values", func(w *world) { w.values(albion.PathPattern, "/1", "/2", "/3", "/4", "/5", "/6") }, problem{invalid, rl, "Conditions", "6 condition values"}},
		{"six wildcards", func(w *world) { w.values(albion.PathPattern, "/*?*?", "/*?") }, problem{invalid, rl, "Conditions", "6 wildcards"}},
		{"empty value", func(w *world) { w.values(albion.PathPattern, "/", "") }, problem{invalid, rl, "Conditions[0].Values[1]", "1 to 128"}},
		{"long value", func(w *world) { w.values(albion.HostHeader, strings.Repeat("a", 129)) }, problem{invalid, rl, "Conditions[0].Values[0]", "1 to 128"}},
		{"host with port", func(w *world) { w.values(albion.HostHeader, "a.example.com:80") }, problem{invalid, rl, "Conditions[0].Values[0]", "without scheme and port"}},
		{"host with a dot behind", func(w *world) { w.values(albion.HostHeader, "a.example.com.") }, problem{invalid, rl, "Conditions[0].Values[0]", "leave it out"}},
		{"path with fragment", func(w *world) { w.values(albion.PathPattern, "/a#b") }, problem{invalid, rl, "Conditions[0].Values[0]", "no #"}},
		{"path with a blank", func(w *world) { w.values(albion.PathPattern, "/a b") }, problem{invalid, rl, "Conditions[0].Values[0]", "percent-encoded"}},

		{"no groups", func(w *world) { w.rule.Action.Forward.Groups = nil }, problem{invalid, rl, "Action.Forward.Groups", "no target group"}},
		{"lost group", func(w *world) { w.group = nil }, problem{albion.CodeTargetGroupNotFound, rl, "Action.Forward.Groups[0].Group", "no target group"}},
		{"group twice", func(w *world) { w.rule.Action = forwardTo(w.group, w.group) }, problem{invalid, rl, "Action.Forward.Groups[1].Group", `target group "chat" is named twice`}},
		{"six groups", func(w *world) { w.rule.Action = forwardTo(w.group, w.group, w.group, w.group, w.group, w.group) }, problem{albion.CodeTooManyTargetGroups, rl, "Action.Forward.Groups", "6 target groups"}},
		{"weight", func(w *world) { w.rule.Action.Forward.Groups[0].Weight = 1000 }, problem{invalid, rl, "Action.Forward.Groups[0].Weight", "0 to 999"}},
		{"group of another lb", func(w *world) { w.http.LoadBalancer, w.http.Default = w.other.ARN, forwardTo(w.group) }, problem{albion.CodeGroupAssociationLimit, rl, "Action.Forward.Groups[0].Group", `serves load balancer "other" already`}},

		{"redirect to HTTP", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Protocol = "HTTP" }) }, problem{albion.CodeInvalidAction, rl, "Action.Redirect.Protocol", "encryption"}},
		{"redirect to nowhere", func(w *world) { w.redirect(func(r *albion.Redirect) { *r = albion.DefaultRedirect() }) }, problem{albion.CodeInvalidAction, rl, "Action.Redirect", "where it came from"}},
		{"redirect of the query only", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host, r.Query = "", "a=b" }) }, problem{albion.CodeInvalidAction, rl, "Action.Redirect", "where it came from"}},
		{"redirect to the same values", func(w *world) {
			w.redirect(func(r *albion.Redirect) { r.Host, r.Protocol, r.Port = "#{host}", "HTTPS", "443" })
		}, problem{albion.CodeInvalidAction, rl, "Action.Redirect", "where it came from"}},
		{"redirect to its own host", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host = "CHAT.example.com" }) }, problem{albion.CodeInvalidAction, rl, "Action.Redirect", "back to this rule"}},
		{"redirect's status", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Status = 303 }) }, problem{invalid, rl, "Action.Redirect.Status", "301, 302"}},
		{"redirect's protocol", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Protocol = "https" }) }, problem{invalid, rl, "Action.Redirect.Protocol", `"HTTPS"`}},
		{"redirect's port", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Port = "70000" }) }, problem{invalid, rl, "Action.Redirect.Port", "65535"}},
		{"redirect's host with port", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host = "h:8080" }) }, problem{invalid, rl, "Action.Redirect.Host", "own field"}},
		{"path in the host", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host = "#{path}" }) }, problem{invalid, rl, "Action.Redirect.Host", "#{host}"}},
		{"redirect's path", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Path = "x" }) }, problem{invalid, rl, "Action.Redirect.Path", "begin with /"}},
		{"query in the path", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Path = "/x?y" }) }, problem{invalid, rl, "Action.Redirect.Path", "query"}},
		{"protocol in the path", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Path = "/#{protocol}" }) }, problem{invalid, rl, "Action.Redirect.Path", "#{host}, #{port}, #{path}"}},
		{"open placeholder", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Path = "/#{path" }) }, problem{invalid, rl, "Action.Redirect.Path", "#{path}"}},
		{"line break in the path", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Path = "/\r\n" }) }, problem{invalid, rl, "Action.Redirect.Path", "visible ASCII"}},
		{"half an escape", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Path = "/100%#{path}" }) }, problem{invalid, rl, "Action.Redirect.Path", "%25"}},
		{"no IPv6 address", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Host = "[1.2.3.4]" }) }, problem{invalid, rl, "Action.Redirect.Host", "no host"}},
		{"redirect's query", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Query = "?a" }) }, problem{invalid, rl, "Action.Redirect.Query", "leave it out"}},
		{"fragment in the query", func(w *world) { w.redirect(func(r *albion.Redirect) { r.Query = "a#b" }) }, problem{invalid, rl, "Action.Redirect.Query", "no other #"}},
		{"fixed 302", func(w *world) { w.fixed(albion.FixedResponse{Status: 302}) }, problem{invalid, rl, "Action.Fixed.Status", "302"}},
		{"fixed type", func(w *world) { w.fixed(albion.FixedResponse{Status: 200, ContentType: "image/png"}) }, problem{invalid, rl, "Action.Fixed.ContentType", `"text/plain"`}},
		{"fixed body", func(w *world) { w.fixed(albion.FixedResponse{Status: 200, Body: strings.Repeat("a", 1025)}) }, problem{invalid, rl, "Action.Fixed.Body", "1025 bytes"}},
		{"fixed 204 with body", func(w *world) { w.fixed(albion.FixedResponse{Status: 204, Body: "a"}) }, problem{invalid, rl, "Action.Fixed.Body", "no body"}},

		{"group's name", func(w *world) { w.group.Name = "a b" }, problem{invalid, tg, "Name", "letters"}},
		{"two groups of one name", func(w *world) { w.spare.Name = "chat" }, problem{albion.CodeDuplicateTargetGroup, tg, "Name", "already"}},
		{"group's protocol version", func(w *world) { w.group.ProtocolVersion = "h2" }, problem{albion.CodeValidation, tg, "ProtocolVersion", `"h2"`}},
		{"gRPC without TLS", func(w *world) {
			w.http.Default, w.group.ProtocolVersion, w.group.HealthCheck = forwardTo(w.group), albion.GRPC, albion.GRPC.DefaultHealthCheck()
		}, problem{albion.CodeIncompatibleProtocols, ls, "Default.Forward.Groups[0].Group", "HTTPS listener"}},
		{"gRPC matcher", func(w *world) { w.group.ProtocolVersion, w.group.HealthCheck.Matcher = albion.GRPC, "200" }, problem{albion.CodeValidation, tg, "HealthCheck.Matcher", "0 to 99"}},
		{"group's protocol", func(w *world) { w.group.Protocol = "h2" }, problem{albion.CodeUnsupportedProtocol, tg, "Protocol", `"h2"`}},
		{"group's port", func(w *world) { w.group.Port = 0 }, problem{invalid, tg, "Port", "65535"}},
		{"target's port", func(w *world) { w.group.Targets[1].Port = 0 }, problem{albion.CodeInvalidTarget, tg, "Targets[1].Port", "chat-2.internal"}},
		{"target with a scheme", func(w *world) { w.group.Targets[0].Host = "http://a" }, problem{albion.CodeInvalidTarget, tg, "Targets[0].Host", "neither an IP address"}},
		{"half an address", func(w *world) { w.group.Targets[0].Host = "127.0.1" }, problem{albion.CodeInvalidTarget, tg, "Targets[0].Host", "127.0.1"}},
		{"target everywhere", func(w *world) { w.group.Targets[0].Host = "0.0.0.0" }, problem{albion.CodeInvalidTarget, tg, "Targets[0].Host", "one machine"}},
		{"target twice", func(w *world) { w.group.Targets[0] = albion.Target{Host: "CHAT-2.internal.", Port: 8080} }, problem{albion.CodeInvalidTarget, tg, "Targets[1]", "twice"}},
		{"check's protocol", func(w *world) { w.group.HealthCheck.Protocol = "TCP" }, problem{invalid, tg, "HealthCheck.Protocol", `"HTTP"`}},
		{"check's path", func(w *world) { w.group.HealthCheck.Path = "/a b" }, problem{invalid, tg, "HealthCheck.Path", "visible"}},
		{"check's interval", func(w *world) { w.group.HealthCheck.Interval = 301 * time.Second }, problem{invalid, tg, "HealthCheck.Interval", "1s to 300s"}},
		{"check's timeout", func(w *world) { w.group.HealthCheck.Timeout = 500 * time.Millisecond }, problem{invalid, tg, "HealthCheck.Timeout", "500ms"}},
		{"check's long timeout", func(w *world) { w.group.HealthCheck.Timeout = 31 * time.Second }, problem{invalid, tg, "HealthCheck.Timeout", "longer than its interval"}},
		{"healthy threshold", func(w *world) { w.group.HealthCheck.Healthy = 11 }, problem{invalid, tg, "HealthCheck.Healthy", "2 to 10"}},
		{"unhealthy threshold", func(w *world) { w.group.HealthCheck.Unhealthy = 1 }, problem{invalid, tg, "HealthCheck.Unhealthy", "2 to 10"}},
		{"matcher", func(w *world) { w.group.HealthCheck.Matcher = "200-" }, problem{invalid, tg, "HealthCheck.Matcher", "200-299,301"}},
		{"algorithm", func(w *world) { w.group.Attributes.Algorithm = "" }, problem{invalid, tg, "Attributes.Algorithm", "round_robin"}},
		{"delay", func(w *world) { w.group.Attributes.DeregistrationDelay = 3601 * time.Second }, problem{invalid, tg, "Attributes.DeregistrationDelay", "0s to 3600s"}},
		{"stickiness", func(w *world) { w.group.Attributes.Stickiness.Type = "app_cookie" }, problem{invalid, tg, "Attributes.Stickiness.Type", "sockjs"}},
		{"stickiness for no time", func(w *world) { w.group.Attributes.Stickiness.Type = albion.LBCookie }, problem{invalid, tg, "Attributes.Stickiness.Duration", "1s to 604800s"}},

		{"certificate's name", func(w *world) { w.cert.Name = "../x" }, problem{invalid, ct, "Name", "dot"}},
		{"certificate without a key", func(w *world) { w.key = nil }, problem{invalid, ct, "ARN", "private key is missing"}},
		{"empty key", func(w *world) { w.key.Secret = nil }, problem{invalid, albion.KindKey, "Secret", "empty"}},
		{"chain of nothing", func(w *world) { w.cert.Chain = "x" }, problem{invalid, ct, "Chain", "PEM"}},
		{"key in the chain", func(w *world) { w.cert.Chain += "-----BEGIN PRIVATE KEY-----\n" }, problem{invalid, ct, "Chain", "apart"}},
		{"key right behind the chain", func(w *world) { w.cert.Chain = strings.TrimSpace(pem) + "-----BEGIN RSA PRIVATE KEY-----\n" }, problem{invalid, ct, "Chain", "apart"}},
		{"certificate's issuer", func(w *world) { w.cert.Issuer = "" }, problem{invalid, ct, "Issuer", "imported"}},
		{"certificate's dates", func(w *world) { w.cert.NotAfter = time.Unix(-1, 0) }, problem{invalid, ct, "NotAfter", "before it begins"}},
		{"authority without a key", func(w *world) { w.authorized = nil }, problem{invalid, albion.KindAuthority, "Name", "authority/local"}},

		{"security group's name", func(w *world) { w.security.Name = "" }, problem{invalid, sg, "Name", "255"}},
		{"ports", func(w *world) { w.security.Ingress[0].ToPort, w.security.Ingress[0].FromPort = 1, 2 }, problem{invalid, sg, "Ingress[0].ToPort", "wrong way round"}},
		{"no sources", func(w *world) { w.security.Ingress[0].Sources = nil }, problem{invalid, sg, "Ingress[0].Sources", "nobody"}},
		{"source", func(w *world) { w.security.Ingress[0].Sources[0] = netip.Prefix{} }, problem{invalid, sg, "Ingress[0].Sources[0]", "no network"}},
		{"mapped source", func(w *world) {
			w.security.Ingress[0].Sources[0] = netip.MustParsePrefix("::ffff:10.0.0.0/104")
		}, problem{invalid, sg, "Ingress[0].Sources[0]", "IPv4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.edit(w)
			d := w.draft()
			next, err := d.Finish()
			if err == nil || next != nil {
				t.Fatal("accepted")
			}
			for _, e := range all(t, err) {
				if e.Code == c.code && e.Kind == c.kind && e.Field == c.field && strings.Contains(e.Message, c.says) && e.ID != "" {
					return
				}
			}
			t.Errorf("got:\n%s\nwant %+v", describe(t, err), c.problem)
		})
	}
}

// all takes apart what Validate returns.
func all(t interface {
	Helper()
	Fatalf(string, ...any)
}, err error) []*albion.Error {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not joined: %T", err)
	}
	var list []*albion.Error
	for _, one := range joined.Unwrap() {
		var e *albion.Error
		if !errors.As(one, &e) {
			t.Fatalf("not an *Error: %v", one)
		}
		list = append(list, e)
	}
	return list
}

func describe(t testing.TB, err error) string {
	var b strings.Builder
	for _, e := range all(t, err) {
		fmt.Fprintf(&b, "%s %s %s: %s\n", e.Code, e.Kind, e.Field, e.Message)
	}
	return b.String()
}

func TestAllThatIsWrongIsSaidAtOnceAndInOrder(t *testing.T) {
	broken := func() *world {
		w := newWorld()
		w.key.Secret, w.cert.Issuer, w.security.Name = nil, "", ""
		w.group.Port, w.spare.Port, w.lb.Name, w.http.Port, w.rule.Priority = 0, 0, "", 0, 0
		return w
	}
	_, err := broken().draft().Finish()
	var kinds []albion.Kind
	for _, e := range all(t, err) {
		kinds = append(kinds, e.Kind)
	}
	want := []albion.Kind{
		albion.KindKey, albion.KindCertificate, albion.KindSecurityGroup, albion.KindTargetGroup,
		albion.KindTargetGroup, albion.KindLoadBalancer, albion.KindListener, albion.KindRule,
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
	for range 20 {
		if _, again := broken().draft().Finish(); again.Error() != err.Error() {
			t.Fatalf("another time it said\n%v\ninstead of\n%v", again, err)
		}
	}
}

func TestOnePriorityActsOnce(t *testing.T) {
	w := newWorld()
	d := w.draft()
	second := *w.rule
	second.ARN = albion.RuleARN(w.https.ARN, [8]byte{9})
	albion.Put(d, &second)
	_, err := d.Finish()
	if albion.CodeOf(err) != albion.CodePriorityInUse {
		t.Fatalf("got %v", err)
	}
	second.Listener, second.Action = w.http.ARN, forwardTo(w.group)
	if _, err := d.Finish(); err != nil {
		t.Errorf("the same priority on another listener: %v", err)
	}
}

func TestCertificateNamesAreUnique(t *testing.T) {
	w := newWorld()
	d := w.draft()
	second := *w.cert
	second.ARN = albion.CertificateARN([16]byte{9})
	albion.Put(d, &second)
	albion.Put(d, &albion.Key{Name: string(second.ARN), Secret: albion.Secret("key")})
	_, err := d.Finish()
	if errs := all(t, err); len(errs) != 1 || errs[0].Field != "Name" || errs[0].ID != string(second.ARN) {
		t.Errorf("got %v", err)
	}
}

func TestQuotas(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(w *world, d *albion.Draft, n int)
		most int
		code albion.Code
	}{
		{"targets of a group", func(w *world, d *albion.Draft, n int) {
			w.group.Targets = nil
			for i := range n {
				w.group.Targets = append(w.group.Targets, albion.Target{Host: "127.0.0.1", Port: uint16(i + 1)})
			}
		}, albion.MaxTargetsPerGroup, albion.CodeTooManyTargets},
		{"listeners of a load balancer", func(w *world, d *albion.Draft, n int) {
			for i := range n - 2 {
				l := *w.http
				l.ARN, l.Port = albion.ListenerARN(w.lb.ARN, [8]byte{9, byte(i)}), uint16(10_000+i)
				albion.Put(d, &l)
			}
		}, albion.MaxListenersPerLoadBalancer, albion.CodeTooManyListeners},
		{"load balancers", func(w *world, d *albion.Draft, n int) {
			for i := range n - 2 {
				lb := *w.other
				lb.Name = fmt.Sprint("lb-", i)
				lb.ARN = albion.LoadBalancerARN(lb.Name, [8]byte{9, byte(i)})
				albion.Put(d, &lb)
			}
		}, albion.MaxLoadBalancers, albion.CodeTooManyLoadBalancers},
		{"target groups", func(w *world, d *albion.Draft, n int) {
			for i := range n - 2 {
				albion.Put(d, newGroup(fmt.Sprint("group-", i), 9))
			}
		}, albion.MaxTargetGroups, albion.CodeTooManyTargetGroups},
		{"rules of a load balancer", func(w *world, d *albion.Draft, n int) { putRules(w, d, n-1) }, albion.MaxRulesPerLoadBalancer, albion.CodeTooManyRules},
		{"certificates of a listener", func(w *world, d *albion.Draft, n int) { putCertificates(w, d, n-1) }, albion.MaxCertificatesPerListener, albion.CodeTooManyCertificates},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{c.most, c.most + 1} {
				w := newWorld()
				d := w.draft()
				c.fill(w, d, n)
				_, err := d.Finish()
				if n == c.most && err != nil {
					t.Fatalf("%d: %v", n, err)
				}
				if n > c.most && (len(all(t, err)) != 1 || albion.CodeOf(err) != c.code) {
					t.Fatalf("%d: %v", n, err)
				}
			}
		})
	}
}

// putRules adds n rules to the HTTPS listener.
func putRules(w *world, d *albion.Draft, n int) {
	for i := range n {
		albion.Put(d, &albion.Rule{
			ARN: albion.RuleARN(w.https.ARN, [8]byte{9, byte(i >> 8), byte(i)}), Listener: w.https.ARN, Priority: 100 + i,
			Conditions: []albion.Condition{{Field: albion.HostHeader, Values: []string{fmt.Sprintf("host-%d.example.com", i)}}},
			Action:     forwardTo(w.group),
		})
	}
}

// putCertificates adds n certificates to the HTTPS listener.
func putCertificates(w *world, d *albion.Draft, n int) {
	chain := "-----BEGIN CERTIFICATE-----\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", 60) + "-----END CERTIFICATE-----\n"
	for i := range n {
		c := &albion.Certificate{
			ARN: albion.CertificateARN([16]byte{9, byte(i >> 8), byte(i)}), Name: fmt.Sprintf("host-%d.example.com", i),
			Chain: chain, Issuer: albion.Imported,
		}
		albion.Put(d, c)
		albion.Put(d, &albion.Key{Name: string(c.ARN), Secret: albion.Secret("key")})
		w.https.Certificates = append(w.https.Certificates, c.ARN)
	}
}

func BenchmarkValidate(b *testing.B) {
	w := newWorld()
	d := w.draft()
	putRules(w, d, 1000)
	putCertificates(w, d, 9999)
	b.ReportAllocs()
	for b.Loop() {
		if err := albion.Validate(&d.State); err != nil {
			b.Fatal(err)
		}
	}
}
