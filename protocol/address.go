package protocol

// A MeterKey is one meter on a bus. Everything that is kept of a meter is kept under its key, so that
// meter 1 of two protocols is two meters.
type MeterKey struct {
	// Family is that of the protocol: see [Protocol].
	Family string

	// Text is the address in the one spelling that topics, payloads and logs have ("000000000001", "7").
	Text string

	// Variant is what else it takes to reach the meter, spelled like the options of a configured
	// meter ("logical=1", "type=10"); mostly empty.
	Variant string
}

// String returns the address as people know it.
func (k MeterKey) String() string { return k.Text }

// An Address is where a request goes. The zero Address is none.
type Address struct {
	MeterKey

	// Shared reports whether more than one meter may answer to it: a wildcard, or the address of
	// all meters. It serves reads only.
	Shared bool
}

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a == Address{} }
