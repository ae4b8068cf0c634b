package acm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

const day = 24 * time.Hour

// authority signs leaves of any lifetime, as a CA would.
type authority struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, serial: 1}
	a.cert = a.sign(&x509.Certificate{
		NotBefore: noon.Add(-day), NotAfter: noon.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{1},
	}, key.Public())
	return a
}

func (a *authority) sign(template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	a.t.Helper()
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// complete plays the CA: the order of a certificate is signed and downloaded.
func (a *authority) complete(d *albion.Draft, arn albion.ARN, now time.Time, life time.Duration) {
	a.t.Helper()
	key, ok := d.Keys.Get(albion.OrderKeyName(arn))
	if !ok {
		a.t.Fatal("the order has no key")
	}
	private, err := x509.ParsePKCS8PrivateKey(key.Secret)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, _ := d.Certificates.Get(string(arn))
	leaf := &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life - time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range cert.Request.Domains {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	old, _ := d.Issuances.Get(string(arn))
	i, order := *old, *old.Order
	order.URL, order.Step = "https://ca.example.com/order", albion.StepDownloaded
	order.Chain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.sign(leaf, private.(crypto.Signer).Public()).Raw}))
	i.Order = &order
	albion.Put(d, &i)
}

// year is what happened to one certificate in a year.
type year struct {
	issued, orders, failed int
	least                  time.Duration // that was left when it was renewed
	dark                   time.Duration // without a valid certificate, after the first
	last                   time.Time
}

// live lets a certificate of a CA live for a year on a clock that only Plan
// moves. down says when the CA cannot be reached.
func live(t *testing.T, life time.Duration, down func(time.Time) bool, why *albion.Setback) year {
	t.Helper()
	ca, out := newAuthority(t), year{least: life}
	d := draft()
	cert, _, err := acm.Request(d, acm.CARequest{Domains: []string{"chat.example.com"}, Issuer: "letsencrypt", Now: noon, Rand: rand.Reader, ID: [16]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	show(d, cert.ARN)
	state := finish(t, d)
	for now, rounds := noon, 0; now.Before(noon.Add(365 * day)); rounds++ {
		if rounds > 20_000 {
			t.Fatalf("too much is done: %+v", out)
		}
		due := acm.Plan(state, now)[0]
		if due.Deed == acm.Nothing {
			t.Fatalf("on %s nothing is due any more: %+v", now, due)
		}
		if due.At.After(now) {
			now = due.At
			continue
		}
		d := albion.NewDraft(state)
		switch before, _ := state.Certificates.Get(string(cert.ARN)); {
		case due.Deed == acm.Look:
			err = acm.Looked(d, cert.ARN, albion.Window{Check: now.Add(day)}, now)
		case down(now):
			out.orders, out.failed = out.orders+1, out.failed+1
			begun(t, d, cert.ARN, now)
			err = acm.Fail(d, cert.ARN, why, now)
		default:
			out.orders, out.issued, out.last = out.orders+1, out.issued+1, now
			if !before.Pending {
				out.least = min(out.least, before.NotAfter.Sub(now))
				out.dark += max(0, now.Sub(before.NotAfter))
			}
			begun(t, d, cert.ARN, now)
			ca.complete(d, cert.ARN, now, life)
			err = acm.Install(d, cert.ARN, now)
		}
		if err != nil {
			t.Fatal(err)
		}
		state = finish(t, d)
	}
	return out
}

func begun(t *testing.T, d *albion.Draft, arn albion.ARN, now time.Time) {
	t.Helper()
	if err := acm.Begin(d, arn, now, rand.Reader); err != nil {
		t.Fatal(err)
	}
}

func finish(t *testing.T, d *albion.Draft) *albion.State {
	t.Helper()
	s, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// show puts a listener that shows the certificate.
func show(d *albion.Draft, arns ...albion.ARN) {
	lb := &albion.LoadBalancer{ARN: albion.LoadBalancerARN("web", [8]byte{1}), Name: "web", Attributes: albion.DefaultLoadBalancerAttributes()}
	albion.Put(d, lb)
	albion.Put(d, &albion.Listener{
		ARN: albion.ListenerARN(lb.ARN, [8]byte{2}), LoadBalancer: lb.ARN, Protocol: albion.HTTPS, Port: 443, SSLPolicy: albion.DefaultSSLPolicy, Certificates: arns,
		Default: albion.Action{Fixed: &albion.FixedResponse{Status: 404, ContentType: "text/plain"}},
	})
}

func TestAYearOfRenewals(t *testing.T) {
	unavailable := &albion.Setback{Kind: albion.SetbackUnavailable, Sentence: "down", Advice: "wait"}
	always := func(time.Time) bool { return false }
	from := func(first, days int) func(time.Time) bool {
		return func(now time.Time) bool {
			return !now.Before(noon.Add(time.Duration(first)*day)) && now.Before(noon.Add(time.Duration(first+days)*day))
		}
	}
	for _, c := range []struct {
		name        string
		life        time.Duration
		down        func(time.Time) bool
		issued      [2]int // from, to
		failed      [2]int
		least, dark time.Duration // at least, at most
	}{
		{"90 days", 90 * day, always, [2]int{6, 7}, [2]int{0, 0}, 30 * day, 0},
		{"45 days", 45 * day, always, [2]int{12, 13}, [2]int{0, 0}, 15 * day, 0},
		{"6 days", 160 * time.Hour, always, [2]int{105, 115}, [2]int{0, 0}, 80 * time.Hour, 0},
		{"90 days, the CA down for 20 when it is due", 90 * day, from(55, 20), [2]int{6, 7}, [2]int{10, 25}, 13 * day, 0},
		{"45 days, the CA down for 20 when it is due", 45 * day, from(25, 20), [2]int{11, 13}, [2]int{10, 25}, -6 * day, 2 * day},
		{"6 days, the CA down for 20", 160 * time.Hour, from(100, 20), [2]int{95, 110}, [2]int{30, 75}, -17 * day, 17 * day},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := live(t, c.life, c.down, unavailable)
			text := fmt.Sprintf("%d issued, %d failed, at least %s left, %s without", got.issued, got.failed, got.least, got.dark)
			t.Log(text)
			if got.issued < c.issued[0] || got.issued > c.issued[1] || got.failed < c.failed[0] || got.failed > c.failed[1] || got.least < c.least || got.dark > c.dark {
				t.Errorf("%s; want %d to %d issued, %d to %d failed, %s left, %s without", text, c.issued[0], c.issued[1], c.failed[0], c.failed[1], c.least, c.dark)
			}
		})
	}
}

// A name that can never be proved costs a handful of attempts and then one a day.
func TestANameThatFailsForEverIsTriedOnceADay(t *testing.T) {
	why := &albion.Setback{Kind: albion.SetbackName, Sentence: "port 80 is closed", Advice: "open it"}
	got := live(t, 90*day, func(time.Time) bool { return true }, why)
	if got.issued != 0 || got.failed < 330 || got.failed > 370 {
		t.Errorf("%+v", got)
	}
}
