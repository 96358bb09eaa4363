package uplink

import (
	"fmt"
	"net"
	"unicode/utf8"

	"dlt645-mqtt/bridge/strictjson"
)

// bounded is a connection over which MQTT packets come. Reading fails where one is announced that is larger than
// most.
type bounded struct {
	net.Conn
	most int

	first []byte // what has come of the first four bytes, which answer to CONNECT

	left   int  // bytes of the present packet that have not come yet
	header bool // its length is being read
	length int
	shift  int
}

// A codeError is a return code that MQTT 3.1.1 does not have. The library would take it for a success.
type codeError byte

func (c codeError) Error() string {
	return fmt.Sprintf("it refuses the connection with the code %d, which MQTT 3.1.1 does not have", byte(c))
}

// identity reports whether the code is one that MQTT 5 has for an identity that is refused.
func (c codeError) identity() bool { return c >= 0x85 && c <= 0x87 }

// Read reads, and follows the packets.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if missing := min(4-len(b.first), n); missing > 0 {
		b.first = append(b.first, p[:missing]...)
		if len(b.first) == 4 && b.first[0] == 0x20 && b.first[1] == 2 && b.first[3] > 5 {
			return 0, codeError(b.first[3])
		}
	}
	for rest := p[:n]; len(rest) > 0; {
		if b.left > 0 {
			skipped := min(b.left, len(rest))
			b.left -= skipped
			rest = rest[skipped:]
			continue
		}
		c := rest[0]
		rest = rest[1:]
		if !b.header { // the first byte of a packet: its type
			b.header, b.length, b.shift = true, 0, 0
			continue
		}
		b.length |= int(c&0x7F) << b.shift
		b.shift += 7
		switch {
		case c >= 0x80 && b.shift >= 28:
			return 0, fmt.Errorf("a packet of MQTT has no length")
		case c >= 0x80:
		case b.length > b.most:
			return 0, fmt.Errorf("the cloud sends a packet of %d bytes, more than the %d that are taken", b.length, b.most)
		default:
			b.header, b.left = false, b.length
		}
	}
	return n, err
}

// ambiguous says why it is not sure what a JSON message says; empty if it is. Programs differ in what they make of
// a key that stands there twice, of bytes that are no UTF-8, or of half a character.
func ambiguous(message []byte) string {
	if !utf8.Valid(message) {
		return "the call is not UTF-8"
	}
	if key, twice := strictjson.TwiceKey(message, true); twice {
		return fmt.Sprintf("the key %q stands in the call twice", clip(key))
	}
	if strictjson.HasHalfCharacter(message) {
		return "the call has half a character, of which programs make the same for each"
	}
	return ""
}
