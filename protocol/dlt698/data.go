package dlt698

import "math"

// A Data is one value with its type. Numbers are in Bits; what is made of other values is in
// Items; all else is in Bytes as it travels, without length. Bytes refer to the APDU that the
// value was read from.
type Data struct {
	Tag   Tag
	Bits  uint64 // of a signed number in two's complement of 64 bits; of a bit-string, how many bits it has
	Bytes []byte
	Items []Data // of an array or a structure
}

// ParseData reads one value, and returns what is behind it. The error wraps
// [protocol.ErrGarbled].
func ParseData(b []byte) (d Data, rest []byte, err error) {
	r := cursor{b: b}
	d = r.data()
	if r.err != nil {
		return Data{}, nil, r.err
	}
	return d, r.b, nil
}

// data reads one value.
func (r *cursor) data() (d Data) {
	d.Tag = Tag(r.byte("the type of a value"))
	if r.err != nil {
		return Data{}
	}
	switch info := &tags[d.Tag]; info.shape {
	case noShape:
		r.fail("%s has a length that nobody knows", d.Tag)
	case nothing:
	case several:
		d.Items = r.items(info.name)
	case bits:
		d.Bits = uint64(r.length(info.name))
		d.Bytes = r.cut(int(d.Bits+7)/8, info.name)
	case natural:
		d.Bits = r.number(info.size, info.name)
	case whole:
		unused := 64 - 8*info.size
		d.Bits = uint64(int64(r.number(info.size, info.name)<<unused) >> unused)
	case octets:
		d.Bytes = r.octets(info.name)
	case fixed:
		d.Bytes = r.cut(info.size, info.name)
	case constructed:
		from := r.b
		r.skip(d.Tag)
		if r.err == nil {
			d.Bytes = from[: len(from)-len(r.b) : len(from)-len(r.b)]
		}
	}
	return d
}

// items reads a count and so many values. A value takes a byte at least.
func (r *cursor) items(what string) []Data {
	if r.depth++; r.depth > mostDepth {
		r.fail("values lie in each other more than %d deep", mostDepth)
		return nil
	}
	defer func() { r.depth-- }()
	n := r.count(1, "members of "+what)
	if r.err != nil {
		return nil
	}
	items := make([]Data, n)
	for i := range items {
		if items[i] = r.data(); r.err != nil {
			return nil
		}
	}
	return items
}

// skip passes over the content of a constructed type.
func (r *cursor) skip(t Tag) {
	switch t {
	case TagROAD:
		r.road()
	case Region:
		r.region()
	case TagRSD:
		r.rsd()
	case TagCSD:
		r.csd()
	case MS:
		r.meterSet()
	case SID:
		r.cut(4, "SID")
		r.octets("SID")
	case SIDMAC:
		r.cut(4, "SID")
		r.octets("SID")
		r.octets("MAC")
	case TagRCSD:
		r.rcsd()
	}
}

// Append appends the value as it travels.
func (d Data) Append(b []byte) []byte {
	b = append(b, byte(d.Tag))
	switch info := &tags[d.Tag]; info.shape {
	case several:
		b = appendLength(b, len(d.Items))
		for _, item := range d.Items {
			b = item.Append(b)
		}
	case bits:
		b = append(appendLength(b, int(d.Bits)), d.Bytes...)
	case natural, whole:
		for i := info.size - 1; i >= 0; i-- {
			b = append(b, byte(d.Bits>>(8*i)))
		}
	case octets:
		b = appendOctets(b, d.Bytes)
	case fixed, constructed:
		b = append(b, d.Bytes...)
	}
	return b
}

// Int returns the number of an integer type; ok is false if it is none, or is greater than an
// int64 can be.
func (d Data) Int() (n int64, ok bool) {
	switch d.Tag {
	case Integer, Long, DoubleLong, Long64:
		return int64(d.Bits), true
	case Unsigned, LongUnsigned, DoubleLongUnsigned, Long64Unsigned:
		return int64(d.Bits), d.Bits <= math.MaxInt64
	}
	return 0, false
}

// isUnset reports whether an unsigned number has all its bits set, which meters send for want of
// a value.
func (d Data) isUnset() bool {
	switch d.Tag {
	case LongUnsigned, DoubleLongUnsigned, Long64Unsigned:
		return d.Bits == 1<<(8*tags[d.Tag].size)-1
	}
	return false
}

// bit returns bit n of a bit-string, of which the first is 0.
func (d Data) bit(n int) bool { return d.Bytes[n/8]&(0x80>>(n%8)) != 0 }

// NumberOf returns an integer of a type; of a greater one only the low bytes count.
func NumberOf(t Tag, n int64) Data { return Data{Tag: t, Bits: uint64(n)} }

// OctetsOf returns a string of a type.
func OctetsOf(t Tag, b []byte) Data { return Data{Tag: t, Bytes: b} }

// ArrayOf returns an array.
func ArrayOf(items ...Data) Data { return Data{Tag: Array, Items: items} }

// StructureOf returns a structure.
func StructureOf(items ...Data) Data { return Data{Tag: Structure, Items: items} }

// BitsOf returns a bit-string of the n lowest bits of word; the lowest is the first.
func BitsOf(word uint64, n int) Data {
	d := Data{Tag: BitString, Bits: uint64(n), Bytes: make([]byte, (n+7)/8)}
	for i := range n {
		if word>>i&1 != 0 {
			d.Bytes[i/8] |= 0x80 >> (i % 8)
		}
	}
	return d
}

// word returns a bit-string of at most 64 bits as a number whose lowest bit is the first.
func (d Data) word() (word uint64) {
	for i := range min(int(d.Bits), 64) {
		if d.bit(i) {
			word |= 1 << i
		}
	}
	return word
}
