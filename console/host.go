package console

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// private are the ends of names that public DNS does not have, so that no stranger can give one
// of them to this machine.
var private = []string{".localhost", ".local", ".lan", ".home.arpa", ".internal"}

// hostname returns the name or the IP address of a Host header, without its port, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// known reports whether a Host header names this machine by a name that only its owner can have
// given to it. Otherwise a stranger's page could be that of this machine for a browser, by a name of his
// own that leads to his server first, and here a moment later (DNS rebinding).
func (c *Console) known(host string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if name == "" || !strings.Contains(name, ".") {
		return name != "" // no stranger has a name without a dot
	}
	return name == c.own || slices.Contains(c.config.Hosts, name) ||
		slices.ContainsFunc(private, func(end string) bool { return strings.HasSuffix(name, end) })
}

// sameOrigin reports whether a page of ours asks, or no page at all: browsers name the origin of
// the page with every WebSocket. The scheme does not count, for a reverse proxy may add TLS.
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	if len(origins) > 1 || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	withPort := func(host string) string {
		if _, _, err := net.SplitHostPort(host); err == nil {
			return host
		}
		return host + map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	return strings.EqualFold(withPort(u.Host), withPort(r.Host))
}
