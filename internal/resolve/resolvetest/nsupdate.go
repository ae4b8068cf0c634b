package resolvetest

import (
	"fmt"
	"os/exec"
	"strings"
)

// Update changes a zone on the first server, as BIND's nsupdate reads changes:
// "add www.example.test 60 CNAME www.other.test", "delete www.example.test CNAME".
func (n *Network) Update(zone string, changes ...string) {
	n.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "server %s %d\nkey %s:%s %s\nzone %s\n", address(0), n.Port, KeyAlgorithm, KeyName, KeySecret, zone)
	for _, change := range changes {
		fmt.Fprintf(&b, "update %s\n", change)
	}
	b.WriteString("send\n")
	cmd := exec.Command("nsupdate")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Errorf("nsupdate: %v\n%s\n%s", err, out, b.String())
	}
}
