package modbus

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// Find returns the question whether slaves are there. The protocol has no question to all slaves that
// they would answer, so that each address is asked by itself.
func (m *Meters) Find(pattern string) (protocol.Question, error) {
	if pattern != "" {
		address, err := ParseAddress(pattern)
		if err != nil {
			return protocol.Question{}, badRequest("%w", err)
		}
		return m.question(address), nil
	}
	return protocol.Question{
		Levels:  1,
		Matches: func(string) bool { return true },
		Narrow: func() []protocol.Question {
			questions := make([]protocol.Question, 0, lastAddress)
			for address := firstAddress; address <= lastAddress; address++ {
				questions = append(questions, m.question(byte(address)))
			}
			return questions
		},
	}, nil
}

// question asks one slave for a register that every map has: its first. An exception is a sign of life
// as well.
func (m *Meters) question(address byte) protocol.Question {
	request := readRequest(address, ReadHolding, 0, 1)
	for _, w := range m.model.rows {
		if w.access.read && !w.area.ofBits() {
			request = readRequest(address, w.area.reads(), w.register, uint16(w.registers))
			break
		}
	}
	answer := answerTo(request)
	return protocol.Question{
		Pattern: fmt.Sprint(address),
		Matches: func(text string) bool { return text == fmt.Sprint(address) },
		Narrow:  func() []protocol.Question { return nil },
		Steps: []protocol.Step{{
			Meter: m.key(address), Line: &line, Class: protocol.ClassScan, Kind: protocol.KindValue, Repeatable: true,
			First: protocol.Exchange{
				Request: answer.request, Answer: answer.split, Longest: readOverhead + answer.count, Explain: explainer(answer),
				Vague: func([]byte) bool { return true },
				Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
					if _, err := ParseFrame(answer); err != nil {
						return nil, protocol.Result{}, garbled("%w", err)
					}
					return nil, protocol.Result{Address: m.named(address)}, nil
				},
			},
		}},
	}
}

// UsualModes returns the speeds and parities at which slaves are met, the most common first.
func (m *Meters) UsualModes() (speeds []int, parities []string) {
	return []int{9600, 2400, 4800, 19200, 1200}, []string{"none", "even"}
}
