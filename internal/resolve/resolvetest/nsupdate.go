package resolvetest

import (
	"fmt"
	"os/exec"
	"strings"
)

// Update changes a zone on all its servers, or on the first when the others lag, as
// BIND's nsupdate reads changes: "add www.example.test 60 CNAME www.other.test",
// "delete www.example.test CNAME".
func (n *Network) Update(zone string, changes ...string) {
	n.t.Helper()
	for _, z := range n.zones {
		for i := range z.Servers {
			if z.Name == zone && (i == 0 || !z.Lagging) {
				n.update(i, zone, changes)
			}
		}
	}
}

func (n *Network) update(i int, zone string, changes []string) {
	n.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "server %s %d\nkey %s:%s %s\nzone %s\n", address(i), n.Port, KeyAlgorithm, KeyName, KeySecret, zone)
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
