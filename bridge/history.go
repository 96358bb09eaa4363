package bridge

import (
	"time"

	"dlt645-mqtt/protocol"
)

// A storedSamples is what a read of stored samples brought. Only such a read has it, and it always
// has.
type storedSamples struct {
	Samples []sample `json:"samples"`        // the oldest first
	Next    string   `json:"next,omitempty"` // the "from" of the request that reads on
}

// A sample is what a meter stored at a moment of its own clock.
type sample struct {
	Time   string          `json:"time"`
	Values protocol.Object `json:"values"`
}

// historyKeys takes the span of a history out of a body, if it has one.
func (r *request) historyKeys(in *body) error {
	from, history, err := in.decodeMoment("from")
	if err != nil {
		return err
	}
	to, bounded, err := in.decodeMoment("to")
	switch {
	case err != nil:
		return err
	case bounded && !history:
		return problemf(CodeBadRequest, `"to" needs a "from": a history begins somewhere`)
	case !history:
		return nil
	case bounded && !to.After(from):
		return problemf(CodeBadRequest, `"to" must be later than "from"`)
	case len(r.items) == 0:
		return problemf(CodeBadRequest, `a history is read of items that the meter stores: name some, such as daily_freeze or load_record_1`)
	case r.maxAge > 0:
		return problemf(CodeBadRequest, `"max_age_ms" does not go with "from": a history is always read from the meter`)
	}
	r.from, r.to, r.long = from, to, true
	epoch := time.Unix(0, 0) // before it nothing was stored
	if from.Before(epoch) {  // the zero time would be no history
		r.from = epoch
	}
	if bounded && !to.After(epoch) { // the zero time would be no bound
		r.to = epoch.Add(time.Second)
	}
	return nil
}

// historyOf writes a history down; units go where those of a read go. The times of samples are
// written like other moments of the meter's own, in its zone.
func (b *Bridge) historyOf(read *protocol.History, units *protocol.Object) *storedSamples {
	h := &storedSamples{Samples: []sample{}}
	if read == nil {
		return h
	}
	moment := func(t time.Time) string { return t.In(b.config.Zone).Format(time.RFC3339) }
	for _, stored := range read.Samples {
		s := sample{Time: moment(stored.Time)}
		for _, value := range stored.Values {
			s.Values.Set(value.Name, value.Data)
			if value.Unit != "" {
				units.Set(value.Name, value.Unit)
			}
		}
		h.Samples = append(h.Samples, s)
	}
	if !read.Next.IsZero() {
		h.Next = moment(read.Next)
	}
	return h
}
