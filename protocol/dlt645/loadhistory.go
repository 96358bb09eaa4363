package dlt645

import (
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A loadHistory reads a load record forward in time, in portions of at most two frames, each a
// step of its own. Blocks go by their time: one that is stored meanwhile changes nothing of
// those before it.
type loadHistory struct {
	history
	portion  int       // blocks to ask for at a time
	next     time.Time // the blocks from then on were not asked for yet
	portions int       // that were read
	samples  []protocol.Sample
}

// readLoad plans to read a load record.
func (h history) readLoad() protocol.Plan {
	w := &loadHistory{history: h, next: h.from}
	w.portion = w.parts[0].item.family.codec.(loadRecord).portion(byte(w.parts[0].item.DI >> 16))
	if earliest := time.Date(2000, 1, 1, 0, 0, 0, 0, w.zone); w.next.Before(earliest) {
		w.next = earliest
	}
	// Blocks have whole minutes.
	if minute := w.next.Truncate(time.Minute); minute.Before(w.next) {
		w.next = minute.Add(time.Minute)
	}
	return w.read()
}

// read plans the next portion: function 11H with the number of blocks and the time of the
// first one.
func (w *loadHistory) read() protocol.Plan {
	data, err := loadTime.Append([]byte{octet.ToBCD(w.portion)}, w.next, w.zone)
	if err != nil {
		return w.done(w.samples, err)
	}
	return w.then(w.addPortion, w.step(w.parts[0].item, data...))
}

// addPortion takes in a portion, and goes on behind the last block of a portion.
func (w *loadHistory) addPortion(answers []protocol.Answer) protocol.Plan {
	answer := answers[0]
	switch {
	case hasNone(answer.Err) && w.portions > 0:
		return w.done(w.samples, nil) // other meters say so with an answer without blocks
	case answer.Err != nil:
		return w.done(w.samples, answer.Err)
	}
	w.portions++
	var last time.Time
	for _, sample := range answer.Result.Samples {
		if sample.Time.Before(w.next) {
			continue
		}
		if !w.to.IsZero() && !sample.Time.Before(w.to) {
			return w.done(w.samples, nil)
		}
		if sample.Time.After(last) {
			last = sample.Time
		}
		if len(sample.Values) == 0 {
			continue // not valid, or of another class
		}
		if len(w.samples) == protocol.MostSamples {
			return w.more(sample.Time)
		}
		w.samples = append(w.samples, sample)
	}
	switch blocks := len(answer.Result.Samples); {
	case last.IsZero() && blocks < w.portion: // none, or what goes before the end of the record
		return w.done(w.samples, nil)
	case last.IsZero():
		return w.done(w.samples, garbled("the meter was asked for the load records from %s on, and gave %d from before that, or without a time",
			w.next.Format(time.RFC3339), blocks))
	}
	w.next = last.Add(time.Minute)
	switch {
	case !w.to.IsZero() && !w.next.Before(w.to):
		return w.done(w.samples, nil)
	case w.portions == protocol.MostSamples: // nearly all are not valid
		return w.more(w.next)
	}
	return w.read()
}

// more is the end of a read that leaves samples for another one.
func (w *loadHistory) more(from time.Time) protocol.Plan {
	plan := w.done(w.samples, nil)
	plan.History.Next = from
	return plan
}
