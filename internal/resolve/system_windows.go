package resolve

import (
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// systemServers reads the servers of the network adapters that are up.
func systemServers() ([]string, error) {
	size := uint32(16 << 10)
	for range 4 { // adapters may come between two calls
		raw := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&raw[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, windows.GAA_FLAG_INCLUDE_PREFIX, 0, first, &size)
		if err == nil {
			return adapterServers(first), nil
		}
		if err != windows.ERROR_BUFFER_OVERFLOW {
			return nil, os.NewSyscallError("GetAdaptersAddresses", err)
		}
	}
	return nil, fmt.Errorf("resolve: the network adapters keep changing")
}

func adapterServers(adapter *windows.IpAdapterAddresses) []string {
	siteLocal := netip.MustParsePrefix("fec0::/10") // a placeholder where nothing is configured
	var found []string
	for ; adapter != nil; adapter = adapter.Next {
		if adapter.OperStatus != windows.IfOperStatusUp {
			continue
		}
		for server := adapter.FirstDnsServerAddress; server != nil; server = server.Next {
			addr, ok := netip.AddrFromSlice(server.Address.IP())
			if addr = addr.Unmap(); ok && !siteLocal.Contains(addr) && len(found) < maxRecursive {
				found = append(found, netip.AddrPortFrom(addr, 53).String())
			}
		}
	}
	return found
}
