package dlt698

import "fmt"

// A Tag is the type of a [Data], as it travels before its content. Clause 7.3 of DL/T 698.45.
type Tag byte

// The tags.
const (
	Null               Tag = 0
	Array              Tag = 1
	Structure          Tag = 2
	Bool               Tag = 3
	BitString          Tag = 4 // its length counts bits; the first is the highest of the first byte
	DoubleLong         Tag = 5 // 32 bits, signed
	DoubleLongUnsigned Tag = 6
	OctetString        Tag = 9
	VisibleString      Tag = 10
	UTF8String         Tag = 12
	Integer            Tag = 15 // 8 bits, signed
	Long               Tag = 16 // 16 bits, signed
	Unsigned           Tag = 17 // 8 bits
	LongUnsigned       Tag = 18 // 16 bits
	Long64             Tag = 20
	Long64Unsigned     Tag = 21
	Enum               Tag = 22
	Float32            Tag = 23
	Float64            Tag = 24
	DateTime           Tag = 25 // year (two bytes), month, day, weekday, hour, minute, second, milliseconds (two)
	Date               Tag = 26 // year (two bytes), month, day, weekday
	TimeOfDay          Tag = 27 // hour, minute, second
	DateTimeS          Tag = 28 // year (two bytes), month, day, hour, minute, second; all binary
	TagOI              Tag = 80
	TagOAD             Tag = 81
	TagROAD            Tag = 82
	TagOMD             Tag = 83
	TI                 Tag = 84 // a span of time: its unit, and how many (two bytes)
	TSA                Tag = 85 // an address of a server
	MAC                Tag = 86
	RN                 Tag = 87
	Region             Tag = 88
	ScalerUnit         Tag = 89
	TagRSD             Tag = 90
	TagCSD             Tag = 91
	MS                 Tag = 92
	SID                Tag = 93
	SIDMAC             Tag = 94
	COMDCB             Tag = 95
	TagRCSD            Tag = 96
)

// A shape is how the content of a type is laid out.
type shape uint8

const (
	noShape     shape = iota // a type that is reserved, and whose length nobody knows
	nothing                  // no content
	several                  // a count, and so many Data
	bits                     // a count of bits, and the bytes that hold them
	natural                  // a number without a sign, of a fixed size
	whole                    // one with a sign
	octets                   // a length, and so many bytes
	fixed                    // bytes of a fixed number
	constructed              // several parts without tags; see [cursor.skip]
)

// A tagInfo is what is known of a type.
type tagInfo struct {
	name  string
	shape shape
	size  int // of natural, whole and fixed: bytes
}

var tags = [256]tagInfo{
	Null:               {"null", nothing, 0},
	Array:              {"array", several, 0},
	Structure:          {"structure", several, 0},
	Bool:               {"bool", natural, 1},
	BitString:          {"bit-string", bits, 0},
	DoubleLong:         {"double-long", whole, 4},
	DoubleLongUnsigned: {"double-long-unsigned", natural, 4},
	OctetString:        {"octet-string", octets, 0},
	VisibleString:      {"visible-string", octets, 0},
	UTF8String:         {"UTF8-string", octets, 0},
	Integer:            {"integer", whole, 1},
	Long:               {"long", whole, 2},
	Unsigned:           {"unsigned", natural, 1},
	LongUnsigned:       {"long-unsigned", natural, 2},
	Long64:             {"long64", whole, 8},
	Long64Unsigned:     {"long64-unsigned", natural, 8},
	Enum:               {"enum", natural, 1},
	Float32:            {"float32", natural, 4},
	Float64:            {"float64", natural, 8},
	DateTime:           {"date_time", fixed, 10},
	Date:               {"date", fixed, 5},
	TimeOfDay:          {"time", fixed, 3},
	DateTimeS:          {"date_time_s", fixed, 7},
	TagOI:              {"OI", natural, 2},
	TagOAD:             {"OAD", natural, 4},
	TagROAD:            {"ROAD", constructed, 0},
	TagOMD:             {"OMD", natural, 4},
	TI:                 {"TI", fixed, 3},
	TSA:                {"TSA", octets, 0},
	MAC:                {"MAC", octets, 0},
	RN:                 {"RN", octets, 0},
	Region:             {"Region", constructed, 0},
	ScalerUnit:         {"Scaler_Unit", fixed, 2},
	TagRSD:             {"RSD", constructed, 0},
	TagCSD:             {"CSD", constructed, 0},
	MS:                 {"MS", constructed, 0},
	SID:                {"SID", constructed, 0},
	SIDMAC:             {"SID_MAC", constructed, 0},
	COMDCB:             {"COMDCB", fixed, 5},
	TagRCSD:            {"RCSD", constructed, 0},
}

// String returns the name of the type as the standard has it.
func (t Tag) String() string {
	if name := tags[t].name; name != "" {
		return name
	}
	return fmt.Sprintf("reserved type %d", byte(t))
}

// parseTag returns the type of a name.
func parseTag(name string) (Tag, bool) {
	for t := range tags {
		if tags[t].name == name && name != "" {
			return Tag(t), true
		}
	}
	return 0, false
}
