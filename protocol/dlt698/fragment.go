package dlt698

// A FragmentKind is the place of a fragment in its APDU.
type FragmentKind uint8

// The kinds, as in bits 15 and 14 of the header.
const (
	FirstFragment  FragmentKind = 0
	LastFragment   FragmentKind = 1
	Acknowledgment FragmentKind = 2 // of the fragment of this number; it carries nothing
	MiddleFragment FragmentKind = 3
)

// String returns the kind in a word.
func (k FragmentKind) String() string {
	return [...]string{"first", "last", "acknowledgement", "middle"}[k&3]
}

const (
	fragmentHeader = 2
	fragmentNumber = 0xFFF
)

// A Fragment is a part of an APDU that is too long for one frame, or the acknowledgement of one:
// the link user data of a frame with the bit for it. Clause 6.3 of DL/T 698.45.
type Fragment struct {
	Kind   FragmentKind
	Number int // from 0
	Data   []byte
}

// ParseFragment reads the link user data of a frame. The error wraps [protocol.ErrGarbled].
func ParseFragment(b []byte) (Fragment, error) {
	if len(b) < fragmentHeader {
		return Fragment{}, garbled("a fragment has %d bytes, its header alone takes %d", len(b), fragmentHeader)
	}
	header := int(b[0]) | int(b[1])<<8
	return Fragment{Kind: FragmentKind(header >> 14), Number: header & fragmentNumber, Data: b[fragmentHeader:]}, nil
}

// Append appends the fragment as it travels.
func (f Fragment) Append(b []byte) []byte {
	header := int(f.Kind)<<14 | f.Number&fragmentNumber
	return append(append(b, byte(header), byte(header>>8)), f.Data...)
}
