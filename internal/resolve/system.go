//go:build !windows

package resolve

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"os"
	"strings"
)

// systemServers reads the recursive servers of this machine from resolv.conf(5).
// A file without one means the machine itself.
func systemServers() ([]string, error) {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return nil, err
	}
	if found := parseResolvConf(raw); len(found) > 0 {
		return found, nil
	}
	return []string{"127.0.0.1:53"}, nil
}

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
