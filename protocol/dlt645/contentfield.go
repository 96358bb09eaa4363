package dlt645

import (
	"fmt"
	"slices"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

func (c *content) di() DI {
	b := c.next("the identifier", diSize(c.Version))
	if b == nil {
		return 0
	}
	di := diOf(b, c.Version)
	c.DI = di.Format(c.Version)
	return di
}

func (c *content) seq() {
	if b := c.next("SEQ", 1); b != nil {
		c.Seq = int(b[0])
	}
}

// password reads PA and P0 to P2 and returns PA.
func (c *content) password(prefix string) byte {
	b := c.next("level and password", 4)
	if b == nil {
		return 0
	}
	c.add(prefix+"level", fmt.Sprintf("%02X", b[0]))
	c.add(prefix+"password", hexOf(b[1:]))
	return b[0]
}

func (c *content) operatorCode() {
	if b := c.next("the operator code", 4); b != nil {
		c.add("operator_code", hexOf(b))
	}
}

func (c *content) address(name string) {
	if b := c.next("the address", len(Address{})); b != nil {
		c.add(name, reversedAddress(b).String())
	}
}

// baud reads a baud word: exactly one of the bits 1 to 6 is set.
func (c *content) baud() {
	b := c.next("the baud word", 1)
	if b == nil {
		return
	}
	if speed := speedOf(b[0]); speed != 0 {
		c.Values = append(c.Values, protocol.Value{Name: "baud", Unit: "bit/s", Data: protocol.Decimal{Coefficient: speed}})
		return
	}
	c.fail("baud word %02XH: exactly one of the bits 1 (600) to 6 (19200) must be set", b[0])
}

// speedOf returns the speed that a baud word stands for, in bits per second; 0 if it stands for none.
func speedOf(word byte) int64 {
	for i, speed := range speeds {
		if word == 1<<(i+1) {
			return speed
		}
	}
	return 0
}

// count reads one byte of BCD.
func (c *content) count(name string) {
	b := c.next(name, 1)
	if b == nil {
		return
	}
	n := octet.FromBCD(b[0])
	if n < 0 {
		c.fail("%s is %02XH, not two decimal digits", name, b[0])
		return
	}
	c.add(name, protocol.Decimal{Coefficient: int64(n)})
}

// digits reads n bytes of BCD, the lowest first, as the digits that they are.
func (c *content) digits(name string, n int) {
	b := c.next(name, n)
	if b == nil {
		return
	}
	if slices.ContainsFunc(b, octet.IsNotBCD) {
		c.fail("%s is %s, not %d decimal digits", name, hexOf(b), 2*n)
		return
	}
	c.add(name, hexOf(b))
}

// moment reads a date and time of the given picture.
func (c *content) moment(name, picture string, n int) {
	b := c.next(name, n)
	if b == nil {
		return
	}
	p, err := ParsePicture(picture)
	if err != nil {
		c.fail("%s: %w", name, err)
		return
	}
	moment, err := p.Decode(b, c.zone)
	if err != nil {
		c.fail("%s: %w", name, err)
		return
	}
	c.add(name, moment)
}

// hex reads n bytes that have no other meaning than themselves, in wire order.
func (c *content) hex(name string, n int) {
	if b := c.next(name, n); b != nil {
		c.add(name, octet.Hex(b))
	}
}

func (c *content) all() []byte {
	b := c.rest
	c.rest = nil
	return b
}

// next reads n bytes; it returns nil, and there is an error, if they are not there.
func (c *content) next(what string, n int) []byte {
	switch {
	case c.err != nil:
		return nil
	case len(c.rest) < n:
		c.fail("%s takes %d bytes, only %d are left", what, n, len(c.rest))
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *content) add(name string, data any) {
	c.Values = append(c.Values, protocol.Value{Name: name, Data: data})
}

func (c *content) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}
