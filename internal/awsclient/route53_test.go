package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion/internal/awsclient"
	"github.com/albion-lb/albion/internal/awsclient/awstest"
)

func TestMain(m *testing.M) {
	// The SDK keeps its connections, in clients of its own.
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func TestChangesOneValueOfARecordSet(t *testing.T) {
	aws := awstest.New(t)
	id := aws.Zone("example.com", false)
	aws.Zone("example.com", true)
	aws.Zone("more.example.com", false)
	s, err := awsclient.Load(t.Context(), awsclient.Config{})
	if err != nil {
		t.Fatal(err)
	}
	zones, err := s.Zones(t.Context(), "example.com")
	if err != nil || len(zones) != 1 || zones[0].ID != id || zones[0].Name != "example.com" || len(zones[0].Servers) == 0 {
		t.Fatalf("%+v, %v", zones, err)
	}
	if zones, err := s.Zones(t.Context(), "other.com"); err != nil || len(zones) != 0 {
		t.Errorf("a zone that is not there: %+v, %v", zones, err)
	}

	const name = "_acme-challenge.example.com"
	txt := func(value string) awsclient.TXT { return awsclient.TXT{Name: name, Value: value, TTL: time.Minute} }
	do := func(f func(context.Context, string, awsclient.TXT) (string, error), value string, changes bool) {
		t.Helper()
		change, err := f(t.Context(), id, txt(value))
		if err != nil || (change != "") != changes {
			t.Fatalf("%s: %q, %v", value, change, err)
		}
		if !changes {
			return
		}
		if done, err := s.Done(t.Context(), change); err != nil || !done {
			t.Errorf("%s: done: %v, %v", value, done, err)
		}
	}
	do(s.AddTXT, "apex", true)
	do(s.AddTXT, "wildcard", true)
	do(s.AddTXT, "apex", false)
	if got := aws.TXT(id, name); !slices.Equal(got, []string{`"apex"`, `"wildcard"`}) {
		t.Errorf("both added: %q", got)
	}
	do(s.RemoveTXT, "somebody else's", false)
	do(s.RemoveTXT, "apex", true)
	if got := aws.TXT(id, name); !slices.Equal(got, []string{`"wildcard"`}) {
		t.Errorf("one removed: %q", got)
	}
	do(s.RemoveTXT, "wildcard", true)
	do(s.RemoveTXT, "wildcard", false)
	if got := aws.TXT(id, name); slices.Contains(got, `"wildcard"`) {
		t.Errorf("both removed: %q", got)
	}
}

// Several orders that share a name lose nobody's value.
func TestChangesAtTheSameTimeLoseNothing(t *testing.T) {
	aws := awstest.New(t)
	id := aws.Zone("example.com", false)
	s, err := awsclient.Load(t.Context(), awsclient.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	var all sync.WaitGroup
	for i := range 4 {
		value := fmt.Sprintf("value-%d", i)
		want = append(want, `"`+value+`"`)
		all.Go(func() {
			if _, err := s.AddTXT(t.Context(), id, awsclient.TXT{Name: "a.example.com", Value: value, TTL: time.Minute}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := aws.TXT(id, "a.example.com"); !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

// Moto deletes whatever a batch names; Route 53 refuses a batch whose record set
// has changed in between. A front answers as Route 53's documentation has it.
func TestReadsAnewWhenSomebodyElseChangedTheRecord(t *testing.T) {
	aws := awstest.New(t)
	id := aws.Zone("example.com", false)
	direct, err := awsclient.Load(t.Context(), awsclient.Config{})
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(aws.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(target)
	var batches atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && batches.Add(1) == 1 {
			if _, err := direct.AddTXT(r.Context(), id, awsclient.TXT{Name: "a.example.com", Value: "theirs", TTL: time.Minute}); err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `<?xml version="1.0"?><InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Messages><Message>Tried to delete resource record set, but the values provided do not match the current values</Message></Messages><RequestId>x</RequestId></InvalidChangeBatch>`)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	defer front.Close()
	t.Setenv("AWS_ENDPOINT_URL_ROUTE_53", front.URL)
	s, err := awsclient.Load(t.Context(), awsclient.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddTXT(t.Context(), id, awsclient.TXT{Name: "a.example.com", Value: "ours", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if got := aws.TXT(id, "a.example.com"); !slices.Equal(got, []string{`"ours"`, `"theirs"`}) || batches.Load() != 3 { // refused, theirs, ours
		t.Errorf("%q after %d batches", got, batches.Load())
	}
}

func TestSaysWhatAWSSays(t *testing.T) {
	aws := awstest.New(t)
	s, err := awsclient.Load(t.Context(), awsclient.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Zone(t.Context(), "Z0")
	var e *awsclient.Error
	if !errors.As(err, &e) || e.Code != "NoSuchHostedZone" || e.Detail == "" {
		t.Errorf("a zone that is not there, at %s: %v", aws.Endpoint, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if s, err = awsclient.Load(t.Context(), awsclient.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Zones(t.Context(), "example.com"); err == nil || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("without credentials: %v", err)
	}
}
