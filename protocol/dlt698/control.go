package dlt698

import "fmt"

// A Control is the control byte of a frame. Clause 6.2.3 of DL/T 698.45.
type Control byte

// The bits of a control byte.
const (
	fromServer Control = 0x80 // DIR: from the meter
	byClient   Control = 0x40 // PRM: the client began
	fragmented Control = 0x20 // the link user data begin with the header of a fragment
	scrambled  Control = 0x08 // 33H is added to every byte of the link user data
	function   Control = 0x07
)

// The functions.
const (
	functionLink Control = 1 // of terminals, to keep their link alive
	functionData Control = 3
)

// Requests and answers of a client and a server.
const (
	request = byClient | functionData
	answer  = fromServer | request
)

// FromServer reports whether the frame comes from a meter.
func (c Control) FromServer() bool { return c&fromServer != 0 }

// Fragmented reports whether the frame carries a fragment of an APDU.
func (c Control) Fragmented() bool { return c&fragmented != 0 }

// Scrambled reports whether 33H is added to every byte of the link user data.
func (c Control) Scrambled() bool { return c&scrambled != 0 }

// String returns the byte as two hex digits.
func (c Control) String() string { return fmt.Sprintf("%02X", byte(c)) }
