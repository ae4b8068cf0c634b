package acmetest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Front stands in front of a CA, as a network does that fails: it answers in the
// CA's place, loses answers, and keeps clients waiting. It works for whatever
// speaks ACME at an address.
type Front struct {
	Directory  string // URL of the CA's directory, by way of the front
	ServerRoot string // PEM: who vouches for the front's server

	mu     sync.Mutex // guards what follows
	faults []Fault
	asked  map[string]int
}

// Fault is what happens to requests. Without Status, Lose and Hang only the clock
// is wrong.
type Fault struct {
	Kind  string // of the requests, such as NewOrder; "": any
	Times int    // how many of them; 0: all

	Status     int    // answered in the CA's place
	RetryAfter string // header
	Problem    string // of a problem document: rateLimited, serverInternal, …
	Detail     string
	Body       string // in place of a problem document

	Lose bool   // the CA does what it is asked, and its answer is lost
	Hang bool   // nothing is answered until the client gives up
	Date string // the CA's clock, on its own answers
}

// NewFront starts a front that ends with the test. base is the URL of the CA's
// directory, and trusting a client that trusts its server.
func NewFront(t testing.TB, base string, trusting *http.Client) *Front {
	t.Helper()
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	silent := log.New(io.Discard, "", 0)
	// The host that the client asked for is passed on: the CA makes its addresses
	// of it.
	proxy := &httputil.ReverseProxy{
		Transport: trusting.Transport, ErrorLog: silent,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host})
			r.Out.Host = r.In.Host
		},
	}
	f := &Front{asked: map[string]int{}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(proxy, w, r) }))
	server.Config.ErrorLog = silent
	server.StartTLS()
	t.Cleanup(server.Close)
	f.Directory = server.URL + to.Path
	f.ServerRoot = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return f
}

// Front puts a front before a CA of this test.
func (c *CA) Front(t testing.TB) *Front {
	t.Helper()
	return NewFront(t, c.Directory, c.client)
}

// Fail replaces what happens to requests; without faults all of them reach the
// CA.
func (f *Front) Fail(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
}

// Asked is how often a kind of request came to the front; "" is all of them.
func (f *Front) Asked(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if what != "" {
		return f.asked[what]
	}
	n := 0
	for _, times := range f.asked {
		n += times
	}
	return n
}

// fault finds what happens to a request, and counts it.
func (f *Front) fault(r *http.Request) (found Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := kind(r.URL.Path)
	f.asked[what]++
	for i := range f.faults {
		switch fault := &f.faults[i]; {
		case fault.Kind != "" && fault.Kind != what || fault.Times < 0:
			continue
		case fault.Times == 1:
			fault.Times = -1 // used up
		case fault.Times > 1:
			fault.Times--
		}
		return f.faults[i]
	}
	return Fault{}
}

func (f *Front) serve(ca http.Handler, w http.ResponseWriter, r *http.Request) {
	switch fault := f.fault(r); {
	case fault.Hang:
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client go
		<-r.Context().Done()
	case fault.Lose:
		ca.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	case fault.Status != 0:
		fault.answer(w)
	case fault.Date != "":
		answer := httptest.NewRecorder()
		ca.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Date", fault.Date)
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	default:
		ca.ServeHTTP(w, r)
	}
}

func (f *Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	body := f.Body
	if f.Problem != "" {
		w.Header().Set("Content-Type", "application/problem+json")
		body = `{"type":"urn:ietf:params:acme:error:` + f.Problem + `","detail":` + strconv.Quote(f.Detail) + `,"status":` + strconv.Itoa(f.Status) + `}`
	}
	w.WriteHeader(f.Status)
	_, _ = io.Copy(w, strings.NewReader(body))
}
