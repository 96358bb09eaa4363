package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// signalTries is how often a question is asked that somebody should be able to answer.
const signalTries = 3

// A search finds the meters on a bus. It asks who is there at all, then narrows each question
// to which anything came, until nothing comes or one address is left. A garbled answer means
// more than one meter. A clean one may mean that as well, for of two that answer at once the
// stronger driver may win; so these questions are narrowed too, though after the garbled ones.
type search struct {
	// ask holds one conversation. The error wraps protocol.ErrSilent, ErrGarbled or, where the
	// line cannot be set to the mode, ErrUnsupported; any other ends the search.
	ask func(mode protocol.Mode, step protocol.Step) (address protocol.Address, err error)

	asked  func() // unless nil, called after each question
	wanted int    // the search ends when so many meters are found; 0: when everything was asked

	found     []foundMeter
	pending   []branch // still to be narrowed
	spared    []branch // about all meters, of which the odd parts were not asked, for there were answers enough
	current   branch
	rest      int            // questions of the current branch still to be asked
	roots     int            // questions about all meters still to be asked
	only      *protocol.Mode // the mode that counts, where the port does not really change modes
	doubtful  bool           // something may be there that was not found
	heard     []riddle       // what was understood and is no meter that was found
	questions int            // asked so far
	spent     time.Duration
}

// A foundMeter is one entry of the reply to a scan.
type foundMeter struct {
	Address  string `json:"address"`
	Protocol string `json:"protocol"`
	Options  string `json:"options,omitempty"` // what a configuration adds to reach it
	Baud     int    `json:"baud"`
	Parity   string `json:"parity"`

	key protocol.MeterKey
}

// A riddle is something that was understood during a scan though no meter was made out of it.
type riddle struct {
	Message  string `json:"message"`
	Protocol string `json:"protocol"`
	Baud     int    `json:"baud"`
	Parity   string `json:"parity"`
}

// mostHeard bounds what a scan tells beside the meters that it found.
const mostHeard = 20

// hear takes note of something that was understood in a mode.
func (s *search) hear(finder string, mode protocol.Mode, message string) {
	h := riddle{message, finder, mode.Baud, mode.Parity}
	if message != "" && len(s.heard) < mostHeard && !slices.Contains(s.heard, h) {
		s.heard = append(s.heard, h)
	}
}

// riddles is what was heard of meters that were not found. A late answer of one that was is none.
func (s *search) riddles() (left []riddle) {
	for _, h := range s.heard {
		if !slices.ContainsFunc(s.found, func(f foundMeter) bool { return strings.Contains(h.Message, f.Address) }) {
			left = append(left, h)
		}
	}
	return left
}

// A branch is a question at one speed and parity, and what came.
type branch struct {
	protocol.Question
	root
	width   int // questions that one is narrowed to
	garbled bool
	heard   []protocol.MeterKey // who answered
	all     bool                // the question is about all meters
}

// A root is where a search begins: a protocol, and a mode of the line.
type root struct {
	finder protocol.Finder
	mode   protocol.Mode
}

func (b *branch) silent() bool { return !b.garbled && len(b.heard) == 0 }

// run searches. It returns whether no other meter can be there, as far as asking tells.
func (s *search) run(roots []root) (sure bool, err error) {
	s.roots = len(roots)
	for _, r := range roots {
		question, err := r.finder.Find("")
		if err != nil {
			return false, err
		}
		s.roots--
		s.current = branch{Question: question, root: r, width: len(question.Narrow()), all: true}
		if err := s.inquire(&s.current); err != nil || s.enough() {
			return false, err
		}
	}
	for len(s.pending) > 0 || len(s.spared) > 0 && !s.enough() {
		ask := s.narrow
		if len(s.pending) > 0 {
			s.current = s.next()
		} else { // there must be more meters
			s.current, ask = s.spared[0], s.askOdd
			s.spared = s.spared[1:]
		}
		if err := ask(&s.current); err != nil {
			return false, err
		}
		if s.enough() && len(s.pending)+s.rest > 0 {
			return false, nil
		}
		s.rest = 0 // of a mode that does not count
	}
	return !s.doubtful && len(s.found) >= s.wanted, nil
}

func (s *search) enough() bool { return s.wanted > 0 && len(s.found) >= s.wanted }

func (s *search) skips(mode protocol.Mode) bool { return s.only != nil && *s.only != mode }

// next takes the branch that promises most: where more than one meter must be, then where
// most addresses are.
func (s *search) next() branch {
	best := 0
	for i, b := range s.pending {
		if better := cmp.Or(cmp.Compare(promise(b.garbled), promise(s.pending[best].garbled)), cmp.Compare(b.Levels, s.pending[best].Levels)); better > 0 {
			best = i
		}
	}
	b := s.pending[best]
	s.pending = slices.Delete(s.pending, best, best+1)
	return b
}

func promise(garbled bool) int {
	if garbled {
		return 1
	}
	return 0
}

// narrow asks all parts of the question of a branch. If fewer meters answer than must be
// there, the parts to which nothing came are asked once more: an answer may have been lost.
func (s *search) narrow(b *branch) error {
	expected := 1
	switch {
	case b.garbled:
		expected = 2
	case len(b.Steps) == 0: // nobody was asked
		expected = 0
	}
	parts := make([]branch, 0, b.width)
	for _, question := range b.Narrow() {
		parts = append(parts, branch{Question: question, root: b.root, width: b.width})
	}
	for _, key := range b.heard {
		// Where the address of a meter is itself a pattern, like the short ones of 1997, it answers
		// to the pattern and not to its parts.
		if !slices.ContainsFunc(parts, func(part branch) bool { return part.Matches(key.Text) }) {
			expected--
		}
	}
	rounds := max(1, expected)
	for range rounds {
		s.rest = len(parts)
		for i := range parts {
			s.rest--
			part := &parts[i]
			// Who answered to the whole must be in one of the parts.
			known := slices.ContainsFunc(b.heard, func(key protocol.MeterKey) bool { return part.Matches(key.Text) })
			for try := 0; part.silent() && (try == 0 || known && try < signalTries); try++ {
				if err := s.inquire(part); err != nil || s.enough() || s.skips(b.mode) {
					return err
				}
			}
		}
		count := 0
		for _, part := range parts {
			count += len(part.heard)
			if part.garbled {
				count += 2
			}
		}
		if count >= expected {
			if b.all && s.wanted > 0 {
				s.spared = append(s.spared, *b)
			}
			return nil
		}
	}
	s.doubtful = true // noise, or meters that answer to some patterns only
	return s.askOdd(b)
}

// askOdd asks for the meters of a branch whose addresses are none that a meter should have.
func (s *search) askOdd(b *branch) error {
	if b.Odd == nil {
		return nil
	}
	parts := b.Odd()
	s.rest = len(parts)
	for _, question := range parts {
		s.rest--
		part := branch{Question: question, root: b.root, width: b.width}
		if err := s.inquire(&part); err != nil || s.enough() || s.skips(b.mode) {
			return err
		}
	}
	return nil
}

// inquire asks the question of a branch in every way. If anything comes the branch is to be
// narrowed, unless it is about one address; also if there is no way to ask it.
func (s *search) inquire(b *branch) error {
	if len(b.Steps) == 0 && b.Levels > 0 && !s.skips(b.mode) {
		s.pending = append(s.pending, *b)
		return nil
	}
	for try := 0; try == 0 || b.Levels == 0 && b.garbled && len(b.heard) == 0 && try < signalTries; try++ {
		for _, step := range b.Steps {
			if s.skips(b.mode) {
				return nil
			}
			address, err := s.question(b.mode, step)
			switch {
			case errors.Is(err, protocol.ErrGarbled):
				b.garbled = true
			case errors.Is(err, protocol.ErrSilent):
			case errors.Is(err, protocol.ErrUnsupported):
				s.doubtful = true // nobody knows who would have answered
				return nil
			case err != nil:
				return err
			case !slices.Contains(b.heard, address.MeterKey):
				b.heard = append(b.heard, address.MeterKey)
				if err := s.find(b, address.MeterKey); err != nil {
					return err
				}
			}
		}
	}
	switch {
	case b.silent() || s.skips(b.mode):
	case b.Levels > 0:
		s.pending = append(s.pending, *b)
	case len(b.heard) == 0:
		s.doubtful = true // two meters of one address, or a line that garbles everything
	}
	return nil
}

// find takes note of an address that answered. What several meters sent at once may look like
// a sound answer of one that does not exist, so it must answer to its own address.
func (s *search) find(b *branch, key protocol.MeterKey) error {
	for _, f := range s.found {
		mode := protocol.Mode{Baud: f.Baud, Parity: f.Parity, Stop: b.mode.Stop}
		switch {
		case f.key != key:
		case mode == b.mode:
			return nil // a meter that answers to several protocols of one family is one meter
		case f.Protocol == b.finder.Name():
			// A meter hears one speed and one parity. One that answers at another tells that the
			// port has none, like a pseudo terminal: then one mode is as good as all.
			s.only = &mode
			s.pending = slices.DeleteFunc(s.pending, func(b branch) bool { return b.mode != mode })
			return nil
		}
	}
	confirmed := b.Levels == 0
	own, err := b.finder.Find(key.Text)
	if err != nil {
		return err
	}
	for try := 0; !confirmed && len(own.Steps) > 0 && try < signalTries; try++ {
		answered, err := s.question(b.mode, own.Steps[0])
		if err != nil && !errors.Is(err, protocol.ErrSilent) && !errors.Is(err, protocol.ErrGarbled) {
			return err
		}
		confirmed = err == nil && answered.MeterKey == key
	}
	if !confirmed {
		s.hear(b.finder.Name(), b.mode, fmt.Sprintf("meter %s answered, but not when it was asked by itself; several meters that answer at once may look like that", key.Text))
		b.garbled = true
		return nil
	}
	s.found = append(s.found, foundMeter{key.Text, b.finder.Name(), key.Variant, b.mode.Baud, b.mode.Parity, key})
	return nil
}

// question asks once.
func (s *search) question(mode protocol.Mode, step protocol.Step) (address protocol.Address, err error) {
	begin := time.Now()
	address, err = s.ask(mode, step)
	s.questions++
	s.spent += time.Since(begin)
	if s.asked != nil {
		s.asked()
	}
	return address, err
}

// left guesses how many questions are still to be asked: each branch leads to one more meter.
func (s *search) left() int {
	left := s.roots + s.rest
	if s.rest > 0 {
		left += (s.current.Levels - 1) * s.current.width
	}
	for _, b := range s.pending {
		left += b.Levels * b.width
	}
	return left
}

// remaining guesses how long the search will still take.
func (s *search) remaining() time.Duration {
	if s.questions == 0 {
		return 0
	}
	return time.Duration(s.left()) * (s.spent / time.Duration(s.questions))
}
