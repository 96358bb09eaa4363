package modbus

import (
	"math/big"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// raw returns what the bytes of the row are as a number without sign, for marks and states.
func (w *row) raw(registers []byte) uint64 {
	if w.kind == Bool {
		return uint64(registers[0])
	}
	b := w.of(registers, w.order)
	if len(b) > 8 {
		return 0
	}
	n := new(big.Int).SetBytes(b).Uint64()
	if w.kind == Bit {
		return n >> w.bit & 1
	}
	return n
}

// isInvalid reports whether the meter says that it has no value.
func (w *row) isInvalid(registers []byte) bool {
	for _, mark := range w.invalid {
		if w.kind != Bool && len(w.of(registers, w.order)) <= 8 && w.raw(registers) == mark {
			return true
		}
	}
	return false
}

// own returns the number that the row's registers hold, scaled but not multiplied by ratios. ok is
// false if there is none. The error wraps [protocol.ErrGarbled].
func (w *row) own(registers []byte) (e exact, ok bool, err error) {
	if w.isInvalid(registers) {
		return exact{}, false, nil
	}
	e, ok, err = w.number(w.of(registers, w.order))
	if !ok || err != nil {
		return exact{}, false, err
	}
	return e.times(w.scale).plus(w.offset), true, nil
}

// decode reads the value out of the bytes of its registers (of a coil, one byte 0 or 1). factor is
// the product of its ratios. The error wraps [protocol.ErrGarbled].
func (w *row) decode(registers []byte, factor *exact) (protocol.Value, error) {
	v := protocol.Value{Name: w.item, Unit: w.unit}
	if w.isRelay() {
		if state := w.relayWord(registers); state != "" {
			v.Data = state == relayOpen
		}
		return v, nil
	}
	switch w.kind {
	case Bool, Bit:
		v.Data = w.raw(registers) != 0
		return v, nil
	case Text:
		if w.isInvalid(registers) {
			return v, nil
		}
		s, err := text(w.of(registers, w.order))
		if err != nil {
			return protocol.Value{}, err
		}
		v.Data = s
		return v, nil
	case Raw:
		v.Data = octet.Hex(w.of(registers, w.order))
		return v, nil
	}
	e, ok, err := w.own(registers)
	if !ok || err != nil {
		return v, err
	}
	if factor != nil {
		e = e.times(*factor)
	}
	d, err := e.decimal()
	if err != nil {
		return protocol.Value{}, err
	}
	v.Data = d
	return v, nil
}

// What a relay does.
const (
	relayOpen   = "open"
	relayClosed = "closed"
)

// isRelay reports whether the row is a relay, or its state: a flag that is true while it is open.
func (w *row) isRelay() bool { return w.role.name == roleRelay || w.role.name == roleRelayState }

// relayWord returns what the relay does, empty if the row is of no relay. A raw value that is neither
// of its two is none: then the state is not known.
func (w *row) relayWord(registers []byte) string {
	if !w.isRelay() {
		return ""
	}
	switch w.raw(registers) {
	case w.role.open:
		return relayOpen
	case w.role.closed:
		return relayClosed
	}
	return ""
}
