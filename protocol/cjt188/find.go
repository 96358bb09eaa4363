package cjt188

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// searchTypes are the types that are looked for singly where more than one meter answers: those of the
// standard, for each may have an answer of its own.
var searchTypes = []Type{ColdWater, HotWater, DrinkWater, GreyWater, Heat, Cooling, HeatAndCool, Gas}

// Find returns the question whether meters are there. The protocol knows no address with some digits
// open, only one of all meters, so that a question can be narrowed by the type alone: of two meters of
// one type that answer at once none is found.
func (m *Meters) Find(pattern string) (protocol.Question, error) {
	address := Anyone
	if pattern != "" {
		var err error
		if address, err = ParseAddress(pattern); err != nil {
			return protocol.Question{}, badRequest("%w", err)
		}
	}
	if address != Anyone {
		return m.questionTo(address), nil
	}
	q := protocol.Question{Pattern: Anyone.String(), Levels: 1, Matches: func(string) bool { return true }}
	// Some meters insist on their type even here.
	for _, w := range []way{{AnyType, AsWritten}, {AnyType, LowFirst}, {ColdWater, AsWritten}, {Heat, AsWritten}, {Gas, AsWritten}} {
		q.Steps = append(q.Steps, m.signal(Anyone, w, AddressData))
	}
	q.Narrow = func() []protocol.Question {
		questions := make([]protocol.Question, 0, len(searchTypes))
		for _, t := range searchTypes {
			questions = append(questions, protocol.Question{
				Pattern: Anyone.String(),
				Steps:   []protocol.Step{m.signal(Anyone, way{t, AsWritten}, AddressData), m.signal(Anyone, way{t, LowFirst}, CurrentData)},
				Alike:   fmt.Sprintf("several meters of type %s answer at once, and CJ/T 188 has no question that only one of them answers: take their addresses from their plates, and name each as ADDRESS@188?type=%s", t, t),
				// Which meters it is about is told by their types, which no address shows.
				Matches: func(string) bool { return false },
				Narrow:  func() []protocol.Question { return nil },
			})
		}
		return questions
	}
	return q, nil
}

// questionTo asks one meter.
func (m *Meters) questionTo(address Address) protocol.Question {
	q := protocol.Question{
		Pattern: address.String(),
		Matches: func(text string) bool { return text == address.String() },
		Narrow:  func() []protocol.Question { return nil },
	}
	for _, w := range []way{{m.options.of, AsWritten}, {m.options.of, LowFirst}} {
		q.Steps = append(q.Steps, m.signal(address, w, CurrentData))
	}
	return q
}

// UsualModes returns the speeds and parities at which meters are met, the most common first.
func (m *Meters) UsualModes() (speeds []int, parities []string) {
	return []int{2400, 9600, 1200, 4800}, []string{"even", "none"}
}

// longestSignal is the longest answer to such a question: wake-up bytes, and the current data of a
// meter of heat.
const longestSignal = 4 + minimumSize + 0x2E

// signal is the step that asks for a sign of life, by reading an identifier. A refusal is one as well.
func (m *Meters) signal(to Address, w way, di DI) protocol.Step {
	ser := m.ser()
	request := Frame{w.of, to, ReadData, append(di.Append(nil, w.order), ser)}
	if di == AddressData {
		request.Control = ReadAddress
	}
	answer := answerTo(request, di, ser)
	answer.anySer = true // a late answer is a sign of life as well
	return protocol.Step{
		Meter: m.key(to), Line: &line, Class: protocol.ClassScan, Kind: protocol.KindValue, Repeatable: true,
		First: protocol.Exchange{
			Request: mustAppend(request), Answer: answer.split, Explain: m.explainer(to), Longest: longestSignal,
			Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
				frame, err := parseAnswer(answer)
				if err != nil {
					return nil, protocol.Result{}, err
				}
				if !frame.Address.isOfMeter() {
					return nil, protocol.Result{}, garbled("a meter answers as %s, which is no address", frame.Address)
				}
				found := m.named(frame.Address)
				found.Variant = "type=" + frame.Type.String()
				return nil, protocol.Result{Address: found}, nil
			},
		},
	}
}
