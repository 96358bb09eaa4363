package dlt698

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The freezes that a history knows the usual distance of.
const (
	oiSecond uint16 = 0x5001
	oiMinute uint16 = 0x5002
	oiHour   uint16 = 0x5003
	oiDay    uint16 = 0x5004
	oiYear   uint16 = 0x5007
)

// distances are how far the freezes of an occasion lie apart, as a first guess.
var distances = map[uint16]time.Duration{
	oiSecond: time.Second, oiMinute: 15 * time.Minute, oiHour: time.Hour, oiDay: 24 * time.Hour, oiYear: 365 * 24 * time.Hour,
}

// usualDistance is that of the others, which are made once a month or now and then.
const usualDistance = 30 * 24 * time.Hour

const (
	// mostWindows bounds how many spans of time one read of history asks for.
	mostWindows = 1000

	// mostRows bounds how many rows a span should have, so that the line is soon free for others.
	mostRows = 60
)

// loadClasses are the columns of the minute freezes by the classes that load records of DL/T 645 have, so
// that one request fits meters of both.
var loadClasses = map[string][]OAD{
	"load_record":   minuteColumns,
	"load_record_1": {0x20000200, 0x20010200, 0x200F0200},
	"load_record_2": {0x20040200, 0x20050200},
	"load_record_3": {0x200A0200},
	"load_record_4": {0x00100201, 0x00200201, 0x00300201, 0x00400201},
	"load_record_5": {0x00500201, 0x00600201, 0x00700201, 0x00800201},
	"load_record_6": {0x20170200, 0x20180200},
}

// What is learned of how a meter gives rows.
const (
	learnedRows = "rows"
	rowsSeveral = "several at once"
	rowsOne     = "one whatever is asked"
)

// A history reads the freezes of one occasion: those of a span of time at once, forward in time, or from a
// meter that gives one row whatever it is asked, row by row and backward.
type history struct {
	*reader
	address  Address // of the meter, or a pattern until it has answered
	from, to time.Time
	record   OAD
	columns  []Item   // the time first
	only     []string // the values that are wanted, by name; nil: all
	names    []string // of what was asked; errors go under them

	newest   time.Time // of the latest freeze
	next     time.Time // what lies before was asked for
	distance time.Duration
	windows  int
	wider    int // the next span is so many times as wide, for the last ones were empty
	samples  []protocol.Sample
}

// planHistory plans to read what a meter has stored from a moment on: columns of one freeze.
func (p *reader) planHistory(address Address, request protocol.Request) (protocol.Plan, error) {
	h := &history{reader: p, address: address, from: request.From.In(p.zone), to: request.To}
	for _, text := range request.Items {
		if err := h.want(text); err != nil {
			return protocol.Plan{}, err
		}
	}
	if earliest := time.Date(2000, 1, 1, 0, 0, 0, 0, p.zone); h.from.Before(earliest) {
		h.from = earliest
	}
	// Freezes have whole seconds.
	if second := h.from.Truncate(time.Second); second.Before(h.from) {
		h.from = second.Add(time.Second)
	}
	h.distance = cmp.Or(distances[h.record.OI()], usualDistance)
	h.next, h.wider = h.from, 1
	if day, ok := h.onlyDay(); ok && !h.givesOne() {
		return h.readMoment(day), nil
	}
	return h.readNewest(), nil
}

// want puts what was asked on the list of columns: a freeze, with or without a number, a column of one, or
// a class of load records.
func (h *history) want(text string) error {
	class := strings.TrimSuffix(text, "_since")
	if oads, ok := loadClasses[class]; ok {
		row := mustLookup(OAD(oiMinute)<<16 | 0x0201)
		return h.add(row, class, oads, "")
	}
	item, ok := findStored(text)
	if !ok {
		if _, _, err := h.find(text); err != nil {
			return err
		}
		return badRequest("%s is no stored sample: a history is read of freezes, such as daily_freeze, and of load records, such as load_record_1", text)
	}
	name := strings.TrimSuffix(text, "_1")
	if item.Column == nil {
		return h.add(item, name, columnsOf(item.OAD), "")
	}
	if item.Only == "" {
		return h.add(item, name, []OAD{item.Column.OAD}, "")
	}
	return h.add(item, name, []OAD{item.Column.OAD}, item.Column.Name+timeSuffix)
}

// findStored returns the row or the column of a freeze by a name that may lack the number of the row.
func findStored(text string) (Item, bool) {
	names := []string{text, text + "_1"}
	if value, ok := strings.CutSuffix(text, timeSuffix); ok {
		names = append(names, value+"_1"+timeSuffix)
	}
	for _, name := range names {
		if item, ok := Items().Named(name); ok && item.attribute.layout == layoutFreeze {
			return item, true
		}
	}
	if oad, err := ParseOAD(text); err == nil {
		if a := Items().byOAD[oad.whole()]; a != nil && a.layout == layoutFreeze {
			return Items().item(a, 1)
		}
	}
	return Item{}, false
}

// add adds columns of a record. only names the one value of a column that is wanted; empty: all.
func (h *history) add(row Item, name string, oads []OAD, only string) error {
	record := row.OAD.whole()
	if h.record != 0 && record != h.record {
		return badRequest("%s and %s are not stored together: ask for the columns of one kind of freeze in one request", h.names[0], name)
	}
	if h.record == 0 {
		h.record, h.columns, h.only = record, []Item{mustLookup(oadFreezeTime)}, []string{}
	}
	h.names = append(h.names, name)
	for _, oad := range oads {
		column := mustLookup(oad)
		if !slices.ContainsFunc(h.columns, func(c Item) bool { return c.OAD == oad }) {
			h.columns = append(h.columns, column)
		}
		if only != "" {
			h.only = append(h.only, only)
		} else {
			h.only = append(h.only, column.Names()...)
		}
	}
	return nil
}

// givesOne reports whether the meter is known to give one row whatever it is asked.
func (h *history) givesOne() bool { return h.known != nil && h.known.Learned(learnedRows) == rowsOne }

// onlyDay returns the midnight in the span that is asked for, if there is just one and days are frozen.
func (h *history) onlyDay() (day time.Time, ok bool) {
	if h.record.OI() != oiDay || h.to.IsZero() {
		return day, false
	}
	year, month, date := h.from.Date()
	day = time.Date(year, month, date, 0, 0, 0, 0, h.zone)
	if day.Before(h.from) {
		day = time.Date(year, month, date+1, 0, 0, 0, 0, h.zone)
	}
	return day, day.Before(h.to) && !day.AddDate(0, 0, 1).Before(h.to)
}

// step is the conversation that reads rows for their samples.
func (h *history) step(rows RSD, learn func(samples []protocol.Sample) string) protocol.Step {
	step := h.recordStep(h.address, h.record, rows, h.columns, func(columns []Item, e *Entry) (result protocol.Result, err error) {
		result.Samples = []protocol.Sample{}
		for i := range e.Rows() {
			sample, err := h.sample(columns, e.Row(i))
			if err != nil {
				return result, err
			}
			if !sample.Time.IsZero() {
				result.Samples = append(result.Samples, sample)
			}
		}
		return result, nil
	})
	step.Only = []string{}
	if learn != nil {
		take := step.First.Take
		step.First.Take = teaching(take, learn)
	}
	return step
}

// teaching has the end of a conversation teach how the meter gives rows.
func teaching(take taker, learn func(samples []protocol.Sample) string) taker {
	return func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		next, result, err := take(answer)
		switch {
		case next != nil:
			further := *next
			further.Take = teaching(next.Take, learn)
			return &further, result, err
		case err == nil:
			p := part{learned: result.Learned}
			p.learn(learnedRows, learn(result.Samples))
			result.Learned = p.learned
		}
		return nil, result, err
	}
}

// sample reads a row, whose first cell is its time.
func (h *history) sample(columns []Item, cells []Data) (sample protocol.Sample, err error) {
	if cells[0].Tag != DateTimeS && cells[0].Tag != DateTime && cells[0].Tag != Null {
		return sample, &unreadableError{garbled("%s came for the time of a freeze", cells[0].Tag)}
	}
	sample = protocol.Sample{Time: momentOf(cells[0], h.zone), Values: []protocol.Value{}}
	for i, c := range columns[1:] {
		values, err := c.Decode(cells[i+1], h.zone)
		if err != nil {
			return sample, &unreadableError{err}
		}
		for _, value := range values {
			if slices.Contains(h.only, value.Name) {
				sample.Values = append(sample.Values, value)
			}
		}
	}
	return sample, nil
}

// then plans a step, and what to make of its answer.
func (h *history) then(step protocol.Step, then func(answer protocol.Answer) protocol.Plan) protocol.Plan {
	plan := h.plan(h.address, step)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if who := answers[0].Result.Address; !who.IsZero() && !who.Shared {
			if at, err := h.Meters.address(who); err == nil {
				h.address = at // so that all samples come from one meter
			}
		}
		return then(answers[0]), nil
	}
	return plan
}

// done is the end: with what was read, and what kept the rest from being read, if anything did.
func (h *history) done(err error) protocol.Plan {
	plan := h.plan(h.address)
	plan.History = &protocol.History{Samples: h.samples}
	if err != nil {
		for _, name := range h.names {
			plan.Errors = append(plan.Errors, protocol.ItemError{Item: name, Err: err})
		}
	}
	return plan
}

// readMoment plans to read the freeze of one moment, selector 1.
func (h *history) readMoment(at time.Time) protocol.Plan {
	rsd := RSD{Selector: SelectValue, OAD: oadFreezeTime, Values: []Data{MomentOf(at)}}
	return h.then(h.step(rsd, nil), func(answer protocol.Answer) protocol.Plan {
		if answer.Err != nil && !protocol.IsRefusal(answer.Err) {
			return h.done(answer.Err)
		}
		for _, sample := range answer.Result.Samples {
			if h.isWanted(sample.Time) {
				h.samples = append(h.samples, sample)
				return h.done(nil)
			}
		}
		return h.readNewest() // perhaps it does not know this selector, or freezes at another time of day
	})
}

// isWanted reports whether a moment is among those asked for.
func (h *history) isWanted(t time.Time) bool {
	return !t.Before(h.from) && (h.to.IsZero() || t.Before(h.to))
}

// readNewest plans to read the latest freeze, for it bounds the search.
func (h *history) readNewest() protocol.Plan {
	return h.then(h.step(RSD{Selector: SelectLast, Last: 1}, nil), func(answer protocol.Answer) protocol.Plan {
		if answer.Err != nil || len(answer.Result.Samples) == 0 {
			return h.done(answer.Err)
		}
		newest := answer.Result.Samples[0]
		if newest.Time.Before(h.from) {
			return h.done(nil)
		}
		h.newest = newest.Time
		if h.givesOne() {
			return h.walk(1, answer)
		}
		return h.readSpan()
	})
}

// end returns up to when there is something to be asked for.
func (h *history) end() time.Time {
	end := h.newest.Add(time.Second)
	if !h.to.IsZero() && h.to.Before(end) {
		end = h.to
	}
	return end
}

// span selects the rows from a moment on, up to another.
func (h *history) span(from, to time.Time) RSD {
	return RSD{Selector: SelectRange, OAD: oadFreezeTime, Values: []Data{MomentOf(from.In(h.zone)), MomentOf(to.In(h.zone)), {Tag: Null}}}
}

// readSpan plans to read the freezes of the next span of time, selector 2.
func (h *history) readSpan() protocol.Plan {
	end := h.end()
	if !h.next.Before(end) {
		return h.done(nil)
	}
	if h.windows++; h.windows > mostWindows {
		return h.more(h.next)
	}
	if until := h.next.Add(h.width()); until.Before(end) {
		end = until
	}
	return h.then(h.step(h.span(h.next, end), nil), func(answer protocol.Answer) protocol.Plan {
		switch {
		case protocol.IsRefusal(answer.Err) && h.samples == nil:
			return h.walk(1, protocol.Answer{})
		case answer.Err != nil:
			return h.done(answer.Err)
		}
		samples := sorted(answer.Result.Samples)
		outside := slices.ContainsFunc(samples, func(s protocol.Sample) bool { return s.Time.Before(h.next) || !s.Time.Before(end) })
		if outside || len(samples) == 1 && end.Sub(h.next) > h.distance && !h.givesSeveral() {
			return h.compare(outside)
		}
		return h.addSamples(samples, end)
	})
}

// width returns how wide the next span is: of as many rows as an answer has room for.
func (h *history) width() time.Duration {
	size := 0
	for _, c := range h.columns {
		size += c.expected()
	}
	rows := min(max(1, h.room()/size), mostRows)
	return time.Duration(rows*h.wider) * h.distance
}

func (h *history) givesSeveral() bool {
	return h.known != nil && h.known.Learned(learnedRows) == rowsSeveral
}

// sorted returns samples by their time.
func sorted(samples []protocol.Sample) []protocol.Sample {
	samples = slices.Clone(samples)
	slices.SortStableFunc(samples, func(a, b protocol.Sample) int { return a.Time.Compare(b.Time) })
	return samples
}

// addSamples takes in the samples of a span, and goes on behind it.
func (h *history) addSamples(samples []protocol.Sample, end time.Time) protocol.Plan {
	var last time.Time
	for _, sample := range samples {
		if sample.Time.Equal(last) {
			continue
		}
		if !last.IsZero() {
			h.distance = min(h.distance, sample.Time.Sub(last))
		}
		last = sample.Time
		if len(h.samples) == protocol.MostSamples {
			return h.more(sample.Time)
		}
		h.samples = append(h.samples, sample)
	}
	if h.wider *= 4; len(samples) > 0 {
		h.wider = 1
	}
	h.wider = min(h.wider, 1<<16)
	h.next = end
	return h.readSpan()
}

// more is the end of a read that leaves samples for another one.
func (h *history) more(from time.Time) protocol.Plan {
	plan := h.done(nil)
	plan.History.Next = from
	return plan
}

// compare finds out whether the meter gives one row whatever it is asked: it reads the time of the second
// latest, and then both by their span.
func (h *history) compare(outside bool) protocol.Plan {
	if outside {
		return h.walk(1, protocol.Answer{})
	}
	return h.then(h.step(RSD{Selector: SelectLast, Last: 2}, nil), func(answer protocol.Answer) protocol.Plan {
		if answer.Err != nil && !protocol.IsRefusal(answer.Err) {
			return h.done(answer.Err)
		}
		if len(answer.Result.Samples) == 0 || !answer.Result.Samples[0].Time.Before(h.newest) {
			return h.walk(1, protocol.Answer{}) // there is just one, or one came meanwhile
		}
		second := answer.Result.Samples[0].Time
		step := h.step(h.span(second, h.newest.Add(time.Second)), func(samples []protocol.Sample) string {
			if len(samples) > 1 {
				return rowsSeveral
			}
			return rowsOne
		})
		return h.then(step, func(answer protocol.Answer) protocol.Plan {
			switch {
			case answer.Err != nil && !protocol.IsRefusal(answer.Err):
				return h.done(answer.Err)
			case len(answer.Result.Samples) > 1:
				h.reader = &reader{h.Meters, h.class, severalRows{h.known}}
				return h.readSpan()
			}
			return h.walk(1, protocol.Answer{})
		})
	})
}

// severalRows is what is known of a meter that has just given several rows at once.
type severalRows struct{ protocol.Known }

func (s severalRows) Lacks(block string) bool { return s.Known != nil && s.Known.Lacks(block) }

func (s severalRows) Learned(name string) string {
	switch {
	case name == learnedRows:
		return rowsSeveral
	case s.Known == nil:
		return ""
	}
	return s.Known.Learned(name)
}

// lastRow is the highest number of a row, counted backward.
const lastRow = 255

// mostAlike is how many rows in a row may bring no earlier moment: of those that are made meanwhile there is one
// at most in the time that two reads take.
const mostAlike = 2

// walk reads row by row backward, selector 9. Each brings its own time, so that a freeze that is made
// meanwhile, which moves all others to the next number, only shows one of them twice.
func (h *history) walk(number int, first protocol.Answer) protocol.Plan {
	h.samples = nil
	var before time.Time
	alike := 0
	var step func(number int) protocol.Plan
	take := func(number int, answer protocol.Answer) protocol.Plan {
		if errors.Is(answer.Err, protocol.ErrNoSuchData) && number > 1 {
			return h.reversed()
		}
		if answer.Err != nil {
			return h.cut(answer.Err)
		}
		if len(answer.Result.Samples) == 0 {
			return h.reversed()
		}
		sample := answer.Result.Samples[0]
		switch {
		case sample.Time.Before(h.from):
			return h.reversed()
		case (before.IsZero() || sample.Time.Before(before)) && h.isWanted(sample.Time):
			h.samples = append(h.samples, sample)
		}
		if alike++; before.IsZero() || sample.Time.Before(before) {
			before, alike = sample.Time, 0
		}
		switch {
		case alike > mostAlike:
			return h.cut(garbled("asked for the row before that of %s the meter gives no earlier one", before.In(h.zone).Format(time.RFC3339)))
		case number == lastRow && sample.Time.After(h.from):
			return h.cut(fmt.Errorf("%w: the meter gives one row at a time, and none beyond the latest %d has a number: what it stored before %s is not read",
				protocol.ErrUnsupported, lastRow, before.In(h.zone).Format(time.RFC3339)))
		case number == lastRow:
			return h.reversed()
		}
		return step(number + 1)
	}
	step = func(number int) protocol.Plan {
		return h.then(h.step(RSD{Selector: SelectLast, Last: byte(number)}, nil), func(answer protocol.Answer) protocol.Plan { return take(number, answer) })
	}
	if first.Result.Samples != nil {
		return take(number, first)
	}
	return step(number)
}

// cut is the end of a read that went backward and not as far as it should.
func (h *history) cut(err error) protocol.Plan {
	plan := h.reversed()
	plan.Errors = h.done(err).Errors
	return plan
}

// reversed is the end of a read that went backward: the oldest sample comes first.
func (h *history) reversed() protocol.Plan {
	slices.Reverse(h.samples)
	return h.done(nil)
}
