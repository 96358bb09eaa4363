package dlt645

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"dlt645-mqtt/protocol"
)

// maximumParts bounds the follow-up frames of a record. SEQ counts from 1 to 255.
const maximumParts = 255

// A conversation reads one register to its end. It holds nothing that changes: what came
// so far lives in the exchanges, so that it can be begun anew at any time.
type conversation struct {
	meters  *Meters
	address Address
	meter   protocol.Address // the address once more
	item    Item             // only the identifier where the table lacks it
	instead bool             // a block is read in place of its members, which nobody has asked for as such
}

// first asks for the register.
func (c *conversation) first() protocol.Exchange {
	data, _ := c.meters.identifier(c.item.DI) // an identifier that cannot be asked for made no register
	return c.exchange(c.address, c.meters.readFunction(), data, 0, nil)
}

// followUp asks for one more part: function 12H with SEQ, or 02H, where the meter itself
// keeps count. Clause 7.2 of DL/T 645-2007.
func (c *conversation) followUp(address Address, seq int, sofar []byte) *protocol.Exchange {
	data := c.item.DI.Append(nil, c.meters.version)
	function := FunctionReadFollowUp1997
	if c.meters.version == V2007 {
		function = FunctionReadFollowUp
		data = append(data, byte(seq))
	}
	exchange := c.exchange(address, function, data, seq, sofar)
	return &exchange
}

// exchange asks for part seq of the register, 0 being the first; sofar is what the parts
// before it brought.
func (c *conversation) exchange(address Address, function Function, data []byte, seq int, sofar []byte) protocol.Exchange {
	answer := readAnswer(address, function, c.meters.version, data)
	answer.anySeq = true // parsePart says what is wrong with it
	request := Frame{Address: address, Control: Control(function), Data: data}
	return protocol.Exchange{
		Request: mustAppend(request),
		Answer:  answer.split,
		Vague:   refusesVaguely(c.meters.version),
		Explain: c.meters.explainer(request, c.meters.version),
		Take: func(b []byte) (*protocol.Exchange, protocol.Result, error) {
			return c.parsePart(b, seq, sofar)
		},
	}
}

// buffers hold data while they are decoded; values never refer to them.
var buffers = sync.Pool{New: func() any { return new([maximumData]byte) }}

// parsePart reads part seq of the register.
func (c *conversation) parsePart(answer []byte, seq int, sofar []byte) (*protocol.Exchange, protocol.Result, error) {
	buffer := buffers.Get().(*[maximumData]byte)
	defer buffers.Put(buffer)
	frame, err := parseFrame(answer, buffer[:])
	if err != nil {
		return nil, protocol.Result{}, garbled("%w", err)
	}
	v := c.meters.version
	result := protocol.Result{Address: c.meter}
	if frame.Address != c.address {
		result.Address = c.meters.named(frame.Address)
	}
	if frame.Control.Refused() {
		refusal := refusedBy(frame, v)
		if seq == 0 {
			return nil, result, refusal
		}
		return nil, result, c.garbled(result.Address, sofar, "part %d was announced and then not given: %v", seq, refusal)
	}
	data := frame.Data[diSize(v):]
	if seq > 0 && v == V2007 {
		last := len(data) - 1
		if data[last] != byte(seq) {
			return nil, result, c.garbled(result.Address, data, "SEQ %d came where %d was asked for", data[last], seq)
		}
		data = data[:last]
	}
	if seq > 0 || frame.Control.More() {
		data = slices.Concat(sofar, data)
	}
	if frame.Control.More() {
		switch most := c.most(); {
		case seq == maximumParts:
			return nil, result, c.garbled(result.Address, data, "it does not end, not even in %d frames", seq+1)
		case len(data) == len(sofar):
			return nil, result, c.garbled(result.Address, data, "part %d is empty, and more is announced", seq)
		case most > 0 && len(data) > most:
			return nil, result, c.garbled(result.Address, data, "%d bytes have come and more are announced, where %d are the most", len(data), most)
		}
		// The meter that began goes on, even if the first request was to a wildcard.
		return c.followUp(frame.Address, seq+1, data), result, nil
	}
	if load, ok := c.stored(); ok {
		result.Samples, err = load.samples(data, c.meters.zone)
	} else {
		result.Values, err = c.values(data)
	}
	if err != nil {
		return nil, result, c.garbled(result.Address, data, "%w", err)
	}
	result.Clock = clockOf(c.item.DI, result.Values, v)
	return nil, result, nil
}

// most is how many bytes the register has at most, and a separator behind each; 0 if that
// cannot be told. Who announces more would hold the line for nothing.
func (c *conversation) most() int {
	if c.item.Name == "" {
		return 0
	}
	return 2 * c.item.Size()
}

// mostShown bounds the bytes that an error shows.
const mostShown = 64

// garbled is the error for frames that are sound and yet no answer. It shows the data that
// came, without identifier.
func (c *conversation) garbled(from protocol.Address, data []byte, format string, args ...any) error {
	v := c.meters.version
	shown := fmt.Sprintf("% X", data[:min(len(data), mostShown)])
	switch {
	case len(data) == 0:
		shown = "none"
	case len(data) > mostShown:
		shown += fmt.Sprintf(" and %d bytes more", len(data)-mostShown)
	}
	err := fmt.Errorf(format, args...)
	if !errors.Is(err, protocol.ErrGarbled) {
		err = fmt.Errorf("%w: %w", protocol.ErrGarbled, err)
	}
	return fmt.Errorf("read %s from %s: %w; the data, first byte first: %s", c.item.DI.Format(v), from, err, shown)
}

// stored returns the codec of a load record that is read from a given time on, which is done
// for its samples.
func (c *conversation) stored() (l loadRecord, ok bool) {
	if c.item.Name != "" && byte(c.item.DI) == loadSince {
		l, ok = c.item.family.codec.(loadRecord)
	}
	return l, ok
}

// values decodes the data of the whole register.
func (c *conversation) values(data []byte) ([]protocol.Value, error) {
	if c.item.Name == "" {
		return []protocol.Value{{Name: c.item.DI.Format(c.meters.version), Data: hexOf(data)}}, nil
	}
	if c.instead && c.item.DI == diStatusBlock && c.meters.version == V2007 && !isPlainStatus(data) {
		return nil, garbled("%d bytes of status words, of which nobody knows where each begins", len(data))
	}
	return c.item.Decode(data, c.meters.zone)
}
