package dlt698

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"dlt645-mqtt/protocol/octet"
)

// The bytes around a frame, and its parts. A frame is
//
//	68H L L C AF SA … CA HCS HCS DATA … FCS FCS 16H
const (
	start  = octet.Start
	end    = octet.End
	wakeUp = octet.WakeUp
	offset = 0x33 // added to every byte of scrambled data

	placeOfControl = 3
	placeOfAddress = 4 // of its flag

	// around is how many bytes a frame has besides those that L counts.
	around = 2

	// The header from L to HCS, and all around the data, beside the address.
	headerSize = 1 + 2 + 1 + 1 + 1 + 2
	emptyFrame = headerSize + 2 + 1

	mostLength = 0x3FFF // in bits 13 to 0 of L
	kilobytes  = 0x4000 // L counts thousands; no meter is known to send that
)

// A Frame is one frame of the link layer with its data in clear: the 33H that a sender may have
// added to every byte is taken off. Clause 6.2 of DL/T 698.45.
type Frame struct {
	Control Control
	Address Address // of the server, in either direction
	Client  byte    // the address of the client, which the server copies into its answer
	Data    []byte  // an APDU, or a fragment of one
}

// ParseFrame reads exactly one frame. Wake-up bytes FEH may come before it, nothing may
// follow. An error says what is wrong, with what came and what was expected. The data refer to
// b unless they are scrambled.
func ParseFrame(b []byte) (Frame, error) {
	b = octet.TrimWakeUp(b)
	if err := checkFrame(b); err != nil {
		return Frame{}, err
	}
	return frameIn(b), nil
}

// frameIn reads a frame that was checked.
func frameIn(b []byte) Frame {
	address := addressIn(b[placeOfAddress:])
	data := placeOfData(b)
	f := Frame{
		Control: Control(b[placeOfControl]), Address: address,
		Client: b[data-3], Data: b[data : len(b)-3 : len(b)-3],
	}
	if f.Control.Scrambled() {
		f.Data = bytes.Clone(f.Data)
		for i := range f.Data {
			f.Data[i] -= offset
		}
	}
	return f
}

// placeOfData returns where the data of a frame begin.
func placeOfData(b []byte) int { return headerSize + sizeOfAddress(b[placeOfAddress]) }

// AppendBinary appends the frame as it goes on the wire, without wake-up bytes, scrambled where
// Control says so. It fails if the data are too long for L.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	length := emptyFrame - around + int(f.Address.size) + len(f.Data)
	if length > mostLength {
		return b, fmt.Errorf("a frame of %d bytes is too long: %d are the most", length+around, mostLength+around)
	}
	from := len(b)
	b = slices.Grow(b, length+around)
	b = append(b, start, byte(length), byte(length>>8), byte(f.Control))
	b = append(f.Address.append(b), f.Client)
	b = appendChecksum(b, b[from+1:])
	data := len(b)
	b = append(b, f.Data...)
	if f.Control.Scrambled() {
		for i := data; i < len(b); i++ {
			b[i] += offset
		}
	}
	b = appendChecksum(b, b[from+1:])
	return append(b, end), nil
}

func appendChecksum(b, over []byte) []byte {
	sum := checksum(over)
	return append(b, byte(sum), byte(sum>>8))
}

// mustAppend encodes a frame that is known to be short enough.
func mustAppend(f Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// checkFrame says what keeps b from being one frame.
func checkFrame(b []byte) error {
	switch {
	case len(b) == 0:
		return errors.New("there is no frame: nothing came but wake-up bytes")
	case b[0] != start:
		return fmt.Errorf("the frame begins with %02XH, should be 68H", b[0])
	case len(b) < emptyFrame+1:
		return fmt.Errorf("the frame has %d bytes, a whole one has at least %d", len(b), emptyFrame+1)
	}
	length := int(b[1]) | int(b[2])<<8
	size := length&mostLength + around
	least := emptyFrame + sizeOfAddress(b[placeOfAddress])
	switch {
	case length&kilobytes != 0:
		return fmt.Errorf("length %04XH counts thousands of bytes, which no meter is known to send", length)
	case size < least:
		return fmt.Errorf("length %04XH asks for %d bytes in all, but with an address of %d a frame has at least %d", length, size, sizeOfAddress(b[placeOfAddress]), least)
	case len(b) < size:
		return fmt.Errorf("the frame is cut short or its length is wrong: length %04XH asks for %d bytes in all, %d came", length, size, len(b))
	case len(b) > size:
		return fmt.Errorf("length %04XH asks for %d bytes in all, %d came: the length is wrong, or something follows the frame", length, size, len(b))
	}
	header, frame := b[1:placeOfData(b)], b[1:size-1]
	switch {
	case !isChecked(header):
		return fmt.Errorf("the checksum of the header is %s, should be %s", sentSum(header), dueSum(header))
	case !isChecked(frame):
		return fmt.Errorf("the checksum of the frame is %s, should be %s", sentSum(frame), dueSum(frame))
	case b[size-1] != end:
		return fmt.Errorf("the end byte is %02XH, should be 16H", b[size-1])
	}
	return nil
}

// sentSum is the checksum at the end of b as sent, low byte first.
func sentSum(b []byte) string { return fmt.Sprintf("% X", b[len(b)-2:]) }

// dueSum is the checksum that should be there.
func dueSum(b []byte) string { return fmt.Sprintf("% X", appendChecksum(nil, b[:len(b)-2])) }
