package e2e_test

import (
	"testing"

	"github.com/albion-lb/albion/internal/acme/acmetest"
)

// When a name cannot be proved, `up` asks the doctor what stands in the way.
func TestUpAsksTheDoctorWhyAnOrderFailed(t *testing.T) {
	i := newIssuing(t, acmetest.Options{})
	i.ca.DNS.Lose("chat.example.com")
	said, end := i.up("--issuer", i.ca.Directory, "--ca-root", i.root, "--accept-tos", "--resolver", "127.0.0.1:1")
	said("^  next: ")
	said("the CA's words: ")
	said("^  the doctor finds: this machine's name server does not answer")
	said("^  next: .*--resolver")
	said("albion doctor chat.example.com:[0-9]+ --data .+` shows more")
	said("it is tried again at")
	end()
}
