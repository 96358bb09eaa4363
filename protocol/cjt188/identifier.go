package cjt188

import (
	"fmt"
	"strconv"
)

// A DI identifies data: two bytes, 901FH for the current data.
type DI uint16

// The identifiers that have a place in the code.
const (
	CurrentData DI = 0x901F
	BothData    DI = 0x911F // heat and cooling (2018)
	ClockData   DI = 0x907F // the clock alone (2018)
	AddressData DI = 0x810A
	Prices      DI = 0x8102
	SettleDay   DI = 0x8103
	ReadingDay  DI = 0x8104
	Purchase    DI = 0x8105
	KeyVersion  DI = 0x8106

	WritePrices     DI = 0xA010
	WriteSettleDay  DI = 0xA011
	WriteReadingDay DI = 0xA012
	WritePurchase   DI = 0xA013
	WriteKey        DI = 0xA014
	WriteClock      DI = 0xA015
	WriteBaseValue  DI = 0xA016
	Valve           DI = 0xA017
	WriteAddressDI  DI = 0xA018
	LeaveFactory    DI = 0xA019
	WriteKey2018    DI = 0xA107
)

// settlements is how many months of settlement values a meter keeps: D120 to D12B.
const settlements = 12

// settlement returns how many months back the settlement value di is, 1 for the latest; 0 if it
// is none.
func (di DI) settlement() int {
	if di < 0xD120 || di >= 0xD120+settlements {
		return 0
	}
	return int(di-0xD120) + 1
}

// String returns the identifier as four hex digits, as the standard writes it.
func (di DI) String() string { return fmt.Sprintf("%04X", uint16(di)) }

// ParseDI reads an identifier of four hex digits.
func ParseDI(text string) (DI, error) {
	n, err := strconv.ParseUint(text, 16, 16)
	if err != nil || len(text) != 4 {
		return 0, fmt.Errorf("%q is no identifier of four hex digits, such as 901F", text)
	}
	return DI(n), nil
}

// An Order is the order in which the two bytes of an identifier travel. Meters of 2004 send them
// as they are written; by the edition of 2018 the low one goes first. In the field both are found
// in either edition, and in the answers to one meter's requests.
type Order uint8

// The orders.
const (
	AsWritten Order = iota // 90 1F
	LowFirst               // 1F 90
)

// Append appends the identifier.
func (di DI) Append(b []byte, order Order) []byte {
	if order == LowFirst {
		return append(b, byte(di), byte(di>>8))
	}
	return append(b, byte(di>>8), byte(di))
}

// is reports whether two bytes are the identifier, in either order.
func (di DI) is(b []byte) bool {
	hi, lo := byte(di>>8), byte(di)
	return b[0] == hi && b[1] == lo || b[0] == lo && b[1] == hi
}

// IdentifierIn returns the identifier at the beginning of data, which are two bytes at least. Each begins
// with a byte of 80H or more; where both bytes do, or neither, they are taken as written.
func IdentifierIn(data []byte) (DI, Order) {
	if data[0] < 0x80 && data[1] >= 0x80 {
		return DI(data[1])<<8 | DI(data[0]), LowFirst
	}
	return DI(data[0])<<8 | DI(data[1]), AsWritten
}
