package modbus

import (
	"fmt"
	"slices"
)

const (
	// leastFrame and mostFrame bound a frame: address, function, CRC, and up to 252 bytes of data.
	leastFrame = 4
	mostFrame  = 256

	exceptionSize = 5 // of an answer that refuses
	writtenSize   = 8 // of an answer to a write: address, function, register, value or count, CRC
	readOverhead  = 5 // of an answer to a read: address, function, byte count, CRC
)

// A Function is what a frame asks for. Bit 7 is set in the answer of a slave that refuses.
type Function byte

// The functions that the package knows.
const (
	ReadCoils        Function = 0x01
	ReadDiscretes    Function = 0x02
	ReadHolding      Function = 0x03
	ReadInput        Function = 0x04
	WriteCoil        Function = 0x05
	WriteRegister    Function = 0x06
	WriteCoils       Function = 0x0F
	WriteRegisters   Function = 0x10
	refused          Function = 0x80
	coilOn           uint16   = 0xFF00
	mostRegisters             = 125
	mostBits                  = 2000
	mostWritten               = 123
	mostWrittenCoils          = 1968
)

var functionNames = map[Function]string{
	ReadCoils: "read_coils", ReadDiscretes: "read_discrete_inputs", ReadHolding: "read_holding_registers", ReadInput: "read_input_registers",
	WriteCoil: "write_coil", WriteRegister: "write_register", WriteCoils: "write_coils", WriteRegisters: "write_registers",
}

// Name returns what the function does, "unknown" for one that the package does not know.
func (f Function) Name() string {
	if name := functionNames[f&^refused]; name != "" {
		return name
	}
	return "unknown"
}

// isRead reports whether the function changes nothing in the slave.
func (f Function) isRead() bool { return f >= ReadCoils && f <= ReadInput }

// readsBits reports whether the function reads bits, and not registers.
func (f Function) readsBits() bool { return f == ReadCoils || f == ReadDiscretes }

// A Frame is one frame of Modbus RTU, in either direction.
type Frame struct {
	Address  byte
	Function Function
	Data     []byte // what stands between the function and the CRC
}

// ParseFrame reads exactly one frame: nothing may come before or follow. An error says what is
// wrong, with what came and what was expected.
func ParseFrame(b []byte) (Frame, error) {
	switch {
	case len(b) < leastFrame:
		return Frame{}, fmt.Errorf("the frame has %d bytes, a whole one has at least %d", len(b), leastFrame)
	case len(b) > mostFrame:
		return Frame{}, fmt.Errorf("the frame has %d bytes, %d are the most", len(b), mostFrame)
	}
	end := len(b) - 2
	if crc := checksum(b[:end]); b[end] != byte(crc) || b[end+1] != byte(crc>>8) {
		return Frame{}, fmt.Errorf("the CRC is %02X %02X, should be %02X %02X", b[end], b[end+1], byte(crc), byte(crc>>8))
	}
	return Frame{Address: b[0], Function: Function(b[1]), Data: slices.Clone(b[2:end])}, nil
}

// AppendBinary appends the frame as it goes on the wire. It fails if there are more than 252 bytes
// of data.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	if len(f.Data) > mostFrame-leastFrame {
		return b, fmt.Errorf("a frame holds %d bytes of data at most, not %d", mostFrame-leastFrame, len(f.Data))
	}
	from := len(b)
	b = append(b, f.Address, byte(f.Function))
	b = append(b, f.Data...)
	crc := checksum(b[from:])
	return append(b, byte(crc), byte(crc>>8)), nil
}

// mustAppend encodes a frame that is known to be short enough.
func mustAppend(f Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// crcTable has the CRC of each byte: polynomial 8005H, lowest bit first.
var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// checksum is the CRC-16 of Modbus. It travels low byte first. Clause 6.2.2 of the serial line
// specification.
func checksum(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc = crc>>8 ^ crcTable[byte(crc)^c]
	}
	return crc
}

// isSound reports whether b ends with its CRC.
func isSound(b []byte) bool {
	crc := checksum(b[:len(b)-2])
	return b[len(b)-2] == byte(crc) && b[len(b)-1] == byte(crc>>8)
}

// readRequest makes the frame that reads count coils or registers from a first one on.
func readRequest(address byte, f Function, first, count uint16) Frame {
	return Frame{address, f, []byte{byte(first >> 8), byte(first), byte(count >> 8), byte(count)}}
}

// answerBytes returns how many bytes of data the answer to a read of count coils or registers has.
func answerBytes(f Function, count int) int {
	if f.readsBits() {
		return (count + 7) / 8
	}
	return 2 * count
}
