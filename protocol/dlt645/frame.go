package dlt645

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"dlt645-mqtt/protocol/octet"
)

// The bytes around a frame, and its sizes. A frame is
//
//	68H A0 … A5 68H C L DATA CS 16H
const (
	start  = octet.Start
	end    = octet.End
	wakeUp = octet.WakeUp
	offset = 0x33 // added to every byte of DATA by the sender

	headerSize  = 10             // up to and with L
	minimumSize = headerSize + 2 // a frame without data
	maximumData = 255            // what L can say; the standard allows 200 in a reply to a read
)

// A Frame is one frame of the protocol with its data in clear: the 33H that the sender
// adds to every byte of data is taken off. Clause 5.2 of DL/T 645-2007.
type Frame struct {
	Address Address
	Control Control
	Data    []byte // in wire order, at most 255 bytes
}

// ParseFrame reads exactly one frame. Wake-up bytes FEH may come before it, nothing may
// follow. An error says what is wrong, with what came and what was expected.
func ParseFrame(b []byte) (Frame, error) { return parseFrame(b, nil) }

// parseFrame reads a frame and puts its data into buffer, if they fit.
func parseFrame(b, buffer []byte) (Frame, error) {
	b = octet.TrimWakeUp(b)
	if err := checkFrame(b); err != nil {
		return Frame{}, err
	}
	f := Frame{Address: addressIn(b), Control: Control(b[8])}
	f.Data = slices.Grow(buffer[:0], int(b[9]))[:b[9]]
	for i, c := range b[headerSize : len(b)-2] {
		f.Data[i] = c - offset
	}
	return f, nil
}

// AppendBinary appends the frame as it goes on the wire, without wake-up bytes. It fails
// if there are more than 255 bytes of data.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	if len(f.Data) > maximumData {
		return b, fmt.Errorf("a frame holds %d bytes of data at most, not %d", maximumData, len(f.Data))
	}
	from := len(b)
	b = slices.Grow(b, minimumSize+len(f.Data))
	b = append(b, start)
	b = append(b, f.Address.reversed()...)
	b = append(b, start, byte(f.Control), byte(len(f.Data)))
	for _, c := range f.Data {
		b = append(b, c+offset)
	}
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
	case b[7] != start:
		return fmt.Errorf("the byte after the address is %02XH, should be 68H", b[7])
	}
	size := int(b[9]) + minimumSize
	if len(b) != size {
		if bytes.IndexByte(b, end) < 0 || len(b) < size {
			return fmt.Errorf("the frame is cut short or its length is wrong: length byte %02XH asks for %d bytes in all, %d came", b[9], size, len(b))
		}
		return fmt.Errorf("length byte %02XH asks for %d bytes in all, %d came: the length is wrong, or something follows the frame", b[9], size, len(b))
	}
	if b[size-1] != end {
		return fmt.Errorf("the end byte is %02XH, should be 16H", b[size-1])
	}
	if sum := octet.Sum(b[:size-2]); b[size-2] != sum {
		return fmt.Errorf("the checksum is %02XH, should be %02XH", b[size-2], sum)
	}
	return nil
}

// addressIn returns the address in the header of a frame.
func addressIn(b []byte) Address { return reversedAddress(b[1:]) }

// parseAnswer reads an answer that was cut out of a stream. The error wraps
// [protocol.ErrGarbled].
func parseAnswer(answer []byte) (Frame, error) {
	frame, err := ParseFrame(answer)
	if err != nil {
		return Frame{}, garbled("%w", err)
	}
	return frame, nil
}

// mustAppend encodes a frame that is known to be short enough.
func mustAppend(f Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}
