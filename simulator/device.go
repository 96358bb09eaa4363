package simulator

import (
	"bufio"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

// A Device is a meter of any protocol on a [Bus].
type Device interface {
	// Address returns the device's address as its protocol spells it.
	Address() string

	// Protocol returns the name of the protocol that the device speaks, as in a configuration.
	Protocol() string

	// SwitchOff takes the device off the line until a time.
	SwitchOff(until time.Time)

	// language returns the frames that the device understands.
	language() *language

	// listensAt returns the mode at which it hears and speaks; zero: that of the line.
	listensAt() protocol.Mode

	// hears reports whether a frame is for the device. More than one may be meant.
	hears(frame []byte) bool

	// hear lets the device hear a frame that is for it, and returns its answer; nil: it says nothing.
	hear(frame []byte, at time.Time) []byte
}

// A language is what devices of one family of protocols have in common on the line. They are told
// apart by its pointer.
type language struct {
	scan   bufio.SplitFunc // cuts every sound frame out of a stream
	wakeUp bool            // bytes FEH come before an answer

	// isBroadcast reports whether a frame is for all devices at once.
	isBroadcast func(frame []byte) bool

	// foreign makes an answer that of a neighbour, other that of another item; it may be left as it is.
	foreign, other func(answer []byte) []byte
}

// dlt645Language is that of both editions of DL/T 645.
var dlt645Language = &language{
	scan:   dlt645.SplitFrame,
	wakeUp: true,
	isBroadcast: func(frame []byte) bool {
		f, err := dlt645.ParseFrame(frame)
		return err == nil && f.Address.IsBroadcast()
	},
	foreign: changed645(func(f *dlt645.Frame) {
		low := &f.Address[len(f.Address)-1]
		digits, _ := fromBCD(*low)
		*low = bcd((digits + 1) % 100)
	}),
	other: changed645(func(f *dlt645.Frame) {
		if len(f.Data) > 4 && f.Control.Function() != dlt645.FunctionReadAddress {
			f.Data[1]++ // DI1: the next phase or tariff
		}
	}),
}

// changed645 returns what changes a frame, whose checksum then is right again.
func changed645(change func(f *dlt645.Frame)) func([]byte) []byte {
	return func(b []byte) []byte {
		f, err := dlt645.ParseFrame(b)
		if err != nil {
			return b
		}
		change(&f)
		return encoded645(f)
	}
}

func encoded645(f dlt645.Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err) // a meter keeps to 200 bytes
	}
	return b
}

// Protocol returns the name of the edition that the meter speaks.
func (m *Meter) Protocol() string { return m.version.String() }

func (m *Meter) language() *language { return dlt645Language }

func (m *Meter) listensAt() protocol.Mode { return m.mode }

func (m *Meter) hears(frame []byte) bool {
	f, err := dlt645.ParseFrame(frame)
	return err == nil && (f.Address.IsBroadcast() || m.isMeant(f.Address))
}

func (m *Meter) hear(frame []byte, at time.Time) []byte {
	f, err := dlt645.ParseFrame(frame)
	if err != nil {
		return nil
	}
	answer, ok := m.Answer(f, at)
	if !ok {
		return nil
	}
	return encoded645(answer)
}

// languages returns those of the devices, each once.
func languages(devices []Device) (of []*language) {
	for _, d := range devices {
		if !slices.Contains(of, d.language()) {
			of = append(of, d.language())
		}
	}
	return of
}
