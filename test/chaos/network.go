//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A network is the way of one bridge to all else: a namespace of its own at the end of a cable
// that can be pulled. Only root can have one.
type network struct {
	name       string // of the namespace
	near, far  string // addresses of this side and of the bridge
	cable, end string // names of the cable's ends
}

// newNetwork makes a network, or says why it cannot be had.
func newNetwork() (*network, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this is not root")
	}
	// Addresses that are set aside for tests (RFC 2544), told apart by the process.
	pid := os.Getpid()
	third, fourth := pid>>6&0xFF, pid<<2&0xFC
	n := &network{
		name: fmt.Sprintf("chaos-%d", pid), cable: fmt.Sprintf("ch%da", pid), end: fmt.Sprintf("ch%db", pid),
		near: fmt.Sprintf("198.18.%d.%d", third, fourth+1), far: fmt.Sprintf("198.18.%d.%d", third, fourth+2),
	}
	for _, line := range []string{
		"netns add " + n.name,
		"link add " + n.cable + " type veth peer name " + n.end,
		"link set " + n.end + " netns " + n.name,
		"addr add " + n.near + "/30 dev " + n.cable,
		"link set " + n.cable + " up",
		"-n " + n.name + " addr add " + n.far + "/30 dev " + n.end,
		"-n " + n.name + " link set " + n.end + " up",
		"-n " + n.name + " link set lo up",
	} {
		if err := ip(line); err != nil {
			n.remove()
			return nil, err
		}
	}
	return n, nil
}

// inside returns the command line that runs a program in the namespace.
func (n *network) inside(arguments ...string) []string {
	return append([]string{"ip", "netns", "exec", n.name}, arguments...)
}

// cut pulls the cable: nothing goes through, and nobody is told.
func (n *network) cut() error { return ip("link set " + n.cable + " down") }

// mend puts it in again.
func (n *network) mend() error { return ip("link set " + n.cable + " up") }

func (n *network) remove() {
	_ = ip("link del " + n.cable)
	_ = ip("netns del " + n.name)
}

func ip(line string) error {
	out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput() //nolint:gosec,noctx // our own words
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}
