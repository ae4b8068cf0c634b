package accesslog_test

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion/internal/accesslog"
	"pgregory.net/rapid"
)

const (
	balancer    = "app/web/50dc6c495c0c9188"
	targetGroup = "arn:aws:elasticloadbalancing:local:000000000000:targetgroup/chat/73e2d6bc24d8a067"
	certificate = "arn:aws:acm:local:000000000000:certificate/12345678-1234-1234-1234-123456789012"
)

// forwarded is an ordinary request over TLS.
func forwarded() *accesslog.Record {
	end := time.Date(2026, 8, 2, 22, 23, 0, 186_641_900, time.UTC)
	return &accesslog.Record{
		Type: accesslog.HTTPS, Time: end, LoadBalancer: balancer,
		Client: netip.MustParseAddrPort("192.0.2.131:2817"), Target: "10.0.0.1:80",
		RequestProcessing: 86 * time.Microsecond, TargetProcessing: 48*time.Millisecond + 600*time.Microsecond, ResponseProcessing: 1037 * time.Millisecond,
		Status: 200, TargetStatus: 200, ReceivedBytes: 0, SentBytes: 57,
		Method: []byte("GET"), Host: []byte("www.example.com"), Port: 443, URI: []byte("/chat/info?t=1"), Proto: "HTTP/1.1",
		UserAgent: []byte("curl/7.46.0"), Cipher: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLSVersion: tls.VersionTLS12,
		TargetGroup: targetGroup, TraceID: []byte("Root=1-58337281-1d84f3d73c47ec4e58577259"),
		Domain: "www.example.com", CertificateARN: certificate,
		Rule: accesslog.Outcome{Evaluated: true, Priority: 1}, Created: end.Add(-time.Second),
		Actions: "forward", ConnTraceID: "TID_1234abcd5678ef90",
		Node: netip.MustParseAddr("198.51.100.7"),
	}
}

func line(r *accesslog.Record) string { return string(r.Append(nil)) }

func TestLines(t *testing.T) {
	redirected := forwarded()
	*redirected = accesslog.Record{
		Type: accesslog.H2, Time: redirected.Time, LoadBalancer: balancer, Client: netip.MustParseAddrPort("[2001:db8::9]:49152"),
		Status: 301, ReceivedBytes: 34, SentBytes: 366, Method: []byte("GET"), Host: []byte("[2001:db8::1]"), Port: 8443, URI: []byte("/"), Proto: "HTTP/2.0",
		Cipher: tls.TLS_AES_128_GCM_SHA256, TLSVersion: tls.VersionTLS13, TraceID: []byte("Root=1-a-b"),
		Rule: accesslog.Outcome{Evaluated: true}, Created: redirected.Created, Actions: "redirect", RedirectURL: []byte("https://example.com:443/"),
		Node: netip.MustParseAddr("2001:db8::1"),
	}
	socket := forwarded()
	socket.Type, socket.Status, socket.TargetStatus, socket.Classification, socket.ClassificationReason = accesslog.WSS, 101, 101, "Ambiguous", "UndefinedTransferEncodingSemantics"
	socket.Time = time.Date(2026, 8, 3, 0, 23, 0, 1000, time.FixedZone("", 7200))
	hostile := forwarded()
	hostile.UserAgent = []byte("x\" \"y\\\r\n\x00\x7fé")
	hostile.URI, hostile.Method = []byte("/a b\"c"), []byte("G\nT")
	hostile.Domain, hostile.ErrorReason = "a\nb", "Auth Invalid"

	for name, c := range map[string]struct {
		record *accesslog.Record
		want   string
	}{
		"forwarded":        {forwarded(), `https 2026-08-02T22:23:00.186641Z app/web/50dc6c495c0c9188 192.0.2.131:2817 10.0.0.1:80 0.000 0.049 1.037 200 200 0 57 "GET https://www.example.com:443/chat/info?t=1 HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` + targetGroup + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "` + certificate + `" 1 2026-08-02T22:22:59.186641Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90 "-" "-" "-" 198.51.100.7`},
		"redirected, IPv6": {redirected, `h2 2026-08-02T22:23:00.186641Z app/web/50dc6c495c0c9188 [2001:db8::9]:49152 - -1 -1 -1 301 - 34 366 "GET https://[2001:db8::1]:8443/ HTTP/2.0" "-" TLS_AES_128_GCM_SHA256 TLSv1.3 - "Root=1-a-b" "-" "-" 0 2026-08-02T22:22:59.186641Z "redirect" "https://example.com:443/" "-" "-" "-" "-" "-" - "-" "-" "-" 2001:db8::1`},
		"tunnel":           {socket, `wss 2026-08-02T22:23:00.000001Z app/web/50dc6c495c0c9188 192.0.2.131:2817 10.0.0.1:80 0.000 0.049 1.037 101 101 0 57 "GET https://www.example.com:443/chat/info?t=1 HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` + targetGroup + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "` + certificate + `" 1 2026-08-02T22:22:59.186641Z "forward" "-" "-" "10.0.0.1:80" "101" "Ambiguous" "UndefinedTransferEncodingSemantics" TID_1234abcd5678ef90 "-" "-" "-" 198.51.100.7`},
		"nothing known":    {&accesslog.Record{}, `http - - 0.0.0.0:0 - -1 -1 -1 - - 0 0 "- - - " "-" - - - "-" "-" "-" - - "-" "-" "-" "-" "-" "-" "-" - "-" "-" "-" -`},
		"hostile":          {hostile, `https 2026-08-02T22:23:00.186641Z app/web/50dc6c495c0c9188 192.0.2.131:2817 10.0.0.1:80 0.000 0.049 1.037 200 200 0 57 "G\x0AT https://www.example.com:443/a\x20b\x22c HTTP/1.1" "x\x22 \x22y\x5C\x0D\x0A\x00\x7F\xC3\xA9" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` + targetGroup + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "a\x0Ab" "` + certificate + `" 1 2026-08-02T22:22:59.186641Z "forward" "-" "Auth\x20Invalid" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90 "-" "-" "-" 198.51.100.7`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := line(c.record); got != c.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestUserAgentIsCutAt8KiB(t *testing.T) {
	r := forwarded()
	r.UserAgent = bytes.Repeat([]byte("u"), 9000)
	if got := strings.Count(fields(t, line(r))[13], "u"); got != 8192 {
		t.Errorf("%d bytes of the user agent are left, want 8192", got)
	}
}

func TestHugeFieldsAreCut(t *testing.T) {
	r := forwarded()
	huge := bytes.Repeat([]byte("\""), 1<<20)
	r.Method, r.Host, r.URI, r.UserAgent, r.TraceID, r.RedirectURL, r.Domain = huge, huge, huge, huge, huge, huge, string(huge)
	if l := line(r); len(l) > 6*4*16<<10+4*8<<10+1024 {
		t.Errorf("a line of %d bytes", len(l))
	}
}

func TestAppendKeepsWhatIsThereAndDoesNotAllocate(t *testing.T) {
	r, buf := forwarded(), make([]byte, 0, 4096)
	if got := string(r.Append(append(buf, "before\n"...))); got != "before\n"+line(r) {
		t.Errorf("got %q", got)
	}
	if n := testing.AllocsPerRun(100, func() { buf = r.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryCipherThatGoOffersHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, suite := range tls.CipherSuites() {
		name := accesslog.CipherName(suite.ID)
		if seen[name] || !regexp.MustCompile(`^[A-Z0-9_-]{5,}$`).MatchString(name) {
			t.Errorf("%s is called %q", suite.Name, name)
		}
		seen[name] = true
	}
}

// athena is the input.regex of the table that AWS documents for these logs:
// "Create the table for ALB access logs in Athena using partition projection",
// Amazon Athena User Guide. Java's syntax of it is Go's. RegexSerDe wants the
// whole line to match.
const athena = `^([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*):([0-9]*) ([^ ]*)[:-]([0-9]*) ([-.0-9]*) ([-.0-9]*) ([-.0-9]*) (|[-0-9]*) (-|[-0-9]*) ([-0-9]*) ([-0-9]*) \"([^ ]*) (.*) (- |[^ ]*)\" \"([^\"]*)\" ([A-Z0-9-_]+) ([A-Za-z0-9.-]*) ([^ ]*) \"([^\"]*)\" \"([^\"]*)\" \"([^\"]*)\" ([-.0-9]*) ([^ ]*) \"([^\"]*)\" \"([^\"]*)\" \"([^ ]*)\" \"([^\s]+?)\" \"([^\s]+)\" \"([^ ]*)\" \"([^ ]*)\" ?([^ ]*)?( .*)?$`

// The columns of that table, by the number of their group.
const (
	colType = iota + 1
	colTime
	colELB
	colClientIP
	colClientPort
	colTargetIP
	colTargetPort
	colRequestTime
	colTargetTime
	colResponseTime
	colStatus
	colTargetStatus
	colReceived
	colSent
	colVerb
	colURL
	colProto
	colUserAgent
	colCipher
	colTLSVersion
	colTargetGroup
	colTraceID
	colDomain
	colCertificate
	colPriority
	colCreated
	colActions
	colRedirect
	colErrorReason
	colTargetList
	colTargetStatusList
	colClassification
	colClassificationReason
	colConnTraceID
	colRest
)

func TestAthenaReadsEveryLine(t *testing.T) {
	pattern := regexp.MustCompile(athena)
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		l := strings.TrimSuffix(line(r), "\n")
		got := pattern.FindStringSubmatch(l)
		if got == nil {
			t.Fatalf("AWS's expression does not match %q", l)
		}
		host, port, found := cutLast(r.Target, ":")
		if !found {
			host, port = "", "" // Athena's reading of "-"
		}
		for column, want := range map[int]string{
			colType: r.Type.String(), colELB: dash(esc(r.LoadBalancer, false)),
			colTargetIP: esc(host, false), colTargetPort: port,
			colStatus: code(r.Status), colTargetStatus: code(r.TargetStatus),
			colReceived: strconv.FormatInt(r.ReceivedBytes, 10), colSent: strconv.FormatInt(r.SentBytes, 10),
			colUserAgent: dash(esc(string(r.UserAgent), true)), colTargetGroup: dash(esc(r.TargetGroup, false)),
			colTraceID: dash(esc(string(r.TraceID), true)), colDomain: dash(esc(r.Domain, true)),
			colCertificate: dash(esc(r.CertificateARN, true)), colActions: dash(esc(r.Actions, true)),
			colRedirect: dash(esc(string(r.RedirectURL), true)), colErrorReason: dash(esc(r.ErrorReason, false)),
			colTargetList: dash(esc(r.Target, false)), colTargetStatusList: code(r.TargetStatus),
			colClassification: dash(esc(r.Classification, false)), colClassificationReason: dash(esc(r.ClassificationReason, false)),
			colConnTraceID: dash(esc(r.ConnTraceID, false)),
		} {
			if got[column] != want {
				t.Errorf("column %d is %q, want %q, in %q", column, got[column], want, l)
			}
		}
		if len(r.Method) > 0 && got[colVerb] != esc(string(r.Method), false) {
			t.Errorf("verb %q of %q", got[colVerb], r.Method)
		}
		checkTimes(t, r, got)
		rest := " \"" + dash(esc(string(r.TransformedHost), true)) + "\" \"" + dash(esc(string(r.TransformedURI), true)) + "\" \"" + dash(esc(r.TransformStatus, true)) + "\" "
		if !strings.HasPrefix(got[colRest], rest) {
			t.Errorf("the rest is %q, want it to begin with %q", got[colRest], rest)
		}
	})
}

func checkTimes(t *rapid.T, r *accesslog.Record, got []string) {
	for column, want := range map[int]time.Time{colTime: r.Time, colCreated: r.Created} {
		if at, err := time.Parse("2006-01-02T15:04:05.000000Z", got[column]); err != nil || !at.Equal(want.Truncate(time.Microsecond)) {
			t.Errorf("column %d is %q (%v), want %v", column, got[column], err, want)
		}
	}
	for column, want := range map[int]time.Duration{colRequestTime: r.RequestProcessing, colTargetTime: r.TargetProcessing, colResponseTime: r.ResponseProcessing} {
		if want <= 0 {
			if got[column] != "-1" {
				t.Errorf("column %d is %q, want -1", column, got[column])
			}
			continue
		}
		whole, fraction, _ := strings.Cut(got[column], ".")
		ms, err := strconv.ParseInt(whole+fraction, 10, 64)
		if diff := time.Duration(ms)*time.Millisecond - want; err != nil || len(fraction) != 3 || diff.Abs() > time.Millisecond/2 {
			t.Errorf("column %d is %q, want %v", column, got[column], want)
		}
	}
	client, err := netip.ParseAddrPort(got[colClientIP] + ":" + got[colClientPort])
	if err != nil || client != r.Client {
		t.Errorf("client is %v (%v), want %v", client, err, r.Client)
	}
}

// anyRecord is any Record that the balancer might make, with anything at all
// where the network fills it in.
func anyRecord(t *rapid.T) *accesslog.Record {
	wild := rapid.SliceOfN(rapid.Byte(), 0, 40)
	wildString := rapid.Map(wild, func(b []byte) string { return string(b) })
	instant := rapid.Map(rapid.Int64Range(0, 4e18), func(n int64) time.Time { return time.Unix(0, n) })
	status := rapid.OneOf(rapid.Just(0), rapid.IntRange(100, 599))
	spent := rapid.Map(rapid.Int64Range(-5, int64(400*time.Hour)), func(n int64) time.Duration { return time.Duration(n) })
	bytesMoved := rapid.Int64Range(0, 1<<62)
	addr := rapid.OneOf(rapid.Just(netip.MustParseAddr("203.0.113.5")), rapid.Just(netip.MustParseAddr("2001:db8::5")))
	return &accesslog.Record{
		Type: accesslog.Type(rapid.IntRange(0, int(accesslog.WSS)).Draw(t, "type")), Time: instant.Draw(t, "time"), LoadBalancer: wildString.Draw(t, "elb"),
		Client:            netip.AddrPortFrom(addr.Draw(t, "client"), rapid.Uint16().Draw(t, "port")),
		Target:            rapid.SampledFrom([]string{"", "10.0.0.1:80", "[2001:db8::7]:8080", "chat.internal:3000"}).Draw(t, "target"),
		RequestProcessing: spent.Draw(t, "rp"), TargetProcessing: spent.Draw(t, "tp"), ResponseProcessing: spent.Draw(t, "sp"),
		Status: status.Draw(t, "status"), TargetStatus: status.Draw(t, "target status"), ReceivedBytes: bytesMoved.Draw(t, "received"), SentBytes: bytesMoved.Draw(t, "sent"),
		Method: wild.Draw(t, "method"), Host: wild.Draw(t, "host"), Port: rapid.Uint16().Draw(t, "listener port"), URI: wild.Draw(t, "uri"), Proto: wildString.Draw(t, "proto"),
		UserAgent: wild.Draw(t, "user agent"), Cipher: rapid.Uint16().Draw(t, "cipher"), TLSVersion: rapid.Uint16Range(0x0300, 0x0305).Draw(t, "version"),
		TargetGroup: wildString.Draw(t, "group"), TraceID: wild.Draw(t, "trace"), Domain: wildString.Draw(t, "domain"), CertificateARN: wildString.Draw(t, "certificate"),
		Rule:    accesslog.Outcome{Evaluated: rapid.Bool().Draw(t, "evaluated"), Priority: rapid.IntRange(-1, 50000).Draw(t, "priority")},
		Created: instant.Draw(t, "created"), Actions: wildString.Draw(t, "actions"), RedirectURL: wild.Draw(t, "redirect"), ErrorReason: wildString.Draw(t, "reason"),
		Classification: wildString.Draw(t, "classification"), ClassificationReason: wildString.Draw(t, "classification reason"), ConnTraceID: wildString.Draw(t, "connection"),
		TransformedHost: wild.Draw(t, "new host"), TransformedURI: wild.Draw(t, "new uri"), TransformStatus: wildString.Draw(t, "transform"), Node: addr.Draw(t, "node"),
	}
}

// esc is the escaping as its documentation puts it, written another way.
func esc(s string, spaces bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c > 0x7e || c < ' ' || c == '"' || c == '\\' || c == ' ' && !spaces {
			b.WriteString(`\x` + strings.ToUpper(strconv.FormatUint(uint64(c)+0x100, 16)[1:]))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func code(status int) string {
	if status == 0 {
		return "-"
	}
	return strconv.Itoa(status)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// quoted says which of the 34 fields ALB writes between quotes.
const quoted = "............QQ...QQQ..QQQQQQQ.QQQ."

// fields splits a line where a reader who knows of quotes does, and nothing
// else.
func fields(t testing.TB, l string) []string {
	t.Helper()
	l, ended := strings.CutSuffix(l, "\n")
	if !ended || strings.ContainsAny(l, "\r\n") {
		t.Fatalf("not one line: %q", l)
	}
	var all []string
	for open, from, i := false, 0, 0; i <= len(l); i++ {
		switch {
		case i < len(l) && l[i] == '"':
			open = !open
		case i == len(l) || l[i] == ' ' && !open:
			all = append(all, l[from:i])
			from = i + 1
		}
	}
	return all
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("curl/8"), []byte("GET"), []byte("/"), "example.com", int64(0), uint16(4865))
	f.Add([]byte("\" \"\n\\\""), []byte("G T"), []byte("\"/ x\r\n"), "\\\" \x00\xff", int64(-1), uint16(0))
	f.Add([]byte{0xff, 0x80}, []byte{}, []byte(`""`), " ", int64(1)<<62, uint16(49195))
	f.Fuzz(func(t *testing.T, agent, method, uri []byte, word string, number int64, small uint16) {
		r := &accesslog.Record{
			Type: accesslog.Type(small), Time: time.Unix(number, number), LoadBalancer: word, Target: word,
			RequestProcessing: time.Duration(number), Status: int(number), SentBytes: number,
			Method: method, Host: agent, Port: small, URI: uri, Proto: word, UserAgent: agent, Cipher: small, TLSVersion: small,
			TargetGroup: word, TraceID: agent, Domain: word, CertificateARN: word, Rule: accesslog.Outcome{Evaluated: true, Priority: int(number)},
			Created: time.Unix(-number, 0), Actions: word, RedirectURL: uri, ErrorReason: word, Classification: word, ClassificationReason: word,
			ConnTraceID: word, TransformedHost: agent, TransformedURI: uri, TransformStatus: word, Node: netip.MustParseAddr("fe80::1").WithZone(word),
		}
		l := line(r)
		all := fields(t, l)
		if len(all) != 34 {
			t.Fatalf("%d fields in %q", len(all), l)
		}
		for i, field := range all {
			between := len(field) >= 2 && field[0] == '"' && field[len(field)-1] == '"'
			if between != (quoted[i] == 'Q') || strings.Count(field, `"`)%2 != 0 || field == "" {
				t.Errorf("field %d is %q", i+1, field)
			}
			for _, b := range []byte(field) {
				if b < ' ' || b > '~' {
					t.Errorf("field %d holds byte %#x", i+1, b)
				}
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r, buf := forwarded(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
	}
}
