package acm_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// By a clock that is wrong nothing is ordered, nowhere; once it is right again
// everything goes on, however far in the future the last attempt seemed to be.
func TestNothingIsOrderedByAWrongClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"10 years ahead": 3650 * day, "10 years behind": -3650 * day} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			arn := p.request("chat.example.com")
			p.runUntil(issued(arn))
			p.ahead = ahead
			if ahead < 0 { // nothing is due by this clock, unless somebody wants something else
				p.request("chat.example.com", "www.example.com")
			}
			p.best.Fail(acmetest.Fault{Date: time.Now().UTC().Format(http.TimeFormat)})
			p.runUntil(failed(arn, 1))
			_, i := p.certificate(arn)
			if i.Last.Kind != albion.SetbackClock || !strings.Contains(i.Last.Error(), "clock") || p.best.Asked(acmetest.NewOrder) != 1 || p.other.Asked("") != 0 {
				t.Errorf("%v after %d orders", i.Last, p.best.Asked(acmetest.NewOrder))
			}
			p.ahead = 16 * time.Hour
			p.best.Fail()
			p.renewed(arn)
		})
	}
}

func TestTheCAsClockIsBelieved(t *testing.T) {
	p := newPair(t)
	p.best.Fail(acmetest.Fault{Date: time.Now().Add(-3 * day).UTC().Format(http.TimeFormat)})
	arn := p.request("chat.example.com")
	p.runUntil(failed(arn, 1))
	if _, i := p.certificate(arn); i.Last.Kind != albion.SetbackClock || !strings.Contains(i.Last.Sentence, "ahead of the CA's") || p.best.Asked(acmetest.NewOrder) != 0 || p.other.Asked("") != 0 {
		t.Errorf("%v", i.Last)
	}
	p.best.Fail()
	p.ahead = 3 * time.Minute
	p.runUntil(issued(arn))
}

// What is not valid yet by our clock is kept until it is, and costs no second
// order.
func TestALeafOfTheFutureIsHeld(t *testing.T) {
	ca, d := newAuthority(t), draft()
	cert, _ := ask(t, d, nil)
	show(d, cert.ARN)
	begun(t, d, cert.ARN, noon)
	ca.complete(d, cert.ARN, noon, 90*day)
	early := noon.Add(-3 * time.Hour) // the leaf begins an hour before noon
	err := acm.Install(d, cert.ARN, early)
	var s *albion.Setback
	if !errors.As(err, &s) || s.Kind != albion.SetbackClock || !s.Until.Equal(noon.Add(-time.Hour)) {
		t.Fatalf("%v", err)
	}
	if err := acm.Fail(d, cert.ARN, s, early); err != nil {
		t.Fatal(err)
	}
	i, _ := d.Issuances.Get(string(cert.ARN))
	if i.Order == nil || i.Order.Step != albion.StepDownloaded {
		t.Fatalf("%+v", i)
	}
	due := acm.Plan(&d.State, early)[0]
	if due.Deed != acm.Obtain || due.At.Before(noon.Add(-time.Hour)) || due.At.After(noon) {
		t.Errorf("%+v", due)
	}
	if err := acm.Install(d, cert.ARN, due.At); err != nil {
		t.Error(err)
	}
}

// A machine that cannot keep what it gets asks for nothing.
func TestNothingIsOrderedThatCannotBeKept(t *testing.T) {
	p := newPair(t)
	p.tools = func(m *acm.Manager) {
		m.Keeps = func(*albion.Request) error { return errors.New("no space left on device") }
	}
	arn := p.request("chat.example.com")
	p.runUntil(failed(arn, 1))
	if _, i := p.certificate(arn); i.Last.Kind != albion.SetbackHere || !strings.Contains(i.Last.Error(), "no space left") || p.best.Asked("")+p.other.Asked("") != 0 {
		t.Errorf("%v", i.Last)
	}
	p.tools = nil
	p.ahead = 3 * time.Minute
	p.runUntil(issued(arn))
}

// Between the CA's answer to an order and its entry in the journal a kill costs an
// order at CAs that do not return the one that waits. Who dies there again and
// again orders four times in an hour and no more.
func TestDyingBeforeTheEntryOfAnOrderIsBounded(t *testing.T) {
	d := draft()
	cert, _ := ask(t, d, nil)
	show(d, cert.ARN)
	orders := 0
	for now := noon; now.Before(noon.Add(59 * time.Minute)); now = now.Add(10 * time.Second) {
		if due := acm.Plan(&d.State, now)[0]; due.Deed == acm.Obtain && !due.At.After(now) {
			begun(t, d, cert.ARN, now) // and it dies
			orders++
		}
	}
	if orders != 4 {
		t.Errorf("%d orders in an hour", orders)
	}
}

// What the CA says of each name is kept, and who could have a certificate
// meanwhile.
func TestOneNameOfSeveralIsBlamed(t *testing.T) {
	p := newPair(t)
	p.ca.DNS.Lose("lost.example.com")
	p.ca.DNS.Lose("gone.example.com")
	arn := p.request("chat.example.com", "lost.example.com", "gone.example.com")
	p.runUntil(failed(arn, 1))
	_, i := p.certificate(arn)
	var names []string
	for _, n := range i.Last.Names {
		names = append(names, n.Domain)
		if n.Sentence == "" || n.Words == "" {
			t.Errorf("%+v", n)
		}
	}
	if len(names) != 2 || !strings.Contains(i.Last.Sentence, "2 of 3 names") || !strings.Contains(i.Last.Advice, "a certificate for chat.example.com alone") {
		t.Errorf("%q %v", names, i.Last)
	}
}

// A certificate that no listener shows is not renewed, whatever happens, and says
// so.
func TestWhatNobodyUsesIsNotRenewed(t *testing.T) {
	ca, d := newAuthority(t), draft()
	cert, _, err := acm.Request(d, acm.CARequest{Domains: []string{"chat.example.com"}, Issuer: "letsencrypt", Now: noon, Rand: rand.Reader, ID: [16]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	begun(t, d, cert.ARN, noon)
	ca.complete(d, cert.ARN, noon, 90*day)
	if err := acm.Install(d, cert.ARN, noon); err != nil {
		t.Fatal(err)
	}
	for days := 0; days < 400; days += 10 {
		now := noon.AddDate(0, 0, days)
		if due := acm.Plan(&d.State, now)[0]; due.Deed != acm.Nothing {
			t.Fatalf("after %d days: %+v", days, due)
		}
		cert, _ := d.Certificates.Get(string(cert.ARN))
		if fare := acm.FareOf(&d.State, cert, now, false); days < 90 && fare.Word != acm.StatusUnused || fare.Next != "" {
			t.Fatalf("after %d days: %+v", days, fare)
		}
	}
}
