package doctor

import (
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/albion-lb/albion/internal/resolve"
)

func TestWhetherTheNameIsFound(t *testing.T) {
	empty := func(change func(*namesSeen)) func(*sight) {
		return func(s *sight) {
			s.names.a = nil
			change(s.names)
		}
	}
	judge(t, checkNames,
		view{"it is not there", empty(func(n *namesSeen) { n.addresses.missing = true }), []string{"problem no-such-name"}, "host chat, type A, value 192.0.2.7"},
		view{"neither is any CA", func(s *sight) {
			s.names.a, s.names.addresses.missing = nil, true
			s.cas = []caSeen{{err: &net.DNSError{IsNotFound: true}}}
		}, []string{"warning offline"}, "--resolver"},
		view{"a CA is there", func(s *sight) {
			s.names.a, s.names.addresses.missing = nil, true
			s.cas = []caSeen{{err: &net.DNSError{IsNotFound: true}}, {}}
		}, []string{"problem no-such-name"}, ""},
		view{"it has no address", empty(func(n *namesSeen) { n.addresses.empty = true }), []string{"problem no-address"}, "host chat, type A"},
		view{"it is an alias of what has none", empty(func(n *namesSeen) { n.addresses.empty, n.chain = true, []string{"gone.example.net"} }), []string{"problem no-address"}, "replace the CNAME"},
		view{"the apex has no address", func(s *sight) {
			s.names.a, s.names.addresses.empty, s.names.zone.Name = nil, true, "chat.example.com"
		}, []string{"problem no-address"}, "host @, type A"},
		view{"its servers fail", empty(func(n *namesSeen) { n.addresses.err = kind(resolve.ServFail) }), []string{"problem name-servers-fail"}, ""},
		view{"its signatures do not hold", empty(func(n *namesSeen) { n.addresses.err, n.unchecked = kind(resolve.ServFail), true }), []string{"problem dnssec"}, "DS record"},
		view{"our server is silent", empty(func(n *namesSeen) { n.addresses.err = kind(resolve.Timeout) }), []string{"warning no-answer"}, ""},
		view{"an address of its own", func(s *sight) { s.subject.Addr, s.names = here, nil }, []string{"note address"}, "six days"},
		view{"a private address", func(s *sight) { s.subject.Addr, s.names = inside, nil }, []string{"note private-address"}, ""},
		view{"a name for private use", func(s *sight) { s.subject.Name = "chat.test" }, []string{"note private-name"}, "local CA"},
		view{"one that is not known here", func(s *sight) { s.subject.Name, s.names.a, s.names.addresses.missing = "chat.test", nil, true }, []string{"problem unknown-here"}, "hosts file"},
	)
}

func TestWhereTheNameLeads(t *testing.T) {
	judge(t, checkNames,
		view{"here", func(*sight) {}, []string{"ok leads"}, "this machine"},
		view{"somewhere, and who knows where here is", func(s *sight) { s.known.Addresses = addresses(inside) }, []string{"ok leads"}, ""},
		view{"elsewhere", func(s *sight) { s.names.a = addresses(there) }, []string{"warning leads-elsewhere"}, "change the record to 192.0.2.7"},
		view{"here and elsewhere", func(s *sight) { s.names.a = addresses(here, there) }, []string{"warning leads-partly"}, ""},
		view{"elsewhere by IPv6, which we have not", func(s *sight) { s.names.aaaa = addresses(there6) }, []string{"problem aaaa-elsewhere"}, "delete the AAAA record"},
		view{"elsewhere by IPv6, which we have", func(s *sight) {
			s.names.aaaa, s.known.Addresses = addresses(there6), addresses(here, here6)
		}, []string{"problem aaaa-elsewhere"}, "change the AAAA record to 2001:db8::7"},
		view{"to a private address", func(s *sight) { s.names.a = addresses(inside) }, []string{"warning private-lead"}, "dns-delegated"},
		view{"by a wildcard", func(s *sight) { s.names.wildcard = true }, []string{"ok leads", "note wildcard"}, "*.example.com"},
	)
}

func TestWhoElseAnswersForTheName(t *testing.T) {
	alias := func(target string) func(*sight) {
		return func(s *sight) { s.names.a, s.names.chain = addresses(there), []string{target} }
	}
	judge(t, checkAliases2,
		view{"GitHub Pages", alias("me.github.io"), []string{"warning elsewhere"}, "a name with a CNAME can hold nothing else"},
		view{"a name of its own is the way out", alias("me.github.io"), []string{"warning elsewhere"}, "live.example.com, with"},
		view{"GitHub Pages, and well", func(s *sight) {
			alias("me.github.io")(s)
			s.secure, s.tls = answered(t, "https://chat.example.com/", 200, nil), []tlsSeen{{}}
		}, []string{"note elsewhere"}, "GitHub Pages"},
		view{"Netlify", alias("site.netlify.app"), []string{"warning elsewhere"}, "Netlify"},
		view{"Vercel", alias("cname.vercel-dns.com"), []string{"warning elsewhere"}, "Vercel"},
		view{"Cloudflare Pages", alias("site.pages.dev"), []string{"warning elsewhere"}, ""},
		view{"Heroku", alias("x.herokudns.com"), []string{"warning elsewhere"}, ""},
		view{"S3", alias("b.s3-website.eu-central-1.amazonaws.com"), []string{"warning elsewhere"}, "Amazon S3"},
		view{"CloudFront lies between", alias("d1.cloudfront.net"), []string{"note elsewhere"}, "dns-delegated"},
		view{"a name that only looks alike", alias("notgithub.io"), []string{"ok alias"}, ""},
		view{"anybody", alias("host.example.net"), []string{"ok alias"}, ""},
		view{"a circle", func(s *sight) { s.names.chainErr = kind(resolve.Endless) }, []string{"problem alias-circle"}, ""},
		view{"an alias at the apex", func(s *sight) {
			s.names.chain, s.names.zone.Name = []string{"host.example.net"}, "chat.example.com"
		}, []string{"problem alias-at-apex"}, ""},
		view{"GitHub's addresses at an apex", func(s *sight) { s.names.a = addresses(netip.MustParseAddr("185.199.108.153")) }, []string{"warning elsewhere"}, "GitHub Pages answers"},
		view{"Cloudflare by its answer", func(s *sight) {
			s.secure = answered(t, "https://chat.example.com/", 200, http.Header{"Cf-Ray": {"1"}})
		}, []string{"note elsewhere"}, "Cloudflare"},
		view{"another name's answer says nothing", func(s *sight) {
			s.secure = answered(t, "https://me.github.io/", 200, http.Header{"Server": {"GitHub.com"}})
		}, nil, ""},
		view{"looked at before the name leads there", func(s *sight) {
			alias("me.github.io")(s)
			s.from = here
		}, []string{"ok alias"}, ""},
	)
}

// checkAliases2 is checkAliases as a check of its own.
func checkAliases2(s *sight) []Finding { return checkAliases(s, s.names) }

func TestWhetherNameServersAgree(t *testing.T) {
	says := func(server, data string) resolve.Statement {
		return resolve.Statement{Server: server, Address: here, Answer: resolve.Answer{Records: []resolve.Record{{Type: "A", Data: data}}}}
	}
	fails := func(server string, at netip.Addr, k resolve.Kind) resolve.Statement {
		return resolve.Statement{Server: server, Address: at, Err: kind(k)}
	}
	said := func(all ...resolve.Statement) func(*sight) { return func(s *sight) { s.names.said = all } }
	judge(t, func(s *sight) []Finding { return checkServers(s, s.names) },
		view{"they do", said(says("a", "192.0.2.7"), says("b", "192.0.2.7")), []string{"ok servers-agree"}, ""},
		view{"they do not", said(says("a", "192.0.2.7"), says("b", "198.51.100.1")), []string{"warning servers-disagree"}, "b (192.0.2.7) says A 198.51.100.1"},
		view{"one does not know it", said(says("a", "192.0.2.7"), fails("b", here, resolve.NXDOMAIN)), []string{"warning servers-disagree"}, "no such name"},
		view{"one has no address for it", said(says("a", "192.0.2.7"), fails("b", here, resolve.NoData)), []string{"warning servers-disagree"}, "no address"},
		view{"one is silent", said(says("a", "192.0.2.7"), fails("b", here, resolve.Timeout)), []string{"warning server-silent"}, "b (192.0.2.7)"},
		view{"all are silent", said(fails("a", here, resolve.Timeout), fails("b", here, resolve.Timeout)), nil, ""},
		view{"no way by IPv6 says nothing", said(says("a", "192.0.2.7"), fails("b", here6, resolve.Unreachable)), []string{"ok servers-agree"}, ""},
		view{"many addresses in turn", said(
			resolve.Statement{Server: "a", Answer: many("192.0.2.", 4)}, resolve.Statement{Server: "b", Answer: many("198.51.100.", 4)},
		), nil, ""},
	)
}

func many(prefix string, n int) resolve.Answer {
	var a resolve.Answer
	for i := range n {
		a.Records = append(a.Records, resolve.Record{Type: "A", Data: prefix + string(rune('1'+i))})
	}
	return a
}

func TestWhatCAARecordsAllow(t *testing.T) {
	le := []string{"letsencrypt.org"}
	for _, c := range []struct {
		name    string
		records []resolve.CAA
		wild    bool
		want    allowance
	}{
		{"nothing forbids", nil, false, allowance{allowed: true}},
		{"the CA", []resolve.CAA{{Tag: "issue", Value: "letsencrypt.org"}}, false, allowance{allowed: true}},
		{"the CA in other letters", []resolve.CAA{{Tag: "issue", Value: " LetsEncrypt.org ; "}}, false, allowance{allowed: true}},
		{"another CA", []resolve.CAA{{Tag: "issue", Value: "pki.goog"}}, false, allowance{}},
		{"one of two", []resolve.CAA{{Tag: "issue", Value: "pki.goog"}, {Tag: "issue", Value: "letsencrypt.org"}}, false, allowance{allowed: true}},
		{"nobody", []resolve.CAA{{Tag: "issue", Value: ";"}}, false, allowance{}},
		{"who is told only", []resolve.CAA{{Tag: "iodef", Value: "mailto:a@example.com"}}, false, allowance{allowed: true}},
		{"wildcards only are restricted", []resolve.CAA{{Tag: "issuewild", Value: ";"}}, false, allowance{allowed: true}},
		{"no wildcards", []resolve.CAA{{Tag: "issue", Value: "letsencrypt.org"}, {Tag: "issuewild", Value: ";"}}, true, allowance{}},
		{"wildcards as names", []resolve.CAA{{Tag: "issue", Value: "letsencrypt.org"}}, true, allowance{allowed: true}},
		{"some challenges", []resolve.CAA{{Tag: "issue", Value: "letsencrypt.org; validationmethods=dns-01,http-01"}}, false, allowance{allowed: true, methods: []string{"dns-01", "http-01"}}},
		{"an account", []resolve.CAA{{Tag: "issue", Value: "letsencrypt.org; accounturi=https://ca/1"}}, false, allowance{allowed: true, accounts: []string{"https://ca/1"}}},
		{"a critical tag", []resolve.CAA{{Tag: "tbs", Critical: true}, {Tag: "issue", Value: "letsencrypt.org"}}, false, allowance{unknown: "tbs"}},
		{"a tag that is not critical", []resolve.CAA{{Tag: "tbs"}}, false, allowance{allowed: true}},
	} {
		got := allow(c.records, le, c.wild)
		if got.allowed != c.want.allowed || got.unknown != c.want.unknown || len(got.methods) != len(c.want.methods) || len(got.accounts) != len(c.want.accounts) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestWhetherCAsMayIssue(t *testing.T) {
	caa := func(account string, records ...resolve.CAA) func(*sight) {
		return func(s *sight) {
			s.cas = []caSeen{{CA: CA{Directory: letsEncrypt, Account: account}, identities: []string{"letsencrypt.org"}}}
			s.names.caa = resolve.CAASet{Name: "example.com", Records: records}
		}
	}
	issue := func(value string) resolve.CAA { return resolve.CAA{Tag: "issue", Value: value} }
	judge(t, checkCAA,
		view{"nothing forbids", caa(""), []string{"ok caa"}, "no CAA record"},
		view{"it may", caa("", issue("letsencrypt.org")), []string{"ok caa"}, ""},
		view{"it may not", caa("", issue("pki.goog")), []string{"problem caa-forbids"}, `host @, type CAA, value 0 issue "letsencrypt.org"`},
		view{"its account may", caa("https://ca/1", issue("letsencrypt.org;accounturi=https://ca/1")), []string{"ok caa"}, ""},
		view{"another account may", caa("https://ca/2", issue("letsencrypt.org;accounturi=https://ca/1")), []string{"problem caa-account"}, "accounturi=https://ca/2"},
		view{"some account may", caa("", issue("letsencrypt.org;accounturi=https://ca/1")), []string{"warning caa-account"}, ""},
		view{"by DNS only", caa("", issue("letsencrypt.org;validationmethods=dns-01")), []string{"note caa-methods"}, "dns-01"},
		view{"no wildcards", caa("", issue("letsencrypt.org"), resolve.CAA{Tag: "issuewild", Value: ";"}), []string{"note caa-no-wildcard"}, ""},
		view{"a critical tag", caa("", resolve.CAA{Tag: "new", Critical: true}), []string{"problem caa-critical"}, ""},
		view{"nobody knows its name", func(s *sight) {
			caa("", issue("letsencrypt.org"))(s)
			s.cas[0].identities = nil
		}, []string{"note caa-unknown"}, ""},
		view{"no answer", func(s *sight) { s.names.caaErr = kind(resolve.ServFail) }, []string{"warning caa-fails"}, ""},
		view{"the address fails alike", func(s *sight) {
			s.names.caaErr, s.names.addresses.err = kind(resolve.ServFail), kind(resolve.ServFail)
		}, nil, ""},
	)
}

func TestWhatStandsAtTheChallengesName(t *testing.T) {
	judge(t, checkCAs,
		view{"nothing", func(*sight) {}, nil, ""},
		view{"a delegation", func(s *sight) { s.names.challenge.chain = []string{"x.acme.example.net"} }, []string{"note challenge-delegated"}, "x.acme.example.net"},
		view{"what some order left", func(s *sight) { s.names.challenge.texts = []string{"a", "b"} }, []string{"note challenge-leftover"}, "2 TXT records"},
		view{"a wildcard", func(s *sight) {
			s.names.challenge.chain = []string{"me.github.io"}
			s.names.challenge.wildcard = []resolve.Record{{Type: "CNAME", Data: "me.github.io"}}
		}, []string{"warning challenge-swallowed"}, "dns-delegated"},
		view{"a record beside a wildcard", func(s *sight) {
			s.names.challenge.chain = []string{"x.acme.example.net"}
			s.names.challenge.wildcard = []resolve.Record{{Type: "CNAME", Data: "me.github.io"}}
		}, []string{"note challenge-delegated"}, ""},
		view{"a circle", func(s *sight) { s.names.challenge.chainErr = kind(resolve.Endless) }, []string{"warning challenge-circle"}, ""},
		view{"a CA that cannot be reached", func(s *sight) {
			s.cas = []caSeen{{CA: CA{Directory: letsEncrypt}, err: kind(resolve.Timeout)}}
		}, []string{"warning ca-unreachable"}, "acme-v02.api.letsencrypt.org"},
	)
}
