// Package search finds the meters on a bus: it asks patterns of addresses, narrows those to which anything
// comes, and asks each address that it has understood by itself. It knows neither bus nor MQTT; whoever runs it
// holds the conversations.
package search

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

// A Search finds the meters on a bus. It asks who is there at all, then narrows each question
// to which anything came, until nothing comes or one address is left. A garbled answer means
// more than one meter. A clean one may mean that as well, for of two that answer at once the
// stronger driver may win; so these questions are narrowed too, though after the garbled ones.
type Search struct {
	// Ask holds one conversation. The error wraps protocol.ErrSilent, ErrGarbled or, where the
	// line cannot be set to the mode, ErrUnsupported; any other ends the search.
	Ask func(mode protocol.Mode, step protocol.Step) (address protocol.Address, err error)

	Asked   func() // optional, called after each question
	Noticed func() // optional, called when somebody was heard where nobody had been yet; see Signals
	Wanted  int    // the search ends when so many meters are found; 0: when everything was asked

	found     []Found
	pending   []branch // still to be narrowed
	spared    []branch // about all meters, of which the odd parts were not asked, for there were answers enough
	current   branch
	rest      int            // questions of the current branch still to be asked
	narrowing bool           // they are parts of it
	roots     []branch       // about all meters, still to be asked
	signals   []Riddle       // where somebody was heard
	only      *protocol.Mode // the mode that counts, where the port does not really change modes
	doubtful  bool           // something may be there that was not found
	heard     []Riddle       // what was understood and is no meter that was found
	questions int            // asked so far
	spent     time.Duration
	pace      map[place]pace // of the questions of each protocol at each mode
	alike     []Riddle       // where several answer whom no question tells apart
}

// A place is a protocol and a mode of the line.
type place struct {
	protocol string
	mode     protocol.Mode
}

func (r Root) place() place { return place{r.Finder.Name(), r.Mode} }

// A pace is how long questions took.
type pace struct {
	questions int
	spent     time.Duration
}

// A Found is one entry of the reply to a scan.
type Found struct {
	Address  string `json:"address"`
	Protocol string `json:"protocol"`
	Options  string `json:"options,omitempty"` // what a configuration adds to reach it
	Baud     int    `json:"baud"`
	Parity   string `json:"parity"`

	key protocol.MeterKey
}

// A Riddle is something that was understood during a scan though no meter was made out of it.
type Riddle struct {
	Message  string `json:"message"`
	Protocol string `json:"protocol"`
	Baud     int    `json:"baud"`
	Parity   string `json:"parity"`

	// AtLeast is how many meters must be there, where several answer whom no question tells apart.
	AtLeast int `json:"at_least,omitempty"`
}

// mostHeard bounds what a scan tells beside the meters that it found.
const mostHeard = 20

// fruitless is how many times its width a branch may be narrowed before other modes are tried, if no meter is
// found meanwhile: noise sounds like several meters.
const fruitless = 3

// Hear takes note of something that was understood in a mode.
func (s *Search) Hear(mode protocol.Mode, message string) {
	finder := s.current.Finder.Name()
	h := Riddle{Message: message, Protocol: finder, Baud: mode.Baud, Parity: mode.Parity}
	if message != "" && len(s.heard) < mostHeard && !slices.Contains(s.heard, h) {
		s.heard = append(s.heard, h)
	}
}

// Riddles returns what was heard of meters that were not found, first where several answer whom no question tells
// apart. A late answer of one that was found is none.
func (s *Search) Riddles() (left []Riddle) {
	left = slices.Clone(s.alike)
	for _, h := range s.heard {
		if len(left) < mostHeard && !slices.ContainsFunc(s.found, func(f Found) bool { return strings.Contains(h.Message, f.Address) }) {
			left = append(left, h)
		}
	}
	return left
}

// A branch is a question at one speed and parity, and what came.
type branch struct {
	protocol.Question
	Root
	width   int // questions that one is narrowed to
	garbled bool
	several bool                // each time that it was asked
	heard   []protocol.MeterKey // who answered
	all     bool                // the question is about all meters
}

// A Root is where a search begins: a protocol, and a mode of the line.
type Root struct {
	Finder protocol.Finder
	Mode   protocol.Mode
}

func (b *branch) silent() bool { return !b.garbled && len(b.heard) == 0 }

// isUnasked reports whether a branch is narrowed without a question.
func (b *branch) isUnasked() bool { return len(b.Steps) == 0 && b.Levels > 0 }

// open returns how many questions it takes to find whom a branch is about, if that is one meter.
func (b *branch) open() int {
	if b.isUnasked() {
		return b.width
	}
	return b.Levels * b.width
}

// likely is open where so many meters are looked for as there are: among those whom nobody can ask at once they are
// expected at the usual addresses, of this rank.
func (b *branch) likely(rank int) int {
	switch {
	case !b.isUnasked():
		return b.open()
	case b.Rank > rank:
		return 0
	}
	if first := b.Narrow()[0]; len(first.Steps) == 0 && first.Levels > 0 {
		return widthOf(first)
	}
	return b.width
}

// lowestRank returns the lowest rank of what is narrowed without a question.
func (s *Search) lowestRank() (rank int) {
	first := true
	for _, branches := range [...][]branch{s.roots, s.pending} {
		for i := range branches {
			if b := &branches[i]; b.isUnasked() && (first || b.Rank < rank) {
				rank, first = b.Rank, false
			}
		}
	}
	return rank
}

// widthOf returns how many questions one is narrowed to, with those to which unasked ones are narrowed in turn.
func widthOf(q protocol.Question) (width int) {
	for _, part := range q.Narrow() {
		if len(part.Steps) == 0 {
			width += widthOf(part)
		}
		width += len(part.Steps)
	}
	return width
}

// Run searches. It returns whether no other meter can be there, as far as asking tells.
func (s *Search) Run(roots []Root) (sure bool, err error) {
	for _, r := range roots {
		question, err := r.Finder.Find("")
		if err != nil {
			return false, err
		}
		s.roots = append(s.roots, branch{Question: question, Root: r, width: widthOf(question), all: true})
	}
	for len(s.roots) > 0 {
		s.current, s.roots = s.roots[0], s.roots[1:]
		if err := s.inquire(&s.current); err != nil || s.enough() {
			return false, err
		}
		if len(s.roots) > 0 && s.roots[0].Mode == s.current.Mode {
			continue // who speaks another protocol here is found by a few questions
		}
		if err := s.follow(); err != nil || s.enough() {
			return false, err
		}
	}
	for len(s.pending) > 0 || len(s.spared) > 0 && !s.enough() {
		ask := s.narrow
		if len(s.pending) > 0 {
			s.current = s.removePending(s.next())
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
	return !s.doubtful && len(s.found) >= s.Wanted, nil
}

func (s *Search) enough() bool { return s.Wanted > 0 && s.unfound() <= 0 }

// unfound returns how many of the meters that are wanted are neither found, nor known to be where nobody can tell
// them apart.
func (s *Search) unfound() int {
	missing := s.Wanted - len(s.found)
	for _, riddle := range s.alike {
		missing -= riddle.AtLeast
	}
	return missing
}

func (s *Search) skips(mode protocol.Mode) bool { return s.only != nil && *s.only != mode }

// next returns the place of the branch that promises most: where more than one meter must be, then where nobody
// has been asked yet, then where most addresses are.
func (s *Search) next() (best int) {
	for i, b := range s.pending {
		than := &s.pending[best]
		if better := cmp.Or(cmp.Compare(b.promise(), than.promise()), cmp.Compare(than.Rank, b.Rank), cmp.Compare(b.Levels, than.Levels)); better > 0 {
			best = i
		}
	}
	return best
}

// removePending takes a branch out of those that are pending.
func (s *Search) removePending(i int) branch {
	b := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	return b
}

func (b *branch) promise() int {
	switch {
	case b.garbled:
		return 2
	case b.isUnasked():
		return 1
	}
	return 0
}

// follow narrows what came garbled before other modes are tried, for more than one meter must be there. What
// came clean may be all there is, so that the other modes are worth more.
func (s *Search) follow() error {
	begin, found := s.questions, len(s.found)
	for len(s.pending) > 0 {
		next := s.next()
		if b := &s.pending[next]; !b.garbled || s.questions-begin > fruitless*b.width {
			return nil
		}
		s.current = s.removePending(next)
		if err := s.narrow(&s.current); err != nil || s.enough() {
			return err
		}
		s.rest = 0 // of a mode that does not count
		if len(s.found) > found {
			begin, found = s.questions, len(s.found)
		}
	}
	return nil
}

// notice takes note that somebody has answered to a question about all meters.
func (s *Search) notice(b *branch) {
	at := fmt.Sprintf("%d %s, %s", b.Mode.Baud, b.Mode.Parity, b.Finder.Name())
	message := "a meter answers at " + at
	if b.garbled || len(b.heard) > 1 {
		message = "several meters answer at " + at
	}
	s.signals = append(s.signals, Riddle{Message: message, Protocol: b.Finder.Name(), Baud: b.Mode.Baud, Parity: b.Mode.Parity})
	if s.Noticed != nil {
		s.Noticed()
	}
}

// Signals returns where somebody has answered to a question about all meters, a sentence each. That it is
// several who answer is certain only if there is no noise.
func (s *Search) Signals() []Riddle { return slices.Clone(s.signals) }

// narrow asks all parts of the question of a branch. If fewer meters answer than must be
// there, the parts to which nothing came are asked once more: an answer may have been lost.
func (s *Search) narrow(b *branch) error {
	s.narrowing = true
	defer func() { s.narrowing = false }()
	expected := 1
	switch {
	case b.garbled:
		expected = 2
	case len(b.Steps) == 0: // nobody was asked
		expected = 0
	}
	parts := make([]branch, 0, b.width)
	for _, question := range b.Narrow() {
		part := branch{Question: question, Root: b.Root, width: b.width}
		if part.isUnasked() {
			part.width = widthOf(question)
		}
		parts = append(parts, part)
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
		s.rest = b.width
		for i := range parts {
			part := &parts[i]
			s.rest -= len(part.Steps)
			// Who answered to the whole must be in one of the parts.
			known := slices.ContainsFunc(b.heard, func(key protocol.MeterKey) bool { return part.Matches(key.Text) })
			for try := 0; part.silent() && (try == 0 || known && try < signalTries); try++ {
				if err := s.inquire(part); err != nil || s.enough() || s.skips(b.Mode) {
					return err
				}
			}
		}
		s.tellAlike(parts)
		count := 0
		for _, part := range parts {
			count += len(part.heard)
			if part.garbled {
				count += 2
			}
		}
		if count >= expected {
			if b.all && s.Wanted > 0 {
				s.spared = append(s.spared, *b)
			}
			return nil
		}
	}
	s.doubtful = true // noise, or meters that answer to some patterns only
	return s.askOdd(b)
}

// tellAlike takes note of questions to which several have answered each time though they cannot be narrowed. On a line
// that garbles everything that means nothing: half of all questions at least must have been left unanswered.
func (s *Search) tellAlike(parts []branch) {
	silent := 0
	for _, part := range parts {
		if part.silent() {
			silent++
		}
	}
	for _, part := range parts {
		if part.Levels > 0 || !part.several || 2*silent < len(parts) {
			continue
		}
		message := part.Alike
		if message == "" {
			message = fmt.Sprintf("several meters answer at once to the address %s: no two may have the same", part.Pattern)
		}
		told := slices.ContainsFunc(s.alike, func(r Riddle) bool { return r.Message == message && r.Protocol == part.Finder.Name() })
		if !told && len(s.alike) < mostHeard { // a port without modes has the same ones at each
			s.alike = append(s.alike, Riddle{message, part.Finder.Name(), part.Mode.Baud, part.Mode.Parity, 2})
		}
	}
}

// askOdd asks for the meters of a branch whose addresses are none that a meter should have.
func (s *Search) askOdd(b *branch) error {
	if b.Odd == nil {
		return nil
	}
	parts := b.Odd()
	s.rest = len(parts)
	for _, question := range parts {
		s.rest--
		part := branch{Question: question, Root: b.Root, width: b.width}
		if err := s.inquire(&part); err != nil || s.enough() || s.skips(b.Mode) {
			return err
		}
	}
	return nil
}

// inquire asks the question of a branch in every way. If anything comes the branch is to be
// narrowed, unless it is about one address; also if there is no way to ask it.
func (s *Search) inquire(b *branch) error {
	if b.isUnasked() && !s.skips(b.Mode) {
		s.pending = append(s.pending, *b)
		return nil
	}
	for try := 0; try == 0 || b.Levels == 0 && b.garbled && len(b.heard) == 0 && try < signalTries; try++ {
		garbled := false
		for _, step := range b.Steps {
			if s.skips(b.Mode) {
				return nil
			}
			address, err := s.question(b.Mode, step)
			switch {
			case errors.Is(err, protocol.ErrGarbled):
				b.garbled, garbled = true, true
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
		b.several = garbled && len(b.heard) == 0 && (try == 0 || b.several)
	}
	switch {
	case b.silent() || s.skips(b.Mode):
		return nil
	case b.Levels > 0:
		s.pending = append(s.pending, *b)
	case len(b.heard) == 0:
		s.doubtful = true // two meters of one address, or a line that garbles everything
	}
	if b.all { // with a forecast that knows of it
		s.notice(b)
	}
	return nil
}

// find takes note of an address that answered. What several meters sent at once may look like
// a sound answer of one that does not exist, so it must answer to its own address.
func (s *Search) find(b *branch, key protocol.MeterKey) error {
	for _, f := range s.found {
		mode := protocol.Mode{Baud: f.Baud, Parity: f.Parity, Stop: b.Mode.Stop}
		switch {
		case f.key != key:
		case mode == b.Mode:
			return nil // a meter that answers to several protocols of one family is one meter
		case f.Protocol == b.Finder.Name():
			// A meter hears one speed and one parity. One that answers at another tells that the
			// port has none, like a pseudo terminal: then one mode is as good as all.
			s.only = &mode
			s.pending = slices.DeleteFunc(s.pending, func(b branch) bool { return b.Mode != mode })
			return nil
		}
	}
	confirmed := b.Levels == 0
	own, err := b.Finder.Find(key.Text)
	if err != nil {
		return err
	}
	for try := 0; !confirmed && len(own.Steps) > 0 && try < signalTries; try++ {
		answered, err := s.question(b.Mode, own.Steps[0])
		if err != nil && !errors.Is(err, protocol.ErrSilent) && !errors.Is(err, protocol.ErrGarbled) {
			return err
		}
		confirmed = err == nil && answered.MeterKey == key
	}
	if !confirmed {
		s.Hear(b.Mode, fmt.Sprintf("meter %s answered, but not when it was asked by itself; several meters that answer at once may look like that", key.Text))
		b.garbled = true
		return nil
	}
	s.found = append(s.found, Found{key.Text, b.Finder.Name(), key.Variant, b.Mode.Baud, b.Mode.Parity, key})
	return nil
}

// question asks once.
func (s *Search) question(mode protocol.Mode, step protocol.Step) (address protocol.Address, err error) {
	begin := time.Now()
	address, err = s.Ask(mode, step)
	took := time.Since(begin)
	s.questions++
	s.spent += took
	if s.pace == nil {
		s.pace = map[place]pace{}
	}
	at := place{s.current.Finder.Name(), mode}
	s.pace[at] = pace{s.pace[at].questions + 1, s.pace[at].spent + took}
	if s.Asked != nil {
		s.Asked()
	}
	return address, err
}

// Left guesses how many questions are still to be asked: each branch leads to one more meter. Of a search that ends
// when enough are found it is those until then.
func (s *Search) Left() (left int) {
	s.eachLeft(func(_ Root, questions int) { left += questions })
	return left
}

// Remaining guesses how long the search will still take: questions of a protocol at a mode as long as those before, and where
// there were none, as those at all modes.
func (s *Search) Remaining() (remaining time.Duration) {
	if s.questions == 0 {
		return 0
	}
	s.eachLeft(func(at Root, questions int) {
		p, known := s.pace[at.place()]
		if !known {
			p = pace{s.questions, s.spent}
		}
		remaining += time.Duration(questions) * (p.spent / time.Duration(p.questions))
	})
	return remaining
}

// eachLeft calls yield with a guess of how many questions are still to be asked, by protocol and mode.
func (s *Search) eachLeft(yield func(at Root, questions int)) {
	if s.Wanted == 0 {
		s.eachOpen(yield, (*branch).open)
		return
	}
	missing := s.unfound()
	if missing <= 0 {
		return
	}
	// Of so many meters that are anywhere among the answers to so many questions, the last answers to this one.
	until := func(at Root, questions int) { yield(at, (questions*missing+missing)/(missing+1)) }
	several := false // are known to be somewhere: there the missing ones are, of which each answers to another part
	if s.current.garbled && s.narrowing {
		several = true
		until(s.current.Root, s.rest)
	}
	for _, b := range s.pending {
		if b.garbled {
			several = true
			until(b.Root, b.width)
		}
	}
	if !several {
		rank := s.lowestRank()
		s.eachOpen(until, func(b *branch) int { return b.likely(rank) })
		if missing > 1 && len(s.roots) > 0 {
			until(s.current.Root, s.current.width) // several at once are heard, and then asked for
		}
		return
	}
	for _, b := range s.roots { // they come before the several
		if b.Mode == s.current.Mode {
			yield(b.Root, len(b.Steps))
		}
	}
}

// eachOpen calls yield with the questions that all that is still open would take, by protocol and mode: of a branch
// as many as open returns.
func (s *Search) eachOpen(yield func(at Root, questions int), open func(b *branch) int) {
	for _, b := range s.roots {
		switch {
		case s.skips(b.Mode):
		case b.isUnasked():
			yield(b.Root, open(&b))
		default:
			yield(b.Root, len(b.Steps))
		}
	}
	if s.rest > 0 {
		questions := s.rest
		if !s.current.isUnasked() {
			questions += (s.current.Levels - 1) * s.current.width
		}
		yield(s.current.Root, questions)
	}
	for _, b := range s.pending {
		yield(b.Root, open(&b))
	}
}

// Found lists the meters that were found so far; it is never nil.
func (s *Search) Found() []Found {
	if s.found == nil {
		return []Found{}
	}
	return slices.Clone(s.found)
}

// Current returns where the search is, and the pattern whose parts it asks.
func (s *Search) Current() (root Root, pattern string) { return s.current.Root, s.current.Pattern }

// Questions returns how many were asked so far.
func (s *Search) Questions() int { return s.questions }
