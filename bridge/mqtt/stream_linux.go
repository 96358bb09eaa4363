package mqtt

import "golang.org/x/sys/unix"

// receiveBuffer is what the kernel may hold for us of what the broker has sent, and segment what the broker's
// kernel may send at a time, which there bounds what it holds. Under a flood all of that is read before
// what comes after it, a command perhaps. Over an Ethernet segments are no longer anyhow; over the
// loopback they have 64 KiB, and megabytes wait.
const (
	receiveBuffer = 64 << 10
	segment       = 1460
)

// keepShort keeps the way to a socket that is about to connect short.
func keepShort(socket uintptr) {
	// Without them more waits, and that is all.
	_ = unix.SetsockoptInt(int(socket), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	_ = unix.SetsockoptInt(int(socket), unix.IPPROTO_TCP, unix.TCP_MAXSEG, segment)
}
