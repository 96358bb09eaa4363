package modbus

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// lastOfRank are the last addresses of each rank: makers deliver slaves at 1 or another low address, and few lines
// have many.
var lastOfRank = []int{16, 64, lastAddress}

// Find returns the question whether slaves are there. The protocol has no question to all slaves that
// they would answer, so that each address is asked by itself, those that are usual first.
func (m *Meters) Find(pattern string) (protocol.Question, error) {
	if pattern != "" {
		address, err := ParseAddress(pattern)
		if err != nil {
			return protocol.Question{}, badRequest("%w", err)
		}
		return m.question(address), nil
	}
	return protocol.Question{
		Levels:  2,
		Matches: func(string) bool { return true },
		Narrow: func() (ranks []protocol.Question) {
			from := firstAddress
			for rank, last := range lastOfRank {
				ranks = append(ranks, m.among(from, last, rank))
				from = last + 1
			}
			return ranks
		},
	}, nil
}

// among returns the question for slaves of these addresses, which is narrowed to one for each.
func (m *Meters) among(from, last, rank int) protocol.Question {
	return protocol.Question{
		Pattern: fmt.Sprintf("%d-%d", from, last),
		Levels:  1,
		Rank:    rank,
		Matches: func(text string) bool {
			address, err := ParseAddress(text)
			return err == nil && from <= int(address) && int(address) <= last
		},
		Narrow: func() (questions []protocol.Question) {
			for address := from; address <= last; address++ {
				questions = append(questions, m.question(byte(address)))
			}
			return questions
		},
	}
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
