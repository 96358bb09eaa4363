package bridge

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// inspectionInterval is how often a meter with points is asked for what nobody has put into
	// the table: its clock, its count of power failures and, until they are known, its ratings.
	inspectionInterval = time.Hour

	// clockBound is how far a meter's clock may be off. What is more than five minutes can no
	// longer be set by a broadcast.
	clockBound = time.Minute

	itemPowerFailures = "power_down_count"
	itemMaximum       = "maximum_current"
	itemVoltage       = "rated_voltage"
)

// An inspection is what was found out about a meter beside its points.
type inspection struct {
	failures *protocol.Decimal
	drifting bool
	judged   time.Time // when the clock was read that this is known of
	amperes  int64     // the most that the meter is made for; 0: not known
	volts    int64
}

// watts is the most power that three phases at the meter's greatest current can be, at a
// voltage a quarter above the rated one; 0 if that is not known.
func (i *inspection) watts() int64 { return 3 * i.amperes * i.volts * 5 / 4 }

// inspectedItems are what is read of a meter beside its points, if it has them.
var inspectedItems = []string{itemPowerFailures, itemMaximum, itemVoltage}

// inspectMeter reads what the table does not ask for.
func (b *Bridge) inspectMeter(w *watch) error {
	items := w.arranged(inspectedItems, time.Now())
	if catalogue, ok := w.Protocol.(protocol.Catalogue); ok {
		items = slices.DeleteFunc(items, func(item string) bool {
			_, known := catalogue.Describe(item)
			return !known
		})
	}
	w.mu.Lock()
	rated := w.inspected.watts() > 0
	w.mu.Unlock()
	if rated {
		items = slices.DeleteFunc(items, func(item string) bool { return item == itemMaximum || item == itemVoltage })
	}
	var errItems error
	if len(items) > 0 {
		if errItems = b.readAside(w, items); errItems != nil && !errors.Is(errItems, errMissing) {
			return errItems
		}
	}
	if w.current().Shared { // nobody has answered yet, and a clock is asked of one meter
		return errMissing
	}
	err := b.workAside(w, protocol.Request{Verb: protocol.VerbClock})
	if errors.Is(err, protocol.ErrUnsupported) { // a protocol need not know clocks
		return errItems
	}
	return cmp.Or(err, errItems)
}

// inspect draws from a value what it tells beside being a point's.
func (b *Bridge) inspect(w *watch, value protocol.Value, at time.Time) {
	i := &w.inspected
	switch data := value.Data.(type) {
	case string:
		switch value.Name {
		case itemMaximum:
			i.amperes = rating(data)
		case itemVoltage:
			i.volts = rating(data)
		}
	case protocol.Decimal:
		if value.Name != itemPowerFailures {
			return
		}
		if i.failures != nil && data.Compare(*i.failures) > 0 {
			b.event(w, eventPowerFailure, at, member{"count", data}, member{"before", *i.failures})
		}
		i.failures = &data
	}
}

var lastNumber = regexp.MustCompile(`(?:^|[^0-9.])([0-9]{1,6})(?:\.[0-9]*)?[^0-9.]*$`)

// rating reads what meters say of their ratings, rounded up: "60A", "5(60)A", "3*220V", "57.7V".
// 0: nothing that can be understood.
func rating(text string) int64 {
	found := lastNumber.FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0
	}
	return n + 1
}

// judgeClock tells once that a clock is off, and once that it is right again.
func (b *Bridge) judgeClock(w *watch, ahead time.Duration, at time.Time) {
	if at.Before(w.inspected.judged) {
		return // somebody else has read it since, and it may have been set before
	}
	w.inspected.judged = at
	off := ahead.Abs() > clockBound
	if off == w.inspected.drifting {
		return
	}
	if b.config.Clock != nil && b.config.Clock() != nil {
		return // ours may be the one that is off
	}
	w.inspected.drifting = off
	kind := eventClock
	if !off {
		kind = eventClockRight
	}
	b.event(w, kind, at, member{"drift_s", seconds(&ahead)}, member{"bound_s", int(clockBound.Seconds())})
}
