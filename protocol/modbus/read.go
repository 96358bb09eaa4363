package modbus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"dlt645-mqtt/protocol"
)

// A run is registers, or coils, that are read by one request, and the rows that lie in them.
type run struct {
	area         area
	first, count int
	rows         []*row
}

// end is the first register behind the span.
func (s *run) end() int { return s.first + s.count }

// block names a span of several rows; empty for one alone.
func (s *run) block() string {
	if len(s.rows) < 2 {
		return ""
	}
	return fmt.Sprintf("%s:%04X:%d", s.area, s.first, s.count)
}

// spansOf groups rows into requests: neighbours in one, as far as the map lets it span and skip. A span
// that the meter has refused as one is read in halves.
func spansOf(rows []*row, known protocol.Known) (spans []run) {
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, before)
	for _, w := range sorted {
		first, end := int(w.register), int(w.register)+w.registers
		if last := len(spans) - 1; last >= 0 {
			s := &spans[last]
			longest := w.longest
			for _, other := range s.rows {
				longest = min(longest, other.longest)
			}
			if s.area == w.area && !s.rows[0].isAlone() && !w.isAlone() && first-s.end() <= w.gap && max(end, s.end())-s.first <= longest {
				s.rows, s.count = append(s.rows, w), max(end, s.end())-s.first
				continue
			}
		}
		spans = append(spans, run{w.area, first, w.registers, []*row{w}})
	}
	if known == nil {
		return spans
	}
	for i := 0; i < len(spans); {
		if block := spans[i].block(); block == "" || !known.Lacks(block) {
			i++
			continue
		}
		spans = slices.Replace(spans, i, i+1, spans[i].halves()...)
	}
	return spans
}

// isAlone reports whether the row must have a request of its own: coils in hex, as the answer has them.
func (w *row) isAlone() bool { return w.area.ofBits() && w.kind == Raw }

// halves cuts a span of several rows where most registers are skipped, else in the middle.
func (s *run) halves() []run {
	at, widest := len(s.rows)/2, 0
	end := 0
	for i, w := range s.rows {
		if gap := int(w.register) - end; i > 0 && gap > widest {
			at, widest = i, gap
		}
		end = max(end, int(w.register)+w.registers)
	}
	return []run{spanOf(s.rows[:at]), spanOf(s.rows[at:])}
}

// spanOf returns the span of rows, which are in their order and lie in one area.
func spanOf(rows []*row) run {
	s := run{rows[0].area, int(rows[0].register), 0, rows}
	for _, w := range rows {
		s.count = max(s.count, int(w.register)+w.registers-s.first)
	}
	return s
}

// A reader plans what is read of one meter.
type reader struct {
	*Meters
	class   protocol.Class
	known   protocol.Known
	address byte
	permit  protocol.Permission
	wanted  []*row
	ratios  map[*row]exact // the ratios that are known by now
}

func (m *Meters) reader(request protocol.Request, known protocol.Known) (*reader, error) {
	address, err := ParseAddress(request.Address.Text)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return &reader{Meters: m, class: request.Class, known: known, address: address, permit: protocol.PermitRead, ratios: map[*row]exact{}}, nil
}

// planRead plans a request to read.
func (m *Meters) planRead(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	r, err := m.reader(request, known)
	if err != nil {
		return protocol.Plan{}, err
	}
	if !request.From.IsZero() {
		return protocol.Plan{}, fmt.Errorf("%w: Modbus has no samples that can be read from a moment on", protocol.ErrUnsupported)
	}
	var missing []protocol.ItemError
	var items []string
	for _, text := range request.Items {
		items = append(items, m.meant(text)...)
	}
	for _, text := range items {
		w, err := m.find(text)
		switch {
		case err != nil:
		case !w.access.read:
			err = fmt.Errorf("%w: %s can be written but not read", protocol.ErrUnsupported, w.item)
		case slices.ContainsFunc(r.wanted, func(other *row) bool { return other.item == w.item }):
		default:
			r.wanted = append(r.wanted, w)
		}
		if err != nil {
			missing = append(missing, protocol.ItemError{Item: text, Err: err})
		}
	}
	plan := r.read(r.wanted)
	plan.Errors = append(plan.Errors, missing...)
	return plan, nil
}

// plan returns a plan with these steps.
func (r *reader) plan(steps ...protocol.Step) protocol.Plan {
	return protocol.Plan{Permission: r.permit, Address: r.named(r.address), Steps: steps}
}

// read plans the reads of rows. Ratios that lie apart from what they multiply are read before it.
func (r *reader) read(rows []*row) protocol.Plan {
	all := slices.Clone(rows)
	for _, w := range rows {
		for _, ratio := range w.ratios {
			if _, ok := r.ratios[ratio]; !ok && !slices.Contains(all, ratio) {
				all = append(all, ratio)
			}
		}
	}
	spans := spansOf(all, r.known)
	var apart []*row
	for _, s := range spans {
		for _, ratio := range s.unreadRatios(r.ratios) {
			if !slices.Contains(apart, ratio) {
				apart = append(apart, ratio)
			}
		}
	}
	if len(apart) == 0 {
		return r.readSpans(spans)
	}
	return r.readRatios(apart, rows)
}

// unreadRatios returns the ratios that rows of the span need, and that are neither known nor in it.
func (s *run) unreadRatios(known map[*row]exact) (ratios []*row) {
	for _, w := range s.rows {
		for _, ratio := range w.ratios {
			if _, ok := known[ratio]; !ok && !slices.Contains(s.rows, ratio) {
				ratios = append(ratios, ratio)
			}
		}
	}
	return ratios
}

// readRatios reads ratios, and then what they multiply.
func (r *reader) readRatios(ratios, rows []*row) protocol.Plan {
	plan := r.plan()
	spans := spansOf(ratios, r.known)
	for i := range spans {
		step := r.step(&spans[i])
		step.Only = []string{}
		for _, w := range rows { // who does not get the ratio does not get these
			if slices.ContainsFunc(w.ratios, func(ratio *row) bool { return slices.Contains(spans[i].rows, ratio) }) {
				step.Items = append(step.Items, w.item)
			}
		}
		plan.Steps = append(plan.Steps, step)
	}
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		then := *r
		then.ratios = map[*row]exact{}
		var failed error
		for i, s := range spans {
			if answers[i].Err != nil {
				failed = answers[i].Err
				continue
			}
			for _, ratio := range s.rows {
				for _, v := range answers[i].Result.Values {
					if d, ok := v.Data.(protocol.Decimal); ok && v.Name == ratio.name() {
						then.ratios[ratio] = exactOf(d).short()
					}
				}
			}
		}
		var rest []*row
		next := r.plan()
		for _, w := range rows {
			if slices.ContainsFunc(w.ratios, func(ratio *row) bool {
				_, ok := then.ratios[ratio]
				return slices.Contains(ratios, ratio) && !ok
			}) {
				err := failed
				if err == nil {
					err = garbled("the ratio by which %s is multiplied has no value", w.item)
				}
				next.Errors = append(next.Errors, protocol.ItemError{Item: w.item, Err: err})
				continue
			}
			rest = append(rest, w)
		}
		if len(rest) == 0 {
			return next, nil
		}
		plan := then.read(rest)
		plan.Errors = append(plan.Errors, next.Errors...)
		return plan, nil
	}
	return plan
}

// name is under which name the value of the row comes: that of a ratio without an item is its place.
func (w *row) name() string {
	if w.item != "" {
		return w.item
	}
	return fmt.Sprintf("%s:%04X", w.area, w.register)
}

// readSpans reads spans. One of several rows that the meter refuses, or that has something in it that
// cannot be read, is read in halves, so that no row keeps its neighbours from being read.
func (r *reader) readSpans(spans []run) protocol.Plan {
	plan := r.plan()
	for i := range spans {
		plan.Steps = append(plan.Steps, r.step(&spans[i]))
	}
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		var halves []run
		for i, s := range spans {
			if len(s.rows) > 1 && isCutable(answers[i]) {
				halves = append(halves, s.halves()...)
			}
		}
		if len(halves) == 0 {
			return r.plan(), nil
		}
		var rows []*row
		for _, half := range halves {
			if len(half.unreadRatios(r.ratios)) > 0 { // the ratio is in the other half
				for _, s := range halves {
					rows = append(rows, s.rows...)
				}
				return r.readApart(rows), nil
			}
		}
		return r.readSpans(halves), nil
	}
	return plan
}

// readApart reads rows each by a request of its own, those that are wanted.
func (r *reader) readApart(rows []*row) protocol.Plan {
	var ratios, wanted []*row
	for _, w := range rows {
		if slices.Contains(r.wanted, w) {
			wanted = append(wanted, w)
		}
		for _, ratio := range w.ratios {
			if _, ok := r.ratios[ratio]; !ok && !slices.Contains(ratios, ratio) {
				ratios = append(ratios, ratio)
			}
		}
	}
	single := *r
	single.known = apart{}
	if len(ratios) == 0 {
		return single.readSpans(spansOf(wanted, apart{}))
	}
	return single.readRatios(ratios, wanted)
}

// apart is what is known of a meter that refuses every block.
type apart struct{}

func (apart) Lacks(string) bool     { return true }
func (apart) Learned(string) string { return "" }

// isCutable reports whether a meter has answered, and yet brought nothing.
func isCutable(answer protocol.Answer) bool {
	var refusal *protocol.Refusal
	return errors.As(answer.Err, &refusal) && (refusal.Code == illegalAddress || refusal.Code == illegalValue || refusal.Code == deviceFailure) ||
		errors.Is(answer.Err, protocol.ErrGarbled) && !answer.Result.Address.IsZero()
}

// step is the exchange that reads a span.
func (r *reader) step(s *run) protocol.Step {
	request := readRequest(r.address, s.area.reads(), uint16(s.first), uint16(s.count))
	answer := answerTo(request)
	step := protocol.Step{
		Meter: r.key(r.address), Line: &line, Block: s.block(), Only: []string{},
		Class: r.class, Kind: protocol.KindValue, Repeatable: true,
		Expected: readOverhead + answer.count,
		First: protocol.Exchange{
			Request: answer.request, Answer: answer.split, Longest: readOverhead + answer.count,
			// An answer does not say which registers it is about.
			Vague:   func([]byte) bool { return true },
			Explain: explainer(answer),
			Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
				return r.parseValues(answer, s)
			},
		},
	}
	for _, w := range s.rows {
		if slices.Contains(r.wanted, w) {
			step.Items, step.Only = append(step.Items, w.item), append(step.Only, w.item)
		}
	}
	// The same registers may be read for other rows, or with other ratios.
	names := make([]string, len(s.rows))
	for i, w := range s.rows {
		names[i] = w.name()
		for _, ratio := range w.ratios {
			if e, ok := r.ratios[ratio]; ok {
				names[i] += fmt.Sprintf("*%de-%d", e.n, e.scale)
			}
		}
	}
	step.Key = fmt.Sprintf("%s %X %s", r.name, answer.request, strings.Join(names, " "))
	return step
}

// parseValues reads the values in the answer to a read.
func (r *reader) parseValues(answer []byte, s *run) (*protocol.Exchange, protocol.Result, error) {
	frame, err := ParseFrame(answer)
	if err != nil {
		return nil, protocol.Result{}, garbled("%w", err)
	}
	result := protocol.Result{Address: r.named(frame.Address)}
	if frame.Function&refused != 0 {
		return nil, result, refusalOf(frame.Data[0])
	}
	for _, w := range s.rows {
		factor, err := r.factor(w, s, frame.Data[1:])
		var value protocol.Value
		if err == nil {
			value, err = w.decode(s.registers(w, frame.Data[1:]), factor)
		}
		if err != nil {
			return nil, result, fmt.Errorf("read %s of slave %d: %w", w.name(), r.address, err)
		}
		value.Name = w.name()
		result.Values = append(result.Values, value)
	}
	return nil, result, nil
}

// registers returns the bytes of a row out of those of the span: of a coil one byte, 0 or 1.
func (s *run) registers(w *row, data []byte) []byte {
	at := int(w.register) - s.first
	if w.kind == Bool {
		return []byte{data[at/8] >> (at % 8) & 1}
	}
	if s.area.ofBits() {
		return data // named by its place, and alone
	}
	return data[2*at : 2*(at+w.registers)]
}

// factor returns the product of the ratios of a row; nil if it has none. The error wraps ErrGarbled.
func (r *reader) factor(w *row, s *run, data []byte) (*exact, error) {
	if len(w.ratios) == 0 {
		return nil, nil
	}
	factor := exactOf(protocol.Decimal{Coefficient: 1})
	for _, ratio := range w.ratios {
		e, ok := r.ratios[ratio]
		if !ok {
			var err error
			if e, ok, err = ratio.own(s.registers(ratio, data)); err != nil {
				return nil, fmt.Errorf("%s, by which it is multiplied: %w", ratio.name(), err)
			}
		}
		if !ok || e.n.Sign() <= 0 {
			return nil, garbled("%s, by which it is multiplied, is no number above 0", ratio.name())
		}
		factor = factor.times(e.short())
	}
	return &factor, nil
}

// explainer says what sound frames there are in bytes that are no answer of a slave.
func explainer(asked *awaited) func(heard []byte) string {
	return func(heard []byte) string {
		var words []string
		for i := 0; i < len(heard); {
			size := sizeOfAnswer(heard[i:])
			if size == 0 || size > len(heard)-i || !isSound(heard[i:i+size]) {
				i++
				continue
			}
			f := Function(heard[i+1])
			what := fmt.Sprintf("slave %d answers (%s, %d bytes)", heard[i], f.Name(), size)
			switch {
			case heard[i] != asked.request[0]:
				what += fmt.Sprintf(", where slave %d was asked", asked.request[0])
			case f.isRead() && size != readOverhead+asked.count:
				what += fmt.Sprintf(", where %d bytes were to come", readOverhead+asked.count)
			case f.isRead() && heard[i+1] == asked.request[1]: // else it would be the answer
				what += fmt.Sprintf(", behind more than %d bytes that are no frame", mostNoise)
			}
			words = append(words, what)
			i += size
		}
		return strings.Join(slices.Compact(words), "; ")
	}
}
