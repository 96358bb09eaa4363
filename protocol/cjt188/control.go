package cjt188

import "fmt"

// A Control is the control code C of a frame. Bit 7 is set in answers, bit 6 in answers that
// refuse; the rest is the function.
type Control byte

// The functions of the standard. Those from 20H on are the makers' own.
const (
	ReadData     Control = 0x01
	ReadAddress  Control = 0x03
	WriteData    Control = 0x04
	ReadVersion  Control = 0x09 // of the key
	WriteAddress Control = 0x15
	WriteBase    Control = 0x16 // the reading of the mechanical register
	makersValve  Control = 0x2A // a maker's own: A017 as with WriteData
)

const (
	answerBit  Control = 0x80
	refusalBit Control = 0x40
)

// FromMeter reports whether the frame is an answer.
func (c Control) FromMeter() bool { return c&answerBit != 0 }

// Refused reports whether the frame is an answer in which the meter refuses.
func (c Control) Refused() bool { return c.FromMeter() && c&refusalBit != 0 }

// Function returns the code without the bits that tell a request from answers.
func (c Control) Function() Control { return c &^ (answerBit | refusalBit) }

// String returns the code as two hex digits.
func (c Control) String() string { return fmt.Sprintf("%02X", byte(c)) }

var functionNames = map[Control]string{
	ReadData: "read", ReadAddress: "read_address", WriteData: "write", ReadVersion: "read_key_version",
	WriteAddress: "write_address", WriteBase: "write_base_value", makersValve: "valve",
}

// Name returns what the function does, "unknown" for a maker's own.
func (c Control) Name() string {
	if name := functionNames[c.Function()]; name != "" {
		return name
	}
	return "unknown"
}

// A Type is the meter type T of a frame.
type Type byte

// AnyType asks a meter of any type.
const AnyType Type = 0xAA

// The types of table 2 of the standard.
const (
	ColdWater    Type = 0x10
	HotWater     Type = 0x11
	DrinkWater   Type = 0x12
	GreyWater    Type = 0x13
	Heat         Type = 0x20
	Cooling      Type = 0x21
	HeatAndCool  Type = 0x22
	Gas          Type = 0x30
	lastType     Type = 0x49
	familyOfType Type = 0xF0
)

// IsValid reports whether a meter can be of the type: AnyType is none.
func (t Type) IsValid() bool { return t >= ColdWater && t <= lastType && t&0x0F <= 9 }

func (t Type) isWater() bool { return t&familyOfType == ColdWater }
func (t Type) isHeat() bool  { return t&familyOfType == Heat }
func (t Type) isGas() bool   { return t&familyOfType == Gas }

// String returns the type as two hex digits.
func (t Type) String() string { return fmt.Sprintf("%02X", byte(t)) }

// Name returns what the meter measures.
func (t Type) Name() string {
	switch {
	case t == AnyType:
		return "any"
	case t == ColdWater:
		return "cold_water"
	case t == HotWater:
		return "hot_water"
	case t == DrinkWater:
		return "drinking_water"
	case t == GreyWater:
		return "reclaimed_water"
	case t.isWater():
		return "water"
	case t == Cooling:
		return "cooling"
	case t == HeatAndCool:
		return "heat_and_cooling"
	case t.isHeat():
		return "heat"
	case t.isGas():
		return "gas"
	}
	return "other"
}
