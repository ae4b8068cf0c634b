package sockjstest

import (
	"crypto/rand"
	"crypto/tls"
	"net/url"
	"testing"
)

// Suite says where the service is.
type Suite struct {
	// Base is the address in front of /echo and the others, such as
	// http://127.0.0.1:8081, without a slash at its end.
	Base string
	// TLS is the client's configuration when Base begins with https.
	TLS *tls.Config
}

// Run runs all cases against the service at base.
func Run(t *testing.T, base string) { Suite{Base: base}.Run(t) }

// Run runs all cases, each as a subtest named after its section of the
// protocol and what it is about.
func (s Suite) Run(t *testing.T) {
	u, err := url.Parse(s.Base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		t.Fatalf("base address %q is no http or https URL: %v", s.Base, err)
	}
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			c.run(&probe{t: t, url: u, tls: s.TLS})
		})
	}
}

// testCase is one case of the protocol's definition.
type testCase struct {
	name string
	run  func(*probe)
}

func cases() []testCase {
	var all []testCase
	for _, section := range [][]testCase{
		pageCases(), infoCases(), sessionCases(),
		webSocketErrorCases(), hixieCases(), hybiCases(), rawWebSocketCases(),
		xhrCases(), xhrStreamingCases(), eventSourceCases(), htmlFileCases(),
		jsonpCases(), cookieCases(),
		encodingCases(), closeCases(), http10Cases(), http11Cases(),
	} {
		all = append(all, section...)
	}
	return all
}

const (
	echoPath   = "/echo"
	closePath  = "/close"
	wsOffPath  = "/disabled_websocket_echo"
	cookiePath = "/cookie_needed_echo"
)

// session is the address of a session that nobody has used yet.
func session(prefix string) string { return prefix + "/000/" + rand.Text() }
