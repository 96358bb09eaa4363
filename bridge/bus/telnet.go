package bus

import (
	"bytes"
	"slices"
)

// The commands and options of telnet (RFC 854, 855, 856, 858, 2217) that matter here.
const (
	telnetSE   = 240 // end of a subnegotiation
	telnetSB   = 250 // its begin
	telnetWill = 251
	telnetWont = 252
	telnetDo   = 253
	telnetDont = 254
	telnetIAC  = 255 // before each command; a byte FF of the line is sent twice

	optionBinary  = 0  // all bytes as they are
	optionGoAhead = 3  // no GA after each line
	optionComPort = 44 // the settings of the port
)

// mostSubnegotiation bounds a subnegotiation; those of RFC 2217 have a few bytes. The rest of a longer one is
// skipped.
const mostSubnegotiation = 256

// A telnet takes a stream apart into bytes of the line and commands, wherever the pieces end in which it comes.
type telnet struct {
	negotiated    func(command, option byte) // one of WILL, WONT, DO and DONT
	subnegotiated func(option byte, data []byte)

	state telnetState
	verb  byte   // of the negotiation that has begun
	sub   []byte // the subnegotiation that has begun, its option first
}

type telnetState int

const (
	inData       telnetState = iota
	afterIAC                 // of the stream
	inOption                 // after WILL, WONT, DO or DONT
	inSub                    // after SB
	afterIACOfSB             // within a subnegotiation
)

// sift returns the bytes of the line in data, which it overwrites.
func (t *telnet) sift(data []byte) []byte {
	line := data[:0]
	for _, c := range data {
		switch t.state {
		case inData:
			if c == telnetIAC {
				t.state = afterIAC
			} else {
				line = append(line, c)
			}
		case afterIAC:
			t.state = inData
			switch c {
			case telnetIAC:
				line = append(line, c)
			case telnetWill, telnetWont, telnetDo, telnetDont:
				t.state, t.verb = inOption, c
			case telnetSB:
				t.state, t.sub = inSub, t.sub[:0]
			}
		case inOption:
			t.state = inData
			t.negotiated(t.verb, c)
		case inSub:
			if c == telnetIAC {
				t.state = afterIACOfSB
			} else {
				t.keep(c)
			}
		case afterIACOfSB:
			t.state = inSub
			switch c {
			case telnetIAC:
				t.keep(c)
			case telnetSE:
				t.state = inData
				if len(t.sub) > 0 {
					t.subnegotiated(t.sub[0], slices.Clone(t.sub[1:]))
				}
			}
		}
	}
	return line
}

func (t *telnet) keep(c byte) {
	if len(t.sub) < mostSubnegotiation {
		t.sub = append(t.sub, c)
	}
}

// escaped returns bytes of the line, or of a subnegotiation, as they are sent.
func escaped(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte{telnetIAC}, []byte{telnetIAC, telnetIAC})
}

// subnegotiation returns one as it is sent.
func subnegotiation(option byte, data ...byte) []byte {
	return slices.Concat([]byte{telnetIAC, telnetSB, option}, escaped(data), []byte{telnetIAC, telnetSE})
}
