package config_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/config"
)

const delivering = `
certificates:
  chat:
    domains: [chat.example.com]
    deliver: [certs, "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"]
`

func TestDeliveriesOfAFile(t *testing.T) {
	w := newWorld()
	first, _, err := w.run(parse(t, delivering), nil)
	if err != nil {
		t.Fatal(err)
	}
	places := map[albion.DeliveryKind]string{}
	for v := range first.Deliveries.All() {
		places[v.Kind] = v.To
		if v.Origin != albion.OriginFile || v.ID != albion.DeliveryID(v.Certificate, v.Kind, v.To) {
			t.Errorf("%+v", v)
		}
	}
	if len(places) != 2 || !strings.HasSuffix(places[albion.Live], "certs") || !strings.HasPrefix(places[albion.InACM], "arn:") {
		t.Errorf("%v", places)
	}
	// What has been delivered is not the file's to say.
	d := albion.NewDraft(first)
	for v := range first.Deliveries.All() {
		done := *v
		done.Digest, done.Serial = "d", "01"
		albion.Put(d, &done)
	}
	delivered, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if again, changes, err := w.run(parse(t, delivering), delivered); err != nil || len(changes) != 0 || again != delivered {
		t.Errorf("%v, %v", changes, err)
	}
	for text, want := range map[string]string{
		strings.Replace(delivering, "[certs, ", "[", 1):                       "remove delivery of chat to ",
		strings.Replace(delivering, "[certs, ", "[certs, other, ", 1):         "add delivery of chat to ",
		strings.Replace(delivering, "    deliver:", "    issuer: local #", 1): "remove delivery of chat to arn:aws:acm:",
	} {
		_, changes, err := w.run(parse(t, text), delivered)
		var all []string
		for _, c := range changes {
			all = append(all, c.String())
		}
		if err != nil || !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("%s: %v\n%v", text, err, all)
		}
	}
	if gone, _, err := w.run(parse(t, "{}"), delivered); err != nil || gone.Deliveries.Len() != 0 {
		t.Errorf("%d are left, %v", gone.Deliveries.Len(), err)
	}
}

// What somebody added by a command is not the file's to remove, until it declares
// the same.
func TestDeliveriesOfOthersStay(t *testing.T) {
	w := newWorld()
	plain := strings.Replace(delivering, "    deliver:", "    issuer: local #", 1)
	first, _, err := w.run(parse(t, plain), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := albion.NewDraft(first)
	for c := range first.Certificates.All() {
		albion.Put(d, &albion.Delivery{ID: albion.DeliveryID(c.ARN, albion.Live, "/srv/certs"), Certificate: c.ARN, Kind: albion.Live, To: "/srv/certs", Serial: "01"})
	}
	mine, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if again, changes, err := w.run(parse(t, plain), mine); err != nil || len(changes) != 0 || again != mine {
		t.Errorf("%v, %v", changes, err)
	}
	taken, changes, err := w.run(parse(t, strings.Replace(delivering, "[certs,", "[/srv/certs,", 1)), mine)
	if err != nil || len(changes) != 2 || taken.Deliveries.Len() != 2 {
		t.Errorf("%v, %v", changes, err)
	}
	for v := range taken.Deliveries.All() {
		if v.Origin != albion.OriginFile || v.Kind == albion.Live && v.Serial != "01" {
			t.Errorf("%+v", v)
		}
	}
}

func TestDeliveriesThatAreWrong(t *testing.T) {
	for value, want := range map[string]string{
		"arn:aws:iam::1:server-certificate/x": `is an ARN of "iam" and not of ACM`,
		"{live: certs}":                       "expected a folder, or the ARN of a certificate in ACM",
		"''":                                  "is not the name of a file",
	} {
		_, err := config.Parse("/etc/albion/albion.yaml", []byte("certificates: {a: {domains: a.example.com, deliver: "+value+"}}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", value, err)
		}
	}
}
