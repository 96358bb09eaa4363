package cjt188

import (
	"errors"
	"fmt"
	"slices"

	"dlt645-mqtt/protocol/octet"
)

// The bytes around a frame, and its sizes. A frame is
//
//	68H T A0 … A6 C L DATA CS 16H
const (
	start  = octet.Start
	end    = octet.End
	wakeUp = octet.WakeUp

	headerSize  = 11             // up to and with L
	minimumSize = headerSize + 2 // a frame without data
	maximumData = 255            // what L can say; the standard allows 100 in the answer to a read
)

// A Frame is one frame of the protocol. Clause 5 of CJ/T 188-2004.
type Frame struct {
	Type    Type
	Address Address
	Control Control
	Data    []byte // as sent: identifier, SER and what follows; at most 255 bytes
}

// ParseFrame reads exactly one frame. Wake-up bytes FEH may come before it, nothing may follow.
// An error says what is wrong, with what came and what was expected.
func ParseFrame(b []byte) (Frame, error) {
	b = octet.TrimWakeUp(b)
	if err := checkFrame(b); err != nil {
		return Frame{}, err
	}
	return Frame{
		Type: Type(b[1]), Address: reversedAddress(b[2:]), Control: Control(b[9]),
		Data: slices.Clone(b[headerSize : len(b)-2]),
	}, nil
}

// AppendBinary appends the frame as it goes on the wire, without wake-up bytes. It fails if
// there are more than 255 bytes of data.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	if len(f.Data) > maximumData {
		return b, fmt.Errorf("a frame holds %d bytes of data at most, not %d", maximumData, len(f.Data))
	}
	from := len(b)
	b = append(b, start, byte(f.Type))
	b = append(b, f.Address.reversed()...)
	b = append(b, byte(f.Control), byte(len(f.Data)))
	b = append(b, f.Data...)
	return append(b, octet.Sum(b[from:]), end), nil
}

// checkFrame says what keeps b from being one frame.
func checkFrame(b []byte) error {
	switch {
	case len(b) == 0:
		return errors.New("there is no frame: nothing came but wake-up bytes")
	case b[0] != start:
		return fmt.Errorf("the frame begins with %02XH, should be 68H", b[0])
	case len(b) < minimumSize:
		return fmt.Errorf("the frame has %d bytes, a whole one has at least %d", len(b), minimumSize)
	}
	size := int(b[10]) + minimumSize
	switch sum := octet.Sum(b[:min(size, len(b))-2]); {
	case len(b) < size:
		return fmt.Errorf("the frame is cut short or its length is wrong: length byte %02XH asks for %d bytes in all, %d came", b[10], size, len(b))
	case len(b) > size:
		return fmt.Errorf("length byte %02XH asks for %d bytes in all, %d came: the length is wrong, or something follows the frame", b[10], size, len(b))
	case b[size-1] != end:
		return fmt.Errorf("the end byte is %02XH, should be 16H", b[size-1])
	case b[size-2] != sum:
		return fmt.Errorf("the checksum is %02XH, should be %02XH", b[size-2], sum)
	}
	return nil
}

// isComplete reports whether b, which is as long as its length byte says, ends as a frame does.
func isComplete(b []byte) bool {
	return b[len(b)-1] == end && b[len(b)-2] == octet.Sum(b[:len(b)-2])
}

// mustAppend encodes a frame that is known to be short enough.
func mustAppend(f Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// parseAnswer reads an answer that was cut out of a stream. The error wraps [protocol.ErrGarbled].
func parseAnswer(answer []byte) (Frame, error) {
	frame, err := ParseFrame(answer)
	if err != nil {
		return Frame{}, garbled("%w", err)
	}
	return frame, nil
}
