// Package acmetest runs a certificate authority inside a test: Pebble, the one
// that Let's Encrypt tests clients with, a DNS that maps every name to this
// machine, and a front that can fail as CAs do.
//
//	ca := acmetest.New(t, acmetest.Options{HTTPPort: 5002})
//	client, err := acme.New(acme.Config{Directory: ca.Directory, Roots: ca.ServerRoot})
//
// It is for tests only.
package acmetest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options say where the CA looks and how it behaves.
type Options struct {
	HTTPPort, TLSPort int                   // where challenges are answered, in place of 80 and 443
	Profiles          map[string]ca.Profile // nil: a default of 90 days
	NonceReject       int                   // good nonces that are refused, in percent
	Alternates        int                   // chains besides the first
	Binding           bool                  // accounts are bound to others
	Resolver          string                // HOST:PORT of the name server that is asked in place of DNS
}

// Profile describes what a CA issues.
type Profile = ca.Profile

// CA is a running authority.
type CA struct {
	Directory  string // URL
	ServerRoot string // PEM: who vouches for the CA's own server
	Store      *db.MemoryStore
	DNS        *DNS

	ca       *ca.CAImpl
	client   *http.Client // trusts the CA's server
	accounts sync.Mutex   // held while Pebble answers who asks for an account

	mu    sync.Mutex // guards what follows
	asked map[string]int
	fault func(http.ResponseWriter, *http.Request) bool
}

// New starts a CA that ends with the test.
func New(t testing.TB, o Options) *CA {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", strconv.Itoa(o.NonceReject))
	if o.Profiles == nil {
		o.Profiles = map[string]ca.Profile{"default": {Description: "90 days", ValidityPeriod: 90 * 86400}}
	}
	silent := log.New(io.Discard, "", 0)
	out := &CA{Store: db.NewMemoryStore(), DNS: newDNS(t), asked: map[string]int{}}
	out.ca = ca.New(silent, out.Store, "", "ecdsa", o.Alternates, 1, o.Profiles)
	judge := va.New(silent, o.HTTPPort, o.TLSPort, true, cmp.Or(o.Resolver, out.DNS.Address), out.Store)
	front := wfe.New(silent, out.Store, judge, out.ca, []string{"ca.example.com"}, true, o.Binding, 0, 0)
	handler := front.Handler()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !out.intervene(w, r) {
			out.await(r)
			defer out.alone(r)()
			handler.ServeHTTP(w, r)
		}
	}))
	server.Config.ErrorLog = silent
	t.Cleanup(server.Close)
	out.Directory, out.client = server.URL+wfe.DirectoryPath, server.Client()
	out.ServerRoot = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return out
}

// intervene counts the request and lets the fault of the moment answer it.
func (c *CA) intervene(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	c.asked[kind(r.URL.Path)]++
	fault := c.fault
	c.mu.Unlock()
	return fault != nil && fault(w, r)
}

// alone lets one account be asked for at a time: Pebble writes to an account that
// is there already while it answers with it.
func (c *CA) alone(r *http.Request) (end func()) {
	if kind(r.URL.Path) != NewAccount {
		return func() {}
	}
	c.accounts.Lock()
	return c.accounts.Unlock
}

// await orders a request for a replacement after the note that an order was
// replaced: Pebble writes that note under a lock and reads it without.
func (c *CA) await(r *http.Request) {
	if kind(r.URL.Path) != NewOrder {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	var signed, order struct{ Payload, Replaces string }
	if err != nil || json.Unmarshal(body, &signed) != nil {
		return
	}
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	if json.Unmarshal(payload, &order) != nil {
		return
	}
	_, encoded, _ := strings.Cut(order.Replaces, ".")
	serial, _ := base64.RawURLEncoding.DecodeString(encoded)
	if original, err := c.Store.GetOrderByIssuedSerial(hex.EncodeToString(serial)); err == nil {
		original.Lock()
		defer original.Unlock()
	}
}

// kind is the first part of a path.
func kind(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// Kinds of requests, as Fault and Asked name them.
const (
	Directory  = "dir"
	NewNonce   = "nonce-plz"
	NewAccount = "sign-me-up"
	NewOrder   = "order-plz"
	Order      = "my-order"
	Finalize   = "finalize-order"
	Authz      = "authZ"
	Challenge  = "chalZ"
	Download   = "certZ"
	Renewal    = "draft-ietf-acme-ari-03"
)

// Asked is how often the CA was asked for something.
func (c *CA) Asked(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[kind]
}

// Fault lets f answer requests in place of the CA, as long as it returns true;
// nil ends that.
func (c *CA) Fault(f func(http.ResponseWriter, *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
}

// Fail answers one kind of request with a status, a Retry-After and a problem
// document; "" is all of them.
func (c *CA) Fail(what string, status int, retryAfter, problem, detail string) {
	c.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if what != "" && kind(r.URL.Path) != what {
			return false
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"type":"urn:ietf:params:acme:error:`+problem+`","detail":"`+detail+`","status":`+strconv.Itoa(status)+`}`)
		return true
	})
}

// Lose cuts off one kind of request before the CA has it. A Front loses answers
// to what the CA has done.
func (c *CA) Lose(what string) {
	c.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if kind(r.URL.Path) != what {
			return false
		}
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	})
}

// Root is the authority that vouches for what is issued, PEM.
func (c *CA) Root() string { return string(c.ca.GetRootCert(0).PEM()) }

// Issuer is the common name of the issuer of the n-th chain's last certificate.
func (c *CA) Issuer(n int) string { return c.ca.GetRootCert(n).Cert.Subject.CommonName }
