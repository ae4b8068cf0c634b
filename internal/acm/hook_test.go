package acm_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// house is a store in memory with a certificate that a listener shows.
type house struct {
	*estate
	ca  *authority
	arn albion.ARN
	dir string
}

func newHouse(t *testing.T, hooks ...*albion.Hook) *house {
	t.Helper()
	h := &house{estate: &estate{t: t, state: &albion.State{Version: 1}, changed: make(chan struct{})}, ca: newAuthority(t), dir: filepath.Join(t.TempDir(), "hooks")}
	h.change(func(d *albion.Draft) error {
		for _, hook := range hooks {
			albion.Put(d, hook)
		}
		cert, _, err := acm.Request(d, acm.CARequest{Domains: []string{"chat.example.com", "www.example.com"}, Issuer: "letsencrypt", Now: h.time(), Rand: rand.Reader, ID: [16]byte{7}})
		h.arn = cert.ARN
		show(d, cert.ARN)
		return err
	})
	return h
}

func (h *house) change(f func(*albion.Draft) error) {
	h.t.Helper()
	if _, err := h.update(h.t.Context(), f); err != nil {
		h.t.Fatal(err)
	}
}

// install lets the CA issue, as if our listeners had been looked at.
func (h *house) install() {
	h.t.Helper()
	now := h.time()
	h.change(func(d *albion.Draft) error {
		if err := acm.Begin(d, h.arn, now, rand.Reader); err != nil {
			return err
		}
		h.ca.complete(d, h.arn, now, 90*day)
		return acm.Install(d, h.arn, now)
	})
	h.change(func(d *albion.Draft) error {
		cert, _ := d.Certificates.Get(string(h.arn))
		return acm.Sight(d, h.arn, &albion.Sighting{Serial: cert.Serial, At: now})
	})
}

// tellUntil runs a new Herald until a State is as it should be.
func (h *house) tellUntil(done func(*albion.State) bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	changed := make(chan struct{}, 1)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	herald := acm.Herald{
		State: h.now, Changed: changed, Update: h.update, HTTP: transport, Dir: h.dir, Agent: "albion/test",
		Environ: []string{"PATH=" + os.Getenv("PATH"), "OUT=" + h.dir + ".out"}, Now: h.time, After: time.After,
	}
	ended := make(chan error, 1)
	go func() { ended <- herald.Run(ctx) }()
	for {
		h.mu.Lock()
		state, next := h.state, h.changed
		h.mu.Unlock()
		if done(state) {
			cancel()
		}
		select {
		case <-next:
			select {
			case changed <- struct{}{}:
			default:
			}
		case err := <-ended:
			if err != nil || ctx.Err() == context.DeadlineExceeded {
				h.t.Fatalf("%v, %v, %d notices", err, ctx.Err(), h.now().Notices.Len())
			}
			return
		}
	}
}

func quiet(s *albion.State) bool { return s.Notices.Len() == 0 }

// listener is an address that is told.
type listener struct {
	mu     sync.Mutex
	status int
	bodies []acm.Document
	heads  []http.Header
	raw    [][]byte
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var doc acm.Document
	_ = json.Unmarshal(body, &doc)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies, l.heads, l.raw = append(l.bodies, doc), append(l.heads, r.Header), append(l.raw, body)
	w.WriteHeader(l.status)
}

func address(t *testing.T) (*listener, string) {
	t.Helper()
	l := &listener{status: 204}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	return l, server.URL
}

func TestAnAddressIsToldAndCanCheckWhoTells(t *testing.T) {
	l, url := address(t)
	h := newHouse(t, &albion.Hook{Name: "ops", URL: url})
	h.change(func(d *albion.Draft) error {
		albion.Put(d, &albion.Key{Name: "hook/ops", Secret: albion.Secret("s3cret")})
		return nil
	})
	h.install()
	h.tellUntil(quiet)
	h.install()
	h.tellUntil(quiet)
	if len(l.bodies) != 2 || l.bodies[0].Event != albion.EventIssued || l.bodies[1].Event != albion.EventRenewed {
		t.Fatalf("%+v", l.bodies)
	}
	cert, _ := h.certificate(h.arn)
	doc, head := l.bodies[1], l.heads[1]
	if doc.Certificate.Serial != cert.Serial || doc.Certificate.ARN != h.arn || len(doc.Certificate.Domains) != 2 || doc.CA != "acme-v02.api.letsencrypt.org" || head.Get(acm.NoticeHeader) != doc.ID || head.Get("User-Agent") != "albion/test" {
		t.Errorf("%+v %v", doc, head)
	}
	seconds, _, _ := strings.Cut(strings.TrimPrefix(head.Get(acm.SignatureHeader), "t="), ",")
	at, err := time.ParseDuration(seconds + "s")
	if err != nil || acm.Sign(albion.Secret("s3cret"), time.Unix(int64(at.Seconds()), 0), l.raw[1]) != head.Get(acm.SignatureHeader) {
		t.Errorf("signature %q", head.Get(acm.SignatureHeader))
	}
	for _, raw := range l.raw {
		if strings.Contains(string(raw), "PRIVATE") || strings.Contains(string(raw), "s3cret") {
			t.Errorf("a secret is sent: %s", raw)
		}
	}
}

// An address that is away is told later, by another process if need be, once, and
// under the same ID. One that never takes anything is given up.
func TestNothingIsLostAndNothingIsRepeated(t *testing.T) {
	l, url := address(t)
	l.status = 503
	h := newHouse(t, &albion.Hook{Name: "ops", URL: url})
	h.install()
	h.tellUntil(func(s *albion.State) bool {
		for n := range s.Notices.All() {
			return n.Attempts == 1 && n.Refused != ""
		}
		return false
	})
	tries := len(l.bodies)
	for n := range h.now().Notices.All() {
		if n.Next.Sub(h.time()) < 50*time.Second {
			t.Errorf("%+v", n)
		}
	}
	l.status = 200
	h.ahead = 2 * time.Minute
	h.tellUntil(quiet)
	h.tellUntil(quiet) // another process has nothing to tell
	if len(l.bodies) != tries+1 || l.bodies[0].ID != l.bodies[tries].ID {
		t.Errorf("told %d times", len(l.bodies))
	}
	l.status = 500
	told := len(l.bodies)
	h.install()
	for n := 1; !quiet(h.now()); n++ {
		h.tellUntil(func(s *albion.State) bool {
			for notice := range s.Notices.All() {
				return notice.Attempts >= n && notice.Refused != ""
			}
			return true
		})
		h.ahead += 25 * time.Hour
		if n > 20 {
			t.Fatal("it is told for ever")
		}
	}
	if n := len(l.bodies) - told; n < 7 || n > 9 {
		t.Errorf("%d attempts", n)
	}
}

func TestAProgramFindsTheFilesAsCertbotLeavesThem(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no sh
	}
	h := newHouse(t, &albion.Hook{Name: "reload", Events: []albion.EventKind{albion.EventIssued}, Shell: `
openssl x509 -in "$RENEWED_LINEAGE/fullchain.pem" -noout -serial > "$OUT"
openssl pkey -in "$RENEWED_LINEAGE/privkey.pem" -noout && echo "key ok" >> "$OUT"
echo "$RENEWED_DOMAINS|$ALBION_EVENT|$ALBION_CERTIFICATE|$(basename "$RENEWED_LINEAGE")|$HOME" >> "$OUT"
cat >> "$OUT"`})
	h.install()
	h.tellUntil(quiet)
	data, err := os.ReadFile(h.dir + ".out")
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := h.certificate(h.arn)
	want := "serial=" + strings.ToUpper(strings.ReplaceAll(cert.Serial, ":", "")) + "\nkey ok\nchat.example.com www.example.com|issued|chat.example.com|chat.example.com|\n{"
	if !strings.HasPrefix(string(data), want) || !json.Valid(data[len(want)-1:]) {
		t.Errorf("%s", data)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	// A kill leaves files; the next start removes them.
	if err := os.MkdirAll(filepath.Join(h.dir, "hook-1", "chat"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.tellUntil(quiet)
	if left, _ := filepath.Glob(filepath.Join(h.dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAProgramThatHangsOrFailsIsBounded(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no sh
	}
	h := newHouse(t,
		&albion.Hook{Name: "hangs", Shell: "sleep 1000 & sleep 1000", Timeout: 200 * time.Millisecond},
		&albion.Hook{Name: "fails", Exec: []string{"/nonexistent/program"}},
		&albion.Hook{Name: "talks", Shell: "yes | head -c 1000000"},
	)
	h.install()
	for n := 1; !quiet(h.now()); n++ {
		h.tellUntil(func(s *albion.State) bool {
			for notice := range s.Notices.All() {
				if notice.Attempts < n || notice.Refused == "" {
					return false
				}
			}
			return true
		})
		h.ahead += 11 * time.Minute
		if n > 4 {
			t.Fatal("it is told for ever")
		}
	}
}

// New contents are told of once it is known what our listeners show, and after a
// while in any case.
func TestHooksWaitForTheLookAtWhatIsServed(t *testing.T) {
	h := newHouse(t, &albion.Hook{Name: "ops", Shell: "true"})
	now := h.time()
	h.change(func(d *albion.Draft) error {
		if err := acm.Begin(d, h.arn, now, rand.Reader); err != nil {
			return err
		}
		h.ca.complete(d, h.arn, now, 90*day)
		return acm.Install(d, h.arn, now)
	})
	s := h.now()
	at := func(s *albion.State) time.Time {
		for n := range s.Notices.All() {
			return acm.TellAt(s, n, now)
		}
		t.Fatal("nothing is to be told")
		return time.Time{}
	}
	if got := at(s); got.Sub(now) != 5*time.Minute {
		t.Errorf("told at %s, issued at %s", got, now)
	}
	cert, _ := s.Certificates.Get(string(h.arn))
	h.change(func(d *albion.Draft) error {
		return acm.Sight(d, h.arn, &albion.Sighting{Serial: cert.Serial, At: now, Problem: "something else"})
	})
	if got := at(h.now()); got.After(now) {
		t.Errorf("told at %s, issued at %s", got, now)
	}
}

// A certificate that runs out says so twice: when half of the time for its renewal
// is over, and when it has expired. What failed in between is told once a day.
func TestACertificateThatRunsOutDoesNotDoSoInSilence(t *testing.T) {
	l, url := address(t)
	h := newHouse(t, &albion.Hook{Name: "ops", URL: url, Events: []albion.EventKind{albion.EventFailed, albion.EventAtRisk, albion.EventExpired}})
	h.install()
	word := func() string {
		cert, _ := h.certificate(h.arn)
		return acm.FareOf(h.now(), cert, h.time(), true).Word
	}
	why := &albion.Setback{Kind: albion.SetbackName, Sentence: "port 80 is closed", Advice: "open it"}
	for _, step := range []struct {
		after time.Duration
		word  string
	}{{60 * day, acm.StatusRetrying}, {60*day + time.Hour, acm.StatusRetrying}, {74 * day, acm.StatusRetrying}, {76 * day, acm.StatusAtRisk}, {91 * day, acm.StatusExpired}} {
		h.ahead = step.after
		h.change(func(d *albion.Draft) error { return acm.Fail(d, h.arn, why, h.time()) })
		h.tellUntil(func(s *albion.State) bool {
			cert, _ := s.Certificates.Get(string(h.arn))
			told := map[string]albion.EventKind{acm.StatusAtRisk: albion.EventAtRisk, acm.StatusExpired: albion.EventExpired}[step.word]
			return quiet(s) && cert.Told == told
		})
		if got := word(); got != step.word {
			t.Errorf("after %s: %s, want %s", step.after, got, step.word)
		}
	}
	var kinds []string
	for _, doc := range l.bodies {
		kinds = append(kinds, string(doc.Event))
		if doc.Problem == nil || doc.Problem.Sentence != why.Sentence {
			t.Errorf("%+v", doc)
		}
	}
	if got := strings.Join(kinds, " "); got != "failed failed failed at-risk failed expired" {
		t.Errorf("told of %s", got)
	}
	h.install()
	if cert, i := h.certificate(h.arn); cert.Told != "" || !i.Reported.IsZero() {
		t.Error("new contents are told of as the old ones")
	}
}

// A hook that takes nothing keeps a bounded number of notices, the newest.
func TestNoticesPushOutTheOldest(t *testing.T) {
	h := newHouse(t, &albion.Hook{Name: "dead", Shell: "false"})
	h.install()
	first := ""
	for n := range h.now().Notices.All() {
		first = n.ID
	}
	for n := range albion.MaxNotices + 5 {
		h.change(func(d *albion.Draft) error {
			return acm.Fail(d, h.arn, &albion.Setback{Kind: albion.SetbackName, Sentence: "no", Advice: "no"}, h.time().Add(time.Duration(n)*25*time.Hour))
		})
	}
	if _, there := h.now().Notices.Get(first); there || h.now().Notices.Len() != albion.MaxNotices {
		t.Errorf("%d notices", h.now().Notices.Len())
	}
}
