package proxy

import "bytes"

// challengePath is where a CA looks for the proof that a name is ours (RFC 8555
// §8.3).
const challengePath = "/.well-known/acme-challenge/"

// prove answers a CA that asks for a proof that is expected now, and says whether
// it did. No redirect, rule or sign-in stands in its way; any other token goes on
// to the rules, since a server behind may have an ACME client of its own.
func (x *exchange) prove() bool {
	if len(x.view.Proofs) == 0 && x.view.Beacon == nil {
		return false
	}
	r := &x.c.req
	token, ok := bytes.CutPrefix(r.Path, []byte(challengePath))
	if !ok || !isHead(r) && string(r.Method) != "GET" {
		return false
	}
	proof, ok := x.view.Proofs[string(token)]
	if !ok && x.view.Beacon != nil {
		proof, ok = x.view.Beacon(string(token))
	}
	if !ok {
		return false
	}
	x.action = "fixed-response"
	x.skipBody()
	x.answer(answer{status: 200, contentType: "application/octet-stream", body: proof})
	return true
}
