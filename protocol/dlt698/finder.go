package dlt698

import "dlt645-mqtt/protocol"

// longestSignal is the longest answer to the question for an address: wake-up bytes, and a frame with
// an address twice, and a report that may follow it.
const longestSignal = 128

// Find returns the question whether meters are there that match the pattern. Every meter gives its
// address to everybody, and A in an address stands for any digit, so a question is narrowed by one digit
// at a time, from the right, in ten ways. Only meters with an address of the pattern's length answer; that
// is twelve digits for all but a few.
func (m Meters) Find(pattern string) (protocol.Question, error) {
	address := Anyone
	if pattern != "" {
		var err error
		if address, err = ParseAddress(pattern); err != nil {
			return protocol.Question{}, badRequest("%w", err)
		}
	}
	address.Logical = m.logical
	return m.question(address), nil
}

// UsualModes returns how lines with meters are set.
func (m Meters) UsualModes() (speeds []int, parities []string) {
	return []int{9600, 2400, 4800, 19200, 115200, 1200}, []string{"even", "none"}
}

// wildDigits counts the digits that are not given.
func (a *Address) wildDigits() (n int) {
	for _, b := range a.bytes() {
		if b>>4 == wildDigit {
			n++
		}
		if b&0xF == wildDigit {
			n++
		}
	}
	return n
}

// question asks the meters that match a pattern.
func (m Meters) question(pattern Address) protocol.Question {
	return protocol.Question{
		Pattern: pattern.String(),
		Levels:  pattern.wildDigits(),
		Matches: func(text string) bool {
			address, err := ParseAddress(text)
			address.Logical = pattern.Logical
			return err == nil && pattern.Matches(address)
		},
		Narrow: func() []protocol.Question { return m.narrow(pattern) },
		Steps:  []protocol.Step{m.signal(pattern)},
	}
}

// narrow asks with one more digit given, the last of those that are not.
func (m Meters) narrow(pattern Address) (questions []protocol.Question) {
	for at := 2*int(pattern.size) - 1; at >= 0; at-- {
		shift := 4 * (1 - at%2)
		if pattern.number[at/2]>>shift&0xF != wildDigit {
			continue
		}
		for digit := range byte(10) {
			part := pattern
			part.number[at/2] = part.number[at/2]&^(0xF<<shift) | digit<<shift
			if part.wildDigits() == 0 {
				part.Kind = Single
			}
			questions = append(questions, m.question(part))
		}
		return questions
	}
	return nil
}

// signal is the step that asks the meters that match a pattern for their address.
func (m Meters) signal(pattern Address) protocol.Step {
	t := &talk{address: pattern, oads: []OAD{oadAddress}, apdu: numbered(APDU{Service: Get, Choice: Normal, Entries: []Entry{{OAD: oadAddress}}})}
	t.take = func(r reply) (*protocol.Exchange, protocol.Result, error) {
		from := r.from
		if from.IsShared() { // its own is in the data, if anywhere
			if len(r.Entries) == 0 || r.Entries[0].Data.Tag != OctetString || len(r.Entries[0].Data.Bytes) != int(pattern.size) {
				return nil, protocol.Result{}, garbled("a meter answers as %s, which is no address", from)
			}
			from.Kind = Single
			copy(from.number[:], r.Entries[0].Data.Bytes)
		}
		return nil, protocol.Result{Address: m.named(from)}, nil
	}
	first := t.exchange()
	first.Longest = longestSignal
	return protocol.Step{
		Meter: m.key(pattern), Line: &line, Class: protocol.ClassScan, Kind: protocol.KindValue, Repeatable: true, First: *first,
	}
}
