package target_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire"
)

// session is a request of a SockJS session.
func session(id, transport string) *wire.Request {
	return &wire.Request{Path: []byte("/chat/000/" + id + "/" + transport)}
}

// cookieField is what a client sends back for a Set-Cookie value.
func cookieField(setCookie []byte) wire.Field {
	pair, _, _ := bytes.Cut(setCookie, []byte(";"))
	return wire.Field{Name: []byte("cookie"), Value: pair, ID: wire.Cookie}
}

func cookies(values ...string) *wire.Request {
	r := plain()
	for _, v := range values {
		r.Fields = append(r.Fields, wire.Field{Name: []byte("Cookie"), Value: []byte(v), ID: wire.Cookie})
	}
	return r
}

func pair(l *target.Lease, i int) string { return string(cookieField(l.SetCookies()[i]).Value) }

func TestCookiesHaveALBsForm(t *testing.T) {
	l := choose(t, with(group(sticky, 1)), plain())
	defer l.Release()
	const value = `[A-Za-z0-9+/]+=*; Expires=(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT; Path=/`
	want := []string{"^AWSALB=" + value + "$", "^AWSALBCORS=" + value + "; SameSite=None; Secure$"}
	got := l.SetCookies()
	if len(got) != len(want) {
		t.Fatalf("%d cookies", len(got))
	}
	for i := range want {
		if !regexp.MustCompile(want[i]).Match(got[i]) {
			t.Errorf("%s does not match %s", got[i], want[i])
		}
	}
	none := choose(t, with(group(nil, 1)), plain())
	if none.SetCookies() != nil {
		t.Error("a group without stickiness sets cookies")
	}
}

func TestCookieKeepsItsTarget(t *testing.T) {
	r := with(group(sticky, upTo(9)...))
	l := choose(t, r, plain())
	for name, request := range map[string]*wire.Request{
		"alone":                 cookies(pair(&l, 0)),
		"CORS alone":            cookies(pair(&l, 1)),
		"among others":          cookies("a=b; " + pair(&l, 0) + ";c=d"),
		"in the second field":   cookies("a=b", pair(&l, 0)),
		"after a damaged one":   cookies("AWSALB=AAAA; " + pair(&l, 1)),
		"without a space after": cookies("a=b;" + pair(&l, 0)),
	} {
		for range 20 {
			again := choose(t, r, request)
			if again.Target() != l.Target() {
				t.Fatalf("%s: went to %s, had %s", name, again.Target().Name(), l.Target().Name())
			}
			again.Release()
		}
	}
}

func TestCookieSurvivesARestartAndAnotherNode(t *testing.T) {
	l := choose(t, with(group(sticky, upTo(9)...)), plain())
	other := with(group(sticky, upTo(9)...))
	for range 20 {
		again := choose(t, other, cookies(pair(&l, 0)))
		if again.Target().Name() != l.Target().Name() {
			t.Fatalf("went to %s, had %s", again.Target().Name(), l.Target().Name())
		}
	}
}

// spreads says whether requests go to more than one target: nobody is recognised.
func spreads(t *testing.T, r *target.Registry, request *wire.Request) bool {
	t.Helper()
	got := map[*target.Target]bool{}
	for range 10 {
		l := choose(t, r, request)
		got[l.Target()] = true
		l.Release()
	}
	return len(got) > 1
}

func TestInvalidCookiesChooseAnew(t *testing.T) {
	r := with(group(sticky, 1, 2, 3))
	l := choose(t, r, plain())
	good := pair(&l, 0)
	foreign := target.New(target.Config{})
	foreign.Sync([]*albion.TargetGroup{group(sticky, 1, 2, 3)}, used)
	f := choose(t, foreign, plain())
	other := with(&albion.TargetGroup{ARN: "other", Targets: []albion.Target{host(1)}, Attributes: albion.TargetGroupAttributes{
		Stickiness: albion.Stickiness{Type: albion.LBCookie, Duration: time.Hour}}})
	o, _ := other.Group("other").Choose(plain())
	gone := choose(t, with(group(sticky, 99)), plain())
	for name, value := range map[string]string{
		"empty": "AWSALB=", "no value": "AWSALB", "not base64": "AWSALB=%%%%", "short": "AWSALB=AAAA",
		"cut": good[:len(good)-8], "long": "AWSALB=" + strings.Repeat("A", 100_000),
		"another key": pair(&f, 0), "another group": pair(&o, 0), "unknown target": pair(&gone, 0),
		"another name": "AWSALBTG=" + strings.TrimPrefix(good, "AWSALB="), "case": "awsalb=" + strings.TrimPrefix(good, "AWSALB="),
		"hidden behind four bad ones": strings.Repeat("AWSALB=AAAA; ", 4) + good,
	} {
		if !spreads(t, r, cookies(value)) {
			t.Errorf("%s: recognised", name)
		}
	}
	if spreads(t, r, cookies(good)) {
		t.Error("the good one is not recognised")
	}
}

func TestCookieOfAnUnhealthyTargetChoosesAnewAndReissues(t *testing.T) {
	r := with(group(sticky, 1, 2))
	report(r, 1, albion.Healthy)
	report(r, 2, albion.Healthy)
	l := choose(t, r, plain())
	sick := int(l.Target().Name()[len("10.0.0.")] - '0')
	report(r, sick, albion.Unhealthy)
	moved := choose(t, r, cookies(pair(&l, 0)))
	if moved.Target() == l.Target() {
		t.Fatal("went to the unhealthy target")
	}
	report(r, sick, albion.Healthy)
	if stays := choose(t, r, cookies(pair(&moved, 0))); stays.Target() != moved.Target() {
		t.Fatal("the new cookie does not keep the new target")
	}
}

func TestCookieEndsWithItsDurationAndSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := with(group(sticky, upTo(5)...))
		l := choose(t, r, plain())
		cookie := pair(&l, 0)
		for range 5 { // an answer every fifty minutes keeps an hour's stickiness alive
			time.Sleep(50 * time.Minute)
			again := choose(t, r, cookies(cookie))
			if again.Target() != l.Target() {
				t.Fatal("forgotten although the client came back in time")
			}
			cookie = pair(&again, 0)
			again.Release()
		}
		time.Sleep(time.Hour + 2*time.Second)
		if !spreads(t, r, cookies(cookie)) {
			t.Fatal("recognised after the duration")
		}
	})
}

func TestSessionStaysAndSessionsSpread(t *testing.T) {
	r := with(group(sockjs, 1, 2, 3))
	restarted := with(group(sockjs, 3, 1, 2))
	got := map[string]int{}
	for i := range 3_000 {
		id := fmt.Sprint("session", i)
		open := choose(t, r, session(id, "xhr_streaming"))
		send := choose(t, r, &wire.Request{Path: []byte("/elsewhere/999/" + id + "/xhr_send")})
		if send.Target() != open.Target() {
			t.Fatalf("%s is at %s and sends to %s", id, open.Target().Name(), send.Target().Name())
		}
		if after := choose(t, restarted, session(id, "xhr")); after.Target().Name() != open.Target().Name() {
			t.Fatalf("%s moved in a restart", id)
		}
		got[open.Target().Name()]++
	}
	for name, n := range got {
		if n < 850 || n > 1_150 {
			t.Errorf("%s has %d of 3,000 sessions on three targets", name, n)
		}
	}
}

func TestSessionStaysWhenATargetJoins(t *testing.T) {
	r := with(group(sockjs, 1, 2))
	var at []*target.Target
	for i := range 100 {
		l := choose(t, r, session(fmt.Sprint("s", i), "xhr"))
		at = append(at, l.Target())
		l.Release()
	}
	r.Sync([]*albion.TargetGroup{group(sockjs, 1, 2, 3, 4, 5, 6)}, used)
	for i := range 100 {
		if l := choose(t, r, session(fmt.Sprint("s", i), "xhr")); l.Target() != at[i] {
			t.Fatalf("session %d moved", i)
		}
	}
}

// TestSessionWhoseTargetDrains tells the story of one session at a target that
// is deregistered.
func TestSessionWhoseTargetDrains(t *testing.T) {
	r := with(group(sockjs, 1, 2))
	stream := choose(t, r, session("a", "xhr_streaming"))
	var idle []*wire.Request // sessions at the same target, with nothing in flight
	for i := range 20 {
		request := session(fmt.Sprint("idle", i), "xhr")
		l := choose(t, r, request)
		if l.Target() == stream.Target() {
			idle = append(idle, request)
		}
		l.Release()
	}
	n := int(stream.Target().Name()[len("10.0.0.")] - '0')
	rest := 3 - n
	r.Sync([]*albion.TargetGroup{group(sockjs, rest)}, used)

	send := choose(t, r, session("a", "xhr_send"))
	if send.Target() != stream.Target() {
		t.Fatal("a message went elsewhere than its open stream")
	}
	if strange := choose(t, r, session("b", "xhr")); strange.Target() == stream.Target() {
		t.Fatal("a new session went to a draining target")
	}
	if len(idle) == 0 {
		t.Fatal("twenty sessions are all elsewhere")
	}
	for _, request := range idle {
		if l := choose(t, r, request); l.Target() == stream.Target() {
			t.Fatal("a session with nothing in flight stayed at a draining target")
		}
	}
	stream.Release()
	last := choose(t, r, session("a", "xhr_send")) // beside the first message, still in flight
	if last.Target() != stream.Target() {
		t.Fatal("a message left work in flight")
	}
	send.Release()
	last.Release()
	if next := choose(t, r, session("a", "xhr_streaming")); next.Target() == stream.Target() {
		t.Fatal("the next stream went to a target that has drained")
	}
	if len(r.Seen()) != 1 {
		t.Fatalf("still seen: %v", r.Seen())
	}
}

func TestSessionOfAnUnhealthyTargetMovesForGood(t *testing.T) {
	r := with(group(sockjs, 1, 2))
	report(r, 1, albion.Healthy)
	report(r, 2, albion.Healthy)
	was := choose(t, r, session("a", "xhr_streaming"))
	sick := int(was.Target().Name()[len("10.0.0.")] - '0')
	report(r, sick, albion.Unhealthy)
	now := choose(t, r, session("a", "xhr_streaming"))
	if now.Target() == was.Target() {
		t.Fatal("stayed at the unhealthy target")
	}
	report(r, sick, albion.Healthy)
	if l := choose(t, r, session("a", "xhr_send")); l.Target() != now.Target() {
		t.Fatal("moved back")
	}
}

func TestClientsComeBackToATargetOfWhichNothingIsKnown(t *testing.T) {
	for _, change := range []func(*albion.TargetGroup){sticky, sockjs} {
		r := with(group(change, 1, 2))
		request := session("a", "xhr")
		l := choose(t, r, request)
		for _, cookie := range l.SetCookies() {
			request.Fields = append(request.Fields, cookieField(cookie))
		}
		other := 3 - int(l.Target().Name()[len("10.0.0.")]-'0')
		report(r, other, albion.Healthy)
		for range 10 {
			if again := choose(t, r, request); again.Target() != l.Target() {
				t.Fatal("moved before the first probe")
			}
			if fresh := choose(t, r, plain()); fresh.Target() == l.Target() {
				t.Fatal("a new client got a target that is not known to be healthy")
			}
		}
		l.Release()
	}
}

func TestSessionsAreForgottenWhenIdleAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := target.New(target.Config{StickinessKey: make([]byte, 32), MaxSessions: 512})
		r.Sync([]*albion.TargetGroup{group(sockjs, 1, 2)}, used)
		stop := run(t, r)
		kept := choose(t, r, session("kept", "websocket"))
		for i := range 10_000 {
			id := fmt.Sprint("flood", i)
			a := choose(t, r, session(id, "xhr"))
			b := choose(t, r, session(id, "xhr_send"))
			if a.Target() != b.Target() {
				t.Fatalf("%s is in two places", id)
			}
			a.Release()
			b.Release()
		}
		if n := r.Sessions(); n > 512 || n < 500 {
			t.Fatalf("%d sessions remembered, bound 512", n)
		}
		time.Sleep(3 * time.Minute)
		if n := r.Sessions(); n != 1 {
			t.Fatalf("%d sessions remembered, want the one with work in flight", n)
		}
		kept.Release()
		time.Sleep(3 * time.Minute)
		if n := r.Sessions(); n != 0 {
			t.Fatalf("%d sessions remembered", n)
		}
		stop()
	})
}

func TestSessionPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/chat/000/abc/xhr": "abc", "/000/abc/websocket": "abc", "/a/b/c/d/e/jsonp_send": "e", "//s/abc/htmlfile": "abc",
		"/chat/websocket": "", "/chat/info": "", "/websocket": "", "websocket": "", "": "", "*": "",
		"/chat/000/abc/xhr/": "", "/chat/000/abc/XHR": "", "/chat/000//xhr": "", "/chat//abc/xhr": "", "000/abc/xhr": "",
		"/chat/0.0/abc/xhr": "", "/chat/000/a.c/xhr": "", "/chat/000/abc/xhr_sent": "", "/000/" + strings.Repeat("a", 257) + "/xhr": "",
	} {
		if got := string(target.SessionID([]byte(path))); got != want {
			t.Errorf("%q: session %q, want %q", path, got, want)
		}
	}
}

func FuzzSessionPath(f *testing.F) {
	for _, s := range []string{"/chat/000/abc/xhr", "/000/abc/websocket", "/", "", "*", "////xhr", "/a.b/c/d/jsonp"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		id := target.SessionID(path)
		segments := strings.Split(string(path), "/")
		n := len(segments)
		transports := []string{"websocket", "xhr", "xhr_send", "xhr_streaming", "eventsource", "htmlfile", "jsonp", "jsonp_send"}
		want := ""
		if n >= 4 && slices.Contains(transports, segments[n-1]) && segments[n-3] != "" &&
			!strings.Contains(segments[n-3]+segments[n-2], ".") && len(segments[n-2]) <= 256 {
			want = segments[n-2]
		}
		if string(id) != want {
			t.Fatalf("%q: session %q, want %q", path, id, want)
		}
	})
}

func FuzzCookie(f *testing.F) {
	r := with(group(sticky, 1, 2, 3))
	l := choose(f, r, plain())
	good := pair(&l, 0)
	for _, s := range []string{good, "a=b; " + good, "AWSALB=", ";;=;", "AWSALBCORS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AWSALB=\"x\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		before := bytes.Clone(field)
		values := 0
		target.EachCookie(field, func(value []byte) bool {
			values++
			if bytes.IndexByte(value, ';') >= 0 {
				t.Fatalf("value %q has the next cookie in it", value)
			}
			return true
		})
		if values > bytes.Count(field, []byte("AWSALB")) {
			t.Fatalf("%d values", values)
		}
		chosen, ok := r.Group(arn).Choose(cookies(string(field)))
		if !ok {
			t.Fatal("a cookie made the choice fail")
		}
		chosen.Release()
		if !bytes.Equal(before, field) {
			t.Fatal("the field was written")
		}
	})
}
