package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/albion-lb/albion"
)

// Subject is what is looked at.
type Subject struct {
	URL    *url.URL   // https, whatever was given
	Name   string     // lower case, in A-labels; of an address the address
	Addr   netip.Addr // when an address was given instead of a name
	HTTPS  uint16
	HTTP   uint16 // the port that plain HTTP is tried on
	Socket bool   // a WebSocket's address was given
}

// maxSubject bounds what is taken for an address, in bytes.
const maxSubject = 2048

// ParseSubject reads NAME, NAME:PORT or a URL (https, http, wss, ws). httpPort is
// where plain HTTP is tried unless the URL itself says so; a CA always tries 80.
func ParseSubject(text string, httpPort uint16) (Subject, error) {
	if len(text) > maxSubject {
		return Subject{}, fmt.Errorf("an address of more than %d characters is none", maxSubject)
	}
	if !strings.Contains(text, "://") {
		if a, err := netip.ParseAddr(text); err == nil && a.Is6() {
			text = "[" + text + "]"
		}
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return Subject{}, fmt.Errorf("%q is neither a name nor an address: try chat.example.com or https://chat.example.com/chat", text)
	}
	out := Subject{URL: u, HTTPS: 443, HTTP: httpPort}
	secure := u.Scheme == "https" || u.Scheme == "wss"
	switch u.Scheme {
	case "https", "http":
	case "wss", "ws":
		out.Socket = true
	default:
		return Subject{}, fmt.Errorf("%s:// is not for browsers: give a name, or an address with https://, http://, wss:// or ws://", u.Scheme)
	}
	if err := out.readHost(u.Hostname()); err != nil {
		return Subject{}, err
	}
	if p := u.Port(); p != "" {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 {
			return Subject{}, fmt.Errorf("port %s: a port is 1 to 65535", p)
		}
		if secure {
			out.HTTPS = uint16(port)
		} else {
			out.HTTP = uint16(port)
		}
	}
	u.Scheme, u.User, u.Fragment, u.RawFragment = "https", nil, "", ""
	u.Host = hostPort(out.Name, out.HTTPS, 443)
	if u.Path == "" {
		u.Path = "/"
	}
	return out, nil
}

func (s *Subject) readHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		s.Addr, s.Name = a.Unmap(), a.Unmap().String()
		return nil
	}
	wild := strings.HasPrefix(host, "*.")
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(strings.TrimPrefix(host, "*."), "."))
	if again, failed := idna.Lookup.ToASCII(name); failed != nil || again != name || strings.Contains("."+name+".", "..") {
		err = fmt.Errorf("%q is not a domain name", name)
	}
	switch {
	case wild:
		return fmt.Errorf("%q stands for many names: give one of them, such as www.%s", host, name)
	case err != nil || name == "" || len(name) > 253:
		return fmt.Errorf("%q is not a domain name, such as chat.example.com", host)
	}
	s.Name = name
	return nil
}

// hostPort writes a host as it stands in a URL, without the port that goes
// without saying.
func hostPort(name string, port, usual uint16) string {
	if port == usual {
		if strings.Contains(name, ":") {
			return "[" + name + "]"
		}
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(int(port)))
}

// plainURL is the subject over plain HTTP.
func (s *Subject) plainURL(path string) *url.URL {
	return &url.URL{Scheme: "http", Host: hostPort(s.Name, s.HTTP, 80), Path: path}
}

// origin is what a browser calls the place that a URL belongs to.
func origin(u *url.URL) string {
	scheme := u.Scheme
	switch scheme {
	case "wss":
		scheme = "https"
	case "ws":
		scheme = "http"
	}
	host := strings.ToLower(u.Host)
	if usual := map[string]string{"https": ":443", "http": ":80"}[scheme]; usual != "" {
		host = strings.TrimSuffix(host, usual)
	}
	return scheme + "://" + host
}

// reserved and public are albion's: a request to a CA is held to the same.
func reserved(name string) bool { return albion.ReservedName(name) }

func public(a netip.Addr) bool { return albion.PublicAddress(a) }
