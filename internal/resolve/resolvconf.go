package resolve

import (
	"bufio"
	"bytes"
	"net/netip"
	"strings"
)

// parseResolvConf finds the lines "nameserver ADDRESS"; others do not concern whoever
// asks for full names only.
func parseResolvConf(raw []byte) []string {
	var found []string
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && len(found) < maxRecursive {
			found = append(found, netip.AddrPortFrom(addr, 53).String())
		}
	}
	return found
}
