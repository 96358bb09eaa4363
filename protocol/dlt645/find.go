package dlt645

import (
	"dlt645-mqtt/protocol"

	"dlt645-mqtt/protocol/octet"
)

var _ protocol.Finder = (*Meters)(nil)

// The registers that are read to find out whether a meter is there. It does not matter whether
// a meter has them: a refusal comes from an address as well.
const (
	diAddress    DI = 0x04000401 // communication address (2007)
	diEnergy1997 DI = 0x9010     // forward active energy
	diNumber1997 DI = 0xC032     // meter number
)

// longestSignal is the longest of their answers: wake-up bytes, and a frame with an identifier
// and six bytes.
const longestSignal = 8 + minimumSize + 4 + 6

// Find returns the question whether meters are there that match the pattern. Meters of both
// editions take AA above the digits that they are asked with for any digits, when they are
// read (clause 5.2.2 of DL/T 645-2007), so a question is narrowed by one pair of digits at a
// time, from the right, in a hundred ways. Only a question about all of them can be asked with
// the function "read address" (clause 7.4), which needs the address AAAAAAAAAAAA.
func (m *Meters) Find(pattern string) (protocol.Question, error) {
	address := Anyone
	if pattern != "" {
		var err error
		if address, err = ParseAddress(pattern, m.version); err != nil {
			return protocol.Question{}, badRequest("%w", err)
		}
	}
	return m.question(address, openPairs(address)), nil
}

// UsualModes returns the speeds of DL/T 645-2007, the most common first, and even parity, or none as
// some gateways have it.
func (m *Meters) UsualModes() (speeds []int, parities []string) {
	return []int{2400, 9600, 1200, 4800, 19200, 600}, []string{"even", "none"}
}

// openPairs counts the pairs of digits on the left of a that are not given.
func openPairs(a Address) int {
	for i, b := range a {
		if b != wildcard {
			return i
		}
	}
	return len(a)
}

// question asks the meters that match a pattern, of which the first levels pairs are open.
func (m *Meters) question(pattern Address, levels int) protocol.Question {
	q := protocol.Question{
		Pattern: pattern.String(),
		Levels:  levels,
		Matches: func(text string) bool {
			address, err := ParseAddress(text, m.version)
			return err == nil && pattern.Matches(address)
		},
		Narrow: func() []protocol.Question { return m.narrow(pattern, levels) },
		Odd:    func() []protocol.Question { return m.odd(pattern, levels) },
	}
	switch {
	case m.version == V1997 && pattern == Anyone:
		q.Steps = []protocol.Step{m.readSignal(pattern, diEnergy1997), m.readSignal(pattern, diNumber1997)}
	case m.version == V1997:
		q.Steps = []protocol.Step{m.readSignal(pattern, diEnergy1997)}
	case pattern == Anyone:
		q.Steps = []protocol.Step{m.addressSignal(), m.readSignal(pattern, diAddress)}
	default:
		q.Steps = []protocol.Step{m.readSignal(pattern, diAddress)}
	}
	return q
}

// narrow asks with one more pair of digits given.
func (m *Meters) narrow(pattern Address, levels int) []protocol.Question {
	return m.parts(pattern, levels, func(pair byte) bool { return !octet.IsNotBCD(pair) })
}

// odd asks with one more pair of which a digit is above 9. AAH is none: it is the open pair.
func (m *Meters) odd(pattern Address, levels int) []protocol.Question {
	return m.parts(pattern, levels, func(pair byte) bool { return octet.IsNotBCD(pair) && pair != wildcard })
}

// parts asks with one more pair given, of those that are wanted.
func (m *Meters) parts(pattern Address, levels int, wanted func(pair byte) bool) (questions []protocol.Question) {
	if levels == 0 {
		return nil
	}
	for pair := range 256 {
		part := pattern
		part[levels-1] = byte(pair)
		if !wanted(byte(pair)) || part.IsBroadcast() {
			continue // no meter has the latter address, but all of 1997 would answer to it
		}
		questions = append(questions, m.question(part, levels-1))
	}
	return questions
}

// addressSignal is the step that asks all meters of the 2007 edition for their address.
func (m *Meters) addressSignal() protocol.Step {
	return m.signal(Anyone, FunctionReadAddress, nil, addressAnswer(Anyone))
}

// readSignal is the step that asks the meters that match a pattern by reading a register.
func (m *Meters) readSignal(pattern Address, di DI) protocol.Step {
	data := di.Append(nil, m.version)
	return m.signal(pattern, m.readFunction(), data, readAnswer(pattern, m.readFunction(), m.version, data))
}

func (m *Meters) signal(pattern Address, function Function, data []byte, answer *awaited) protocol.Step {
	request := Frame{Address: pattern, Control: Control(function), Data: data}
	return protocol.Step{
		Meter: m.key(pattern), Line: lines[m.version], Class: protocol.ClassScan, Kind: protocol.KindValue, Repeatable: true,
		First: protocol.Exchange{
			Request: mustAppend(request),
			Answer:  answer.split,
			Explain: m.explainer(request, m.version),
			Take:    m.takeSignal,
			Longest: longestSignal,
		},
	}
}

// takeSignal reads from an answer who sent it. Some meters put the address that they were
// asked with into the header; their own is then in the data, if anywhere.
func (m *Meters) takeSignal(answer []byte) (*protocol.Exchange, protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return nil, protocol.Result{}, err
	}
	address := frame.Address
	if own := frame.Data[max(0, len(frame.Data)-len(address)):]; m.version == V2007 && address.IsWildcard() && len(own) == len(address) {
		address = reversedAddress(own)
	}
	_, err = ParseAddress(address.String(), m.version)
	if err != nil || address == Anyone || m.version == V2007 && address.IsWildcard() {
		return nil, protocol.Result{}, garbled("a meter answers as %s, which is no address", address)
	}
	return nil, protocol.Result{Address: m.named(address)}, nil
}
