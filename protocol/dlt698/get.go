package dlt698

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// A get asks one meter for some attributes, and for rows of records. What wants more right than a
// plain request has is asked for once more with a random number.
type get struct {
	address Address
	asked   []Entry // with rows and columns where it is a record
	record  bool
	sealed  bool // with a random number at once
	never   bool // never with one: the meter does not take it

	// done makes the result of what came: one entry for each that was asked.
	done func(came []Entry) (protocol.Result, error)

	// other returns another way to ask for what came without a value, and what it teaches if that is refused; nil: there
	// is none.
	other func(came []Entry) (g *get, refused map[string]string)
}

// A part is what a get has brought so far.
type part struct {
	came    []Entry // by the place in asked; nil: nothing has come
	here    []bool  // which have come or were refused
	pending []int   // the places of those that are asked for now
	room    int     // bytes of the longest block that has come
	learned map[string]string
}

// first begins the conversation.
func (g *get) first() protocol.Exchange { return *g.ask(g.nothing(nil), g.sealed) }

// nothing is what a conversation has brought when it begins.
func (g *get) nothing(learned map[string]string) part {
	p := part{learned: learned}
	for i := range g.asked {
		p.pending = append(p.pending, i)
	}
	return p
}

// ask asks for what is pending.
func (g *get) ask(p part, sealed bool) *protocol.Exchange {
	t := &talk{address: g.address, sealed: sealed, apdu: APDU{Service: Get, Choice: Normal}}
	for _, i := range p.pending {
		t.apdu.Entries = append(t.apdu.Entries, g.asked[i])
		t.oads = append(t.oads, g.asked[i].OAD)
	}
	if g.record {
		t.apdu.Choice = Record
	}
	if len(p.pending) > 1 {
		t.apdu.Choice++ // the list of either
	}
	t.apdu = numbered(t.apdu)
	g.number(&t.apdu)
	t.take = func(r reply) (*protocol.Exchange, protocol.Result, error) { return g.answered(p, t, r) }
	return t.exchange()
}

// number tells requests for neighbouring rows of one record apart: the answer does not say which row it is.
func (g *get) number(a *APDU) {
	if rsd := a.Entries[0].RSD; g.record && rsd.Selector == SelectLast {
		rsd.Last = 0
		base := *a
		base.Entries = slices.Clone(a.Entries)
		base.Entries[0].RSD = rsd
		a.PIID = (numbered(base).PIID + a.Entries[0].RSD.Last) & piidNumber
	}
}

// answered takes in an answer, or the first block of one.
func (g *get) answered(p part, t *talk, r reply) (*protocol.Exchange, protocol.Result, error) {
	switch {
	case r.isFault() && !t.sealed && !g.sealed && !g.never && r.DAR == faultService && len(p.pending) == 1:
		return g.ask(p, true), protocol.Result{}, nil
	case r.isFault() && t.sealed && g.sealed: // another meter than before
		return g.ask(p.unsealed(g), false), protocol.Result{}, nil
	case r.isFault() && t.sealed && p.refused():
		return g.conclude(p.unsealed(g)) // it has no security module: what a plain request brought is all
	case r.isFault():
		return nil, protocol.Result{Learned: p.learned}, &protocol.Refusal{
			Code: uint16(r.DAR), Reasons: []string{reasonOther}, Means: protocol.ErrNoSuchData,
			Advice: "the meter did not understand the request (" + faultText(r.DAR) + ")",
		}
	case r.denied != darSuccess && p.refused():
		return g.conclude(p.unsealed(g))
	case r.denied != darSuccess:
		return nil, protocol.Result{}, securityRefusal(r.denied)
	}
	return g.takeBlock(p, t, r, 0, 0)
}

// takeBlock takes in a block of an answer; the whole of one that is not cut counts as such. last is the number of
// the block before it.
func (g *get) takeBlock(p part, t *talk, r reply, blocks int, last uint16) (*protocol.Exchange, protocol.Result, error) {
	isBlock := r.Choice == Next
	fail := func(format string, args ...any) (*protocol.Exchange, protocol.Result, error) {
		return nil, protocol.Result{}, t.unreadable(r.from, r.Append(nil), garbled(format, args...))
	}
	switch {
	case isBlock && r.DAR != darSuccess:
		return nil, protocol.Result{}, r.DAR.refusal(false)
	case isBlock && blocks > 0 && r.Block != last+1:
		return fail("block %d came where block %d is due", r.Block, last+1)
	case blocks == mostParts:
		return fail("%w, not even in %d blocks", protocol.ErrEndless, blocks+1)
	case isBlock && !r.Last && len(r.Entries) == 0:
		return fail("block %d is empty, and more is announced", r.Block)
	}
	if g.isWhole(&p, t, &r) {
		return g.finish(p, r.Entries)
	}
	if err := p.place(g, r.Entries, isBlock); err != nil {
		return nil, protocol.Result{}, t.unreadable(r.from, r.Append(nil), err)
	}
	if isBlock || r.parts > 1 {
		p.room = max(p.room, len(r.Append(nil))) // the last block may be far from full
		p.learn("room", fmt.Sprint(p.room))
	}
	if isBlock && !r.Last {
		return g.askNext(p, t, r, blocks+1), protocol.Result{}, nil
	}
	return g.askAgain(p, t)
}

// isWhole reports whether an answer has all that was asked for, in order, so that nothing has to be asked for once more,
// as nearly always.
func (g *get) isWhole(p *part, t *talk, r *reply) bool {
	if p.came != nil || t.sealed || r.Choice == Next || r.parts > 1 || len(r.Entries) != len(g.asked) {
		return false
	}
	for i := range r.Entries {
		if e := &r.Entries[i]; e.OAD != g.asked[i].OAD || !e.Has || g.record && len(g.asked[i].Columns) > 0 && !sameColumns(e.Columns, g.asked[i].Columns) {
			return false
		}
	}
	return true
}

// finish makes the result of all that came, unless it is asked for in another way.
func (g *get) finish(p part, came []Entry) (*protocol.Exchange, protocol.Result, error) {
	if g.other != nil {
		if other, refused := g.other(came); other != nil {
			next := other.ask(other.nothing(p.learned), g.sealed || p.learned[rightOf(g.asked[0].OAD)] == rightRandom)
			result, err := g.result(p, came)
			p.learned = result.Learned
			for name, value := range refused {
				p.learn(name, value)
			}
			result.Learned = p.learned
			next.Take = unless(next.Take, result, err)
			return next, protocol.Result{}, nil
		}
	}
	result, err := g.result(p, came)
	return nil, result, err
}

// result makes the result of what came, and of what was learned on the way.
func (g *get) result(p part, came []Entry) (protocol.Result, error) {
	result, err := g.done(came)
	for name, value := range result.Learned {
		p.learn(name, value)
	}
	result.Learned = p.learned
	return result, err
}

// A taker is the Take of an exchange.
type taker = func(answer []byte) (*protocol.Exchange, protocol.Result, error)

// unless has a conversation end with a result that is there already, unless it brings a better one.
func unless(take taker, result protocol.Result, err error) taker {
	return func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		next, better, errBetter := take(answer)
		switch {
		case next != nil:
			further := *next
			further.Take = unless(next.Take, result, err)
			return &further, better, errBetter
		case errBetter != nil:
			return nil, result, err
		}
		return nil, better, nil
	}
}

// askNext asks for the block behind the one that came.
func (g *get) askNext(p part, t *talk, r reply, blocks int) *protocol.Exchange {
	next := &talk{address: r.from, sealed: t.sealed, oads: t.oads}
	if r.from.IsShared() {
		next.address = t.address
	}
	next.apdu = APDU{Service: Get, Choice: Next, PIID: t.apdu.PIID, Block: r.Block}
	next.take = func(again reply) (*protocol.Exchange, protocol.Result, error) {
		if again.isFault() || again.denied != darSuccess {
			return nil, protocol.Result{}, next.unreadable(again.from, again.Append(nil), garbled("block %d was announced and then not given", r.Block+1))
		}
		return g.takeBlock(p, next, again, blocks, r.Block)
	}
	return next.exchange()
}

// askAgain asks with a random number for what wants more right, unless that was done.
func (g *get) askAgain(p part, t *talk) (*protocol.Exchange, protocol.Result, error) {
	var wanting []int
	for _, i := range p.pending {
		if p.here[i] && !p.came[i].Has && p.came[i].DAR.isRight() {
			wanting = append(wanting, i)
		}
	}
	if t.sealed {
		for _, i := range p.pending {
			if p.here[i] && p.came[i].Has {
				p.learn(rightOf(g.asked[i].OAD), rightRandom)
			}
		}
	}
	if len(wanting) == 0 || t.sealed || g.never {
		return g.conclude(p)
	}
	p.pending = wanting
	return g.ask(p, true), protocol.Result{}, nil
}

// refused reports whether what is asked for was refused before.
func (p *part) refused() bool { return p.came != nil && p.here[p.pending[0]] }

// unsealed notes that the meter does not take random numbers.
func (p part) unsealed(g *get) part {
	for _, i := range p.pending {
		p.learn(rightOf(g.asked[i].OAD), rightNone)
	}
	return p
}

// What is learned of the right that an object takes: the names and values of [protocol.Result].
const (
	rightRandom = "random number"
	rightNone   = "none"
)

// rightOf is the name under which it is kept for an object.
func rightOf(oad OAD) string { return fmt.Sprintf("right of %04X", oad.OI()) }

func (p *part) learn(name, value string) {
	learned := map[string]string{name: value}
	for k, v := range p.learned {
		if k != name {
			learned[k] = v
		}
	}
	p.learned = learned
}

// place puts entries to their places. The rows of a record may come in several blocks.
func (p *part) place(g *get, entries []Entry, isBlock bool) error {
	if p.came == nil {
		p.came, p.here = slices.Clone(g.asked), make([]bool, len(g.asked))
	} else {
		p.came, p.here = slices.Clone(p.came), slices.Clone(p.here)
	}
	for i := range entries {
		e := &entries[i]
		at := slices.IndexFunc(p.pending, func(k int) bool {
			return g.asked[k].OAD == e.OAD && (!p.here[k] || p.came[k].DAR.isRight() || g.record && isBlock)
		})
		if at < 0 {
			return garbled("%s came, which was not asked for", e.OAD)
		}
		k := p.pending[at]
		if g.record {
			if want := g.asked[k].Columns; e.Has && len(want) > 0 && !sameColumns(e.Columns, want) {
				return garbled("a record of %s has other columns than were asked for", e.OAD)
			}
			if p.here[k] && p.came[k].Has && e.Has {
				e.Cells = slices.Concat(p.came[k].Cells, e.Cells)
			}
		}
		p.came[k], p.here[k] = *e, true
	}
	return nil
}

// conclude ends the conversation with what came.
func (g *get) conclude(p part) (*protocol.Exchange, protocol.Result, error) {
	if len(g.asked) == 1 && p.here[0] && !p.came[0].Has {
		return nil, protocol.Result{Learned: p.learned}, g.refusal(p.came[0].DAR)
	}
	for i := range p.came {
		if !p.here[i] {
			p.came[i] = Entry{OAD: g.asked[i].OAD}
		}
	}
	return g.finish(p, p.came)
}

func (g *get) refusal(d DAR) error {
	if d.isRight() {
		return securityRefusal(d)
	}
	return d.refusal(false)
}

// securityRefusal is the error where a meter wants its security module.
func securityRefusal(d DAR) *protocol.Refusal {
	return &protocol.Refusal{
		Code: uint16(d), Reasons: []string{reasonSecurity}, Means: protocol.ErrUnauthorised,
		Advice: "it wants this secured by its key (" + d.String() + "): a frame that a key server has made can be sent with raw",
	}
}

// readItems reads values of items out of entries; what has none is an error beside them.
func readItems(items []Item, oads []OAD, zone *time.Location) func(came []Entry) (protocol.Result, error) {
	return func(came []Entry) (result protocol.Result, err error) {
		for i := range came {
			values, err := readItem(result.Values, &items[i], oads[i], &came[i], zone)
			switch {
			case err != nil && len(came) == 1:
				return result, err
			case err != nil:
				for _, name := range namesOf(items[i], oads[i]) {
					result.Errors = append(result.Errors, protocol.ItemError{Item: name, Err: err})
				}
				continue
			}
			result.Values = values
			if oads[i] == oadClock {
				result.Clock = momentOf(came[i].Data, zone)
			}
		}
		return result, nil
	}
}

// namesOf returns every name under which an attribute, or a value of it, may have been asked for.
func namesOf(item Item, oad OAD) []string {
	if item.attribute == nil {
		return []string{oad.String()}
	}
	return append([]string{item.Name}, item.Names()...)
}

var errNotGiven = errors.New("the meter answered the list without it")

// readItem appends the values of an entry that came, or says why it did not.
func readItem(values []protocol.Value, item *Item, oad OAD, e *Entry, zone *time.Location) ([]protocol.Value, error) {
	switch {
	case e.DAR.isRight():
		return nil, securityRefusal(e.DAR)
	case e.DAR != darSuccess:
		return nil, e.DAR.refusal(false)
	case !e.Has:
		return nil, garbled("%w", errNotGiven)
	case item.attribute == nil:
		return append(values, protocol.Value{Name: oad.String(), Data: e.Data.Value(zone)}), nil
	}
	values, err := item.decode(values, &e.Data, zone)
	if err != nil {
		return nil, &unreadableError{fmt.Errorf("%s: %w; the data, first byte first: % X", item.Name, err, clipped(e.Data.Append(nil)))}
	}
	return values, nil
}

func clipped(b []byte) []byte { return b[:min(len(b), mostShown)] }
