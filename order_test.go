package albion_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
)

// requested is a world whose certificate a CA issues, with an order under way.
func requested() (*world, *albion.Issuance) {
	w := newWorld()
	w.cert.Issuer, w.cert.Pending = albion.ACME, true
	w.cert.Request = &albion.Request{
		Directory: "https://ca.example.com/dir", Email: "me@example.com", Domains: []string{"chat.example.com", "192.0.2.1", "2001:db8::1"},
		Method: albion.MethodHTTP, KeyType: albion.KeyRSA,
	}
	return w, &albion.Issuance{Certificate: w.cert.ARN, Order: &albion.Order{
		Account: "a", Step: albion.StepChosen, URL: "https://ca.example.com/order/1",
		Answers: []albion.Answer{{Domain: "chat.example.com", Challenge: albion.ChallengeHTTP, Token: "abc-_9", Proof: "abc-_9.x"}},
	}}
}

func withIssuance(w *world, i *albion.Issuance) *albion.Draft {
	d := w.draft()
	albion.Put(d, &albion.Registration{ID: "a", Directory: "https://ca.example.com/dir"})
	albion.Put(d, &albion.Key{Name: "account/a", Secret: albion.Secret("key")})
	albion.Put(d, &albion.Key{Name: albion.OrderKeyName(i.Certificate), Secret: albion.Secret("key")})
	albion.Put(d, i)
	return d
}

func TestIssuancesThatAreWhole(t *testing.T) {
	w, i := requested()
	s, err := withIssuance(w, i).Finish()
	if err != nil {
		t.Fatal(err)
	}
	if all := s.Answers(); len(all) != 1 || all[0].Token != "abc-_9" {
		t.Errorf("answers: %+v", all)
	}
	d := albion.NewDraft(s)
	albion.DeleteCertificate(d, w.cert.ARN)
	if d.Issuances.Len() != 0 || d.Keys.Len() != s.Keys.Len()-2 {
		t.Error("something stays of a deleted certificate")
	}
}

func TestIssuancesThatAreNot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *albion.Issuance)
		field  string
	}{
		"http directory":   {func(w *world, _ *albion.Issuance) { w.cert.Request.Directory = "http://ca.example.com/" }, "Request.Directory"},
		"no directory":     {func(w *world, _ *albion.Issuance) { w.cert.Request.Directory = "" }, "Request.Directory"},
		"two addresses":    {func(w *world, _ *albion.Issuance) { w.cert.Request.Email = "a@example.com,b@example.com" }, "Request.Email"},
		"no address":       {func(w *world, _ *albion.Issuance) { w.cert.Request.Email = "me" }, "Request.Email"},
		"a method unknown": {func(w *world, _ *albion.Issuance) { w.cert.Request.Method = "dns-magic" }, "Request.Method"},
		"no folder":        {func(w *world, _ *albion.Issuance) { w.cert.Request.Method = albion.MethodWebroot }, "Request.Method"},
		"half a folder": {func(w *world, _ *albion.Issuance) {
			w.cert.Request.Method, w.cert.Request.Argument = albion.MethodWebroot, "www"
		}, "Request.Argument"},
		"an address by DNS": {func(w *world, _ *albion.Issuance) { w.cert.Request.Method = albion.MethodManual }, "Request.Domains[1]"},
		"a wildcard by HTTP": {func(w *world, _ *albion.Issuance) {
			w.cert.Request.Domains = []string{"*.example.com"}
		}, "Request.Domains[0]"},
		"a key unknown":       {func(w *world, _ *albion.Issuance) { w.cert.Request.KeyType = "dsa" }, "Request.KeyType"},
		"no name":             {func(w *world, _ *albion.Issuance) { w.cert.Request.Domains = nil }, "Request.Domains"},
		"capital letters":     {func(w *world, _ *albion.Issuance) { w.cert.Request.Domains = []string{"Chat.example.com"} }, "Request.Domains[0]"},
		"a single label":      {func(w *world, _ *albion.Issuance) { w.cert.Request.Domains = []string{"localhost"} }, "Request.Domains[0]"},
		"a path":              {func(w *world, _ *albion.Issuance) { w.cert.Request.Domains = []string{"a.example/x"} }, "Request.Domains[0]"},
		"a key as roots":      {func(w *world, _ *albion.Issuance) { w.cert.Request.Roots = "-----BEGIN PRIVATE KEY-----\n" }, "Chain"},
		"an imported one":     {func(w *world, _ *albion.Issuance) { w.cert.Issuer = albion.Imported }, "Request"},
		"pending for nothing": {func(w *world, _ *albion.Issuance) { w.cert.Issuer, w.cert.Request = albion.Local, nil }, "Pending"},
		"a strange step":      {func(_ *world, i *albion.Issuance) { i.Order.Step = "lost" }, "Order.Step"},
		"a path as token":     {func(_ *world, i *albion.Issuance) { i.Order.Answers[0].Token = "../x" }, "Order.Answers[0]"},
		"no token":            {func(_ *world, i *albion.Issuance) { i.Order.Answers[0].Token = "" }, "Order.Answers[0]"},
		"an answer in lines":  {func(_ *world, i *albion.Issuance) { i.Order.Answers[0].Proof = "a\r\nb" }, "Order.Answers[0]"},
		"an account unknown":  {func(_ *world, i *albion.Issuance) { i.Order.Account = "b" }, "Order.Account"},
		"an order nowhere":    {func(_ *world, i *albion.Issuance) { i.Order.URL = "" }, "Order.URL"},
		"long words":          {func(_ *world, i *albion.Issuance) { i.Last = &albion.Setback{Words: strings.Repeat("x", 4000)} }, "Last"},
		"many steps":          {func(_ *world, i *albion.Issuance) { i.Steps = make([]string, 100) }, "Steps"},
		"many times":          {func(_ *world, i *albion.Issuance) { i.Begun = make([]time.Time, 100) }, "Steps"},
	} {
		t.Run(name, func(t *testing.T) {
			w, i := requested()
			c.change(w, i)
			_, err := withIssuance(w, i).Finish()
			var e *albion.Error
			for _, one := range flatten(err) {
				if errors.As(one, &e) && e.Field == c.field {
					return
				}
			}
			t.Errorf("%v, want something about %s", err, c.field)
		})
	}
}

func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func TestASetbackSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	s := &albion.Setback{Sentence: "port 80 is closed", Advice: "open it", Words: "connection refused"}
	if got, want := s.Error(), "port 80 is closed: open it (connection refused)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
