package deliver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/deliver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// estate is a store in memory, and a place that remembers what it got.
type estate struct {
	t       *testing.T
	changed chan struct{}

	mu       sync.Mutex // guards what follows
	state    *albion.State
	got      []string // serials
	problem  error    // of the place
	unstored error    // of the store
}

func newEstate(t *testing.T) *estate {
	return &estate{t: t, state: &albion.State{}, changed: make(chan struct{}, 1)}
}

func (e *estate) now() *albion.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

func (e *estate) update(_ context.Context, change func(*albion.Draft) error) (*albion.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unstored != nil {
		return nil, e.unstored
	}
	d := albion.NewDraft(e.state)
	if err := change(d); err != nil {
		return nil, err
	}
	next, err := d.Finish()
	if err != nil {
		return nil, err
	}
	e.state = next
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return next, nil
}

func (e *estate) place(_ context.Context, v *albion.Delivery, cert *albion.Certificate, files acm.Files) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.problem != nil {
		return e.problem
	}
	if !strings.Contains(string(files.Cert), "CERTIFICATE") || !strings.Contains(string(files.Privkey), "PRIVATE KEY") || cert.ARN != v.Certificate {
		e.t.Errorf("%+v gets something else", v)
	}
	e.got = append(e.got, cert.Serial)
	return nil
}

func (e *estate) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

// put gives the certificate contents of this serial number.
func (e *estate) put(serial int64, changes ...func(*albion.Certificate)) {
	e.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		e.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"chat.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		e.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		e.t.Fatal(err)
	}
	cert := &albion.Certificate{
		ARN: arn, Name: "chat", Domains: template.DNSNames, Serial: fmt.Sprintf("%02x", serial), Issuer: albion.Imported,
		Chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}
	for _, change := range changes {
		change(cert)
	}
	e.change(func(d *albion.Draft) error {
		albion.Put(d, cert)
		albion.Put(d, &albion.Key{Name: string(arn), Secret: secret})
		return nil
	})
}

func (e *estate) change(f func(*albion.Draft) error) {
	e.t.Helper()
	if _, err := e.update(e.t.Context(), f); err != nil {
		e.t.Fatal(err)
	}
}

var (
	arn    = albion.CertificateARN([16]byte{1})
	liveID = albion.DeliveryID(arn, albion.Live, "/srv/certs")
)

func (e *estate) want(id string) {
	e.change(func(d *albion.Draft) error {
		albion.Put(d, &albion.Delivery{ID: id, Certificate: arn, Kind: albion.Live, To: "/srv/certs"})
		return nil
	})
}

func (e *estate) delivery() *albion.Delivery {
	v, ok := e.now().Deliveries.Get(liveID)
	if !ok {
		e.t.Fatal("it is gone")
	}
	return v
}

func (e *estate) serials() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.got)
}

// run runs a Runner within a bubble of time, and what the test does meanwhile.
func run(t *testing.T, during func(*testing.T, *estate)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		r := deliver.Runner{
			State: e.now, Changed: e.changed, Update: e.update, Now: time.Now, After: time.After,
			To: map[albion.DeliveryKind]deliver.Place{albion.Live: e.place},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		during(t, e)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestEachChangeIsDeliveredOnce(t *testing.T) {
	run(t, func(t *testing.T, e *estate) {
		e.put(1)
		e.want(liveID)
		synctest.Wait()
		if v := e.delivery(); v.Serial != "01" || v.Digest == "" || v.Delivered.IsZero() || !slices.Equal(e.serials(), []string{"01"}) {
			t.Errorf("%+v, %v", v, e.serials())
		}
		time.Sleep(100 * time.Hour) // nothing is due
		e.put(2)
		synctest.Wait()
		if got := e.serials(); !slices.Equal(got, []string{"01", "02"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestWhatStandsInForACAsIsNotDelivered(t *testing.T) {
	run(t, func(t *testing.T, e *estate) {
		e.put(1, func(c *albion.Certificate) {
			c.Issuer, c.Pending = albion.ACME, true
			c.Request = &albion.Request{Directory: "https://ca.example.com/", Domains: c.Domains}
		})
		e.want(liveID)
		time.Sleep(10 * time.Hour)
		if got := e.serials(); len(got) > 0 {
			t.Errorf("%v", got)
		}
		e.put(2)
		synctest.Wait()
		if got := e.serials(); !slices.Equal(got, []string{"02"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestFailuresAreJournalledAndTriedAgainLater(t *testing.T) {
	run(t, func(t *testing.T, e *estate) {
		words := strings.Repeat("é", 600)
		e.problem = &albion.Setback{Kind: albion.SetbackRefused, Sentence: "AWS refused", Advice: "allow it", Words: words}
		e.put(1)
		e.want(liveID)
		synctest.Wait()
		v := e.delivery()
		if v.Failures != 1 || v.Last == nil || v.Last.Sentence != "AWS refused" || len(v.Last.Words) > 510 || v.Next.Sub(v.Failed) < time.Minute || v.Next.Sub(v.Failed) > 66*time.Second {
			t.Errorf("%+v", v)
		}
		time.Sleep(24 * time.Hour)
		if v = e.delivery(); v.Failures < 6 || v.Failures > 9 || v.Next.Sub(v.Failed) < 6*time.Hour {
			t.Errorf("%d failures in a day, the next attempt after %s", v.Failures, v.Next.Sub(v.Failed))
		}
		e.set(func() { e.problem = errors.New("no space left") })
		time.Sleep(7 * time.Hour)
		if v = e.delivery(); v.Last.Sentence != "no space left" {
			t.Errorf("%+v", v.Last)
		}
		e.set(func() { e.problem = nil })
		time.Sleep(7 * time.Hour)
		if v = e.delivery(); v.Failures != 0 || v.Last != nil || v.Serial != "01" || !v.Next.IsZero() {
			t.Errorf("%+v", v)
		}
	})
}

// An outcome that could not be kept is not tried in a circle.
func TestAStoreThatFailsIsNotPressed(t *testing.T) {
	run(t, func(t *testing.T, e *estate) {
		e.put(1)
		e.want(liveID)
		e.set(func() { e.unstored = errors.New("the disk is full") })
		time.Sleep(time.Hour)
		if n := len(e.serials()); n < 2 || n > 70 {
			t.Errorf("%d attempts in an hour", n)
		}
		e.set(func() { e.unstored = nil })
		time.Sleep(2 * time.Minute)
		if v := e.delivery(); v.Serial != "01" {
			t.Errorf("%+v", v)
		}
	})
}

func TestADeliveryThatIsGoneIsForgotten(t *testing.T) {
	run(t, func(t *testing.T, e *estate) {
		e.problem = errors.New("no")
		e.put(1)
		e.want(liveID)
		synctest.Wait()
		e.change(func(d *albion.Draft) error {
			albion.DeleteCertificate(d, arn)
			return nil
		})
		time.Sleep(24 * time.Hour)
		if e.now().Deliveries.Len() != 0 {
			t.Error("it came back")
		}
	})
}
