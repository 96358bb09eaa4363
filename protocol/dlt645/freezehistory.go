package dlt645

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// A freezeHistory reads the freezes of one occasion backward in time, from the last one, whose
// record has the number 1, until they are older than what is asked for. It reads the time of
// each first.
//
// A freeze that is made meanwhile moves all others to the next number. So the parts of a
// record belong to its time only if the record behind it is older, or if the record itself
// still has that time. Else the time is sought behind it, and the parts are read again.
type freezeHistory struct {
	history
	times   DI        // of the freezes, without the number of a record
	last    int       // the highest number of a record; fewer than MostSamples
	record  int       // the number of the record whose parts are read
	at      time.Time // the time of that record
	sought  time.Time // of the record that has moved; zero if none has
	samples []protocol.Sample
	refused []protocol.ItemError // parts that the meter does not freeze
	whole   string               // the block that is read in parts; empty: none is
	denial  error                // why
}

// readFreezes plans to read freezes.
func (h history) readFreezes() protocol.Plan {
	w := &freezeHistory{history: h}
	w.times = w.parts[0].item.DI & 0xFFFF0000
	for w.last < 0xFF {
		if _, ok := w.items.Lookup(w.times + DI(w.last+1)); !ok {
			break
		}
		w.last++
	}
	return w.seek(1)
}

// timeStep reads the time of a record.
func (w *freezeHistory) timeStep(record int) protocol.Step {
	return w.step(w.itemOf(w.times | DI(record)))
}

// frozenAt returns when a record was frozen; zero if there is no such record.
func frozenAt(answer protocol.Answer) (time.Time, error) {
	switch {
	case hasNone(answer.Err):
		return time.Time{}, nil
	case answer.Err != nil || len(answer.Result.Values) == 0:
		return time.Time{}, answer.Err
	}
	text, ok := answer.Result.Values[0].Data.(string)
	if !ok {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, text)
}

// seek plans to read the time of a record, and the record then.
func (w *freezeHistory) seek(record int) protocol.Plan {
	if record > w.last {
		return w.end(nil)
	}
	return w.then(func(answers []protocol.Answer) protocol.Plan {
		if record == 1 && hasNone(answers[0].Err) {
			return w.end(answers[0].Err)
		}
		at, err := frozenAt(answers[0])
		if err != nil {
			return w.end(err)
		}
		return w.read(record, at)
	}, w.timeStep(record))
}

// read plans to read the parts of the record that was frozen at that time, if it is among those
// asked for, and the time of the one behind it.
func (w *freezeHistory) read(record int, at time.Time) protocol.Plan {
	if at.Before(w.from) { // also where there is no such record
		return w.end(nil)
	}
	w.record, w.at = record, at
	var steps []protocol.Step
	wanted := (w.to.IsZero() || at.Before(w.to)) && (w.sought.IsZero() || !at.After(w.sought))
	if wanted {
		w.sought = time.Time{}
		for _, part := range w.parts {
			steps = append(steps, w.step(w.itemOf(part.item.DI&^0xFF|DI(record))))
		}
	}
	if record < w.last {
		steps = append(steps, w.timeStep(record+1))
	}
	if len(steps) == 0 {
		return w.end(nil)
	}
	return w.then(w.addRecord, steps...)
}

// addRecord makes a sample of the parts of a record, and goes on with the record behind it.
func (w *freezeHistory) addRecord(answers []protocol.Answer) protocol.Plan {
	var behind time.Time
	if w.record < w.last {
		var err error
		if behind, err = frozenAt(answers[len(answers)-1]); err != nil {
			return w.end(err)
		}
		answers = answers[:len(answers)-1]
	}
	if len(answers) == 0 {
		return w.read(w.record+1, behind)
	}
	if w.expand(answers) {
		return w.read(w.record, w.at)
	}
	sample, err := w.sample(answers)
	switch {
	case err != nil, len(w.parts) == 0:
		return w.end(err)
	case !behind.IsZero() && behind.Before(w.at):
		w.samples = append(w.samples, sample)
		return w.read(w.record+1, behind)
	}
	return w.then(func(answers []protocol.Answer) protocol.Plan {
		at, err := frozenAt(answers[0])
		switch {
		case err != nil:
			return w.end(err)
		case at.Equal(w.at):
			w.samples = append(w.samples, sample)
			return w.read(w.record+1, behind)
		}
		w.sought = w.at
		return w.seek(w.record + 1)
	}, w.timeStep(w.record))
}

// expand puts the parts of a freeze in place of the block of all of them, if the meter has no such block. It reports
// whether it did.
func (w *freezeHistory) expand(answers []protocol.Answer) (done bool) {
	var parts []stored
	for i, part := range w.parts {
		c, isBlock := part.item.family.codec.(*concatenation)
		if !isBlock || !hasNone(answers[i].Err) {
			parts = append(parts, part)
			continue
		}
		done = true
		items, _ := c.items(part.item)
		for _, item := range items[1:] { // the time is read anyway
			parts = append(parts, stored{item: item, only: part.only, name: item.Name, of: part.name})
		}
		w.whole, w.denial = part.name, answers[i].Err
	}
	w.parts = parts
	return done
}

// sample makes a sample of the parts of a record. A part that the meter does not freeze is
// reported once and not asked for again. It is not reported if it was asked for as one of all, and
// there are others.
func (w *freezeHistory) sample(answers []protocol.Answer) (protocol.Sample, error) {
	sample := protocol.Sample{Time: w.at, Values: []protocol.Value{}}
	var parts []stored
	for i, part := range w.parts {
		switch err := answers[i].Err; {
		case hasNone(err) && part.of != "":
			continue
		case hasNone(err):
			w.refused = append(w.refused, protocol.ItemError{Item: part.name, Err: err})
			continue
		case err != nil:
			return sample, err
		}
		parts = append(parts, part)
		for _, value := range answers[i].Result.Values {
			value.Name = storedName(value.Name, occasionOf(part.item.DI), w.record)
			if value.Name != "time" && (part.only == nil || slices.Contains(part.only, value.Name)) {
				sample.Values = append(sample.Values, value)
			}
		}
	}
	w.parts = parts
	if w.whole != "" && !slices.ContainsFunc(parts, func(part stored) bool { return part.of == w.whole }) {
		w.refused = append(w.refused, protocol.ItemError{Item: w.whole, Err: w.denial})
		w.whole = ""
	}
	return sample, nil
}

// end is the end of the read, with the oldest sample first.
func (w *freezeHistory) end(err error) protocol.Plan {
	slices.Reverse(w.samples)
	plan := w.done(w.samples, err)
	plan.Errors = append(plan.Errors, w.refused...)
	return plan
}

// occasionOf returns the word for the occasion of a freeze, DI2.
func occasionOf(di DI) string { return occasions[byte(di>>16)][0] }
