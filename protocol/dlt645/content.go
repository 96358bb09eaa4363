package dlt645

import (
	"cmp"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A content reads the data of a frame into a description, field by field in wire order.
// After the first error nothing more is read.
type content struct {
	*Description
	rest  []byte // not yet read
	zone  *time.Location
	items *Dictionary
	err   error
}

// diAuthentication is the identifier under which meter and master prove who they are.
const diAuthentication DI = 0x070000FF

// request reads what the master sends.
func (c *content) request() {
	if c.Version == V1997 {
		c.request1997()
		return
	}
	switch c.function {
	case FunctionAuthenticate:
		di := c.di()
		c.operatorCode()
		if di == diAuthentication && len(c.rest) == 24 {
			c.hex("ciphertext", 8)
			c.hex("random_number", 8)
			c.hex("diversification_factor", 8)
		}
	case FunctionReportAnswer:
		c.di()
	case FunctionBroadcastTime:
		c.moment("time", "YYMMDDhhmmss", 6)
	case FunctionRead:
		c.di()
		switch len(c.rest) {
		case 1:
			c.count("block_count")
		case 6:
			c.count("block_count")
			c.moment("from", "YYMMDDhhmm", 5)
		}
	case FunctionReadFollowUp:
		c.di()
		c.seq()
	case FunctionWrite:
		di := c.di()
		level := c.password("")
		c.operatorCode()
		c.written(di, level)
	case FunctionWriteAddress:
		c.address("new_address")
	case FunctionFreeze:
		c.digits("at", 4)
	case FunctionSetBaud:
		c.baud()
	case FunctionSetPassword:
		c.di()
		c.password("")
		c.password("new_")
	case FunctionClearDemand, FunctionClearMeter:
		c.password("")
		c.operatorCode()
	case FunctionClearEvents:
		c.password("")
		c.operatorCode()
		if b := c.next("the identifier of the events", diSize(V2007)); b != nil {
			c.add("event", diOf(b, V2007).Format(V2007))
		}
	case FunctionRelay:
		c.password("")
		c.operatorCode()
		c.relay()
	case FunctionOutput:
		c.signal()
	}
}

func (c *content) request1997() {
	switch c.function {
	case FunctionRead1997:
		c.di()
	case FunctionReadFollowUp1997, FunctionReadAgain1997:
		if len(c.rest) > 0 {
			c.di()
		}
	case FunctionWrite1997:
		di := c.di()
		c.password("")
		c.item(di, c.all())
	case FunctionBroadcastTime:
		c.moment("time", "YYMMDDhhmmss", 6)
	case FunctionWriteAddress1997:
		c.address("new_address")
	case FunctionSetBaud1997:
		c.baud()
	case FunctionSetPassword1997:
		c.password("")
		c.password("new_")
	case FunctionClearDemand1997:
		c.password("")
	}
}

// answer reads what a meter sends in answer, if it is no refusal.
func (c *content) answer() {
	if c.Version == V1997 {
		c.answer1997()
		return
	}
	switch c.function {
	case FunctionAuthenticate:
		if di := c.di(); di == diAuthentication && len(c.rest) == 12 {
			c.hex("random_number", 4)
			c.hex("esam_serial", 8)
		}
	case FunctionRead:
		c.value()
	case FunctionReadFollowUp:
		c.di()
		if n := len(c.rest) - 1; n > 0 {
			c.hex("data", n)
		}
		c.seq()
	case FunctionReadAddress:
		c.address("address")
	case FunctionSetBaud, FunctionSetPassword, FunctionOutput:
		c.repeated()
	}
}

// repeated reads what a meter repeats of a command to acknowledge it. Some meters repeat nothing,
// or something else: it is an acknowledgement all the same.
func (c *content) repeated() {
	switch c.function {
	case FunctionSetBaud, FunctionSetBaud1997:
		if len(c.rest) == 1 && speedOf(c.rest[0]) != 0 {
			c.baud()
		}
	case FunctionOutput:
		if len(c.rest) > 0 {
			c.signal()
		}
	default:
		if len(c.rest) >= 4 {
			c.password("new_")
		}
	}
}

func (c *content) answer1997() {
	switch c.function {
	case FunctionRead1997, FunctionReadAgain1997:
		c.value()
	case FunctionReadFollowUp1997:
		c.di()
	case FunctionSetBaud1997, FunctionSetPassword1997:
		c.repeated()
	}
}

// refusal reads an error answer.
func (c *content) refusal() {
	if len(c.rest) == 0 {
		c.fail("an error answer says why in 1 byte of data at least, this one has 0")
		return
	}
	di, word := splitRefusal(c.function, c.Version, c.rest)
	if di != nil {
		c.DI = diOf(di, c.Version).Format(c.Version)
	}
	var err error
	if c.Refusal, err = refusalOf(c.function, c.Version, c.rest); err != nil {
		c.fail("%w", err)
	}
	if word == nil {
		c.add("data", octet.Hex(c.rest))
	}
	c.rest = nil
}

// value reads an identifier and the value behind it. The first part of a record that comes
// in several is left as it is: only the whole can be read.
func (c *content) value() {
	if di := c.di(); !c.Control.More() {
		c.item(di, c.all())
	}
}

// written reads what is written to an item. At level 98 it is ciphertext, at 98 and 99 a
// message authentication code of four bytes follows.
func (c *content) written(di DI, level byte) {
	if level != 0x98 && level != 0x99 {
		c.item(di, c.all())
		return
	}
	n := len(c.rest) - 4
	if n < 0 {
		c.fail("a write at level %02X ends with a MAC of 4 bytes, only %d bytes are left for it", level, len(c.rest))
		return
	}
	if level == 0x98 {
		c.hex("ciphertext", n)
	} else {
		c.item(di, c.next("the value", n))
	}
	c.hex("mac", 4)
}

// relay reads the command behind password and operator code: N1, N2 and the deadline, or
// their ciphertext.
func (c *content) relay() {
	if len(c.rest) != 8 {
		c.hex("ciphertext", len(c.rest))
		return
	}
	n := c.next("the command", 2)
	if n == nil {
		return
	}
	action := relayWord(n[0])
	c.word("action", action, n[0])
	if action == tripReclose {
		// N2 counts units of five minutes.
		c.Values = append(c.Values, protocol.Value{Name: "reclose_after", Unit: "min", Data: protocol.Decimal{Coefficient: int64(n[1]) * 5}})
	}
	c.moment("deadline", "YYMMDDhhmmss", 6)
}

func (c *content) signal() {
	b := c.next("the signal", 1)
	if b == nil {
		return
	}
	word := ""
	if int(b[0]) < len(outputSignals) {
		word = outputSignals[b[0]]
	}
	c.word("signal", word, b[0])
}

// word adds a code by its word, or as hex if there is none for it.
func (c *content) word(name, word string, code byte) {
	c.add(name, cmp.Or(word, fmt.Sprintf("%02X", code)))
}

// item decodes the value of an item.
func (c *content) item(di DI, data []byte) {
	if c.err != nil {
		return
	}
	item, ok := c.items.Lookup(di)
	if !ok {
		if len(data) > 0 {
			c.add(c.DI, hexOf(data))
		}
		return
	}
	values, err := item.Decode(data, c.zone)
	if err != nil {
		c.fail("%s: %w", c.DI, err)
		return
	}
	c.Values = append(c.Values, values...)
}
