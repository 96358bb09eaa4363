package meters

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
)

// An inspection is what was found out about a meter beside its points.
type inspection struct {
	failures *protocol.Decimal
	drifting bool
	judged   time.Time // when the clock was read that this is known of
	amperes  int64     // the most that the meter is made for; 0: not known
	volts    int64
	device   map[protocol.Role]string // what the meter says that it is, as far as it was read
}

// watts is the most power that three phases at the meter's greatest current can be, at a
// voltage a quarter above the rated one; 0 if that is not known.
func (i *inspection) watts() int64 { return 3 * i.amperes * i.volts * 5 / 4 }

// inspectedRoles are those of what is read of a meter beside its points, if it has them.
var inspectedRoles = append([]protocol.Role{protocol.RolePowerFailures, protocol.RoleMaximumCurrent, protocol.RoleRatedVoltage}, deviceRoles...)

// deviceRoles are those of what a meter is, which is read once, and only where Home Assistant is told of it.
var deviceRoles = []protocol.Role{protocol.RoleManufacturer, protocol.RoleModel, protocol.RoleSoftware, protocol.RoleHardware, protocol.RoleTariffs}

// roles are what items of a meter mean to the bridge, by their names.
type roles map[string]protocol.Role

// rolesOf asks a protocol for the items that mean something to the bridge.
func rolesOf(p protocol.Protocol) roles {
	catalogue, ok := p.(protocol.Catalogue)
	if !ok {
		return nil
	}
	of := roles{}
	for _, role := range append([]protocol.Role{protocol.RoleRelay}, inspectedRoles...) {
		if item := catalogue.Playing(role); item != "" {
			of[item] = role
		}
	}
	return of
}

// inspected lists the items that are read of a meter beside its points, in the order of their roles.
func (r roles) inspected() (items []string) {
	for _, role := range inspectedRoles {
		for item, is := range r {
			if is == role {
				items = append(items, item)
			}
		}
	}
	return items
}

// Inspect reads of a meter what the table does not ask for. An error says why not all was read.
func (k *Keeper) Inspect(name string) error {
	if w := k.poller.named(name); w != nil {
		return k.inspectMeter(w)
	}
	return nil
}

// inspectMeter reads what the table does not ask for.
func (k *Keeper) inspectMeter(w *record) error {
	items := w.arranged(w.roles.inspected(), time.Now())
	w.mu.Lock()
	items = slices.DeleteFunc(items, func(item string) bool {
		switch role := w.roles[item]; {
		case slices.Contains(deviceRoles, role):
			_, known := w.inspected.device[role]
			return known || k.config.Discovery == ""
		case role != protocol.RolePowerFailures:
			return w.inspected.watts() > 0
		}
		return false
	})
	w.mu.Unlock()
	var errItems error
	if len(items) > 0 {
		if errItems = k.readItems(w, items); errItems != nil && !errors.Is(errItems, ErrNotAll) {
			return errItems
		}
	}
	if w.Current().Shared { // nobody has answered yet, and a clock is asked of one meter
		return ErrNotAll
	}
	err := k.carryOut(w, protocol.Request{Verb: protocol.VerbClock})
	if errors.Is(err, protocol.ErrUnsupported) { // a protocol need not know clocks
		return errItems
	}
	return cmp.Or(err, errItems)
}

// inspect takes from a value what it says of the meter, beside being the value of a point.
func (k *Keeper) inspect(w *record, value protocol.Value, at time.Time) {
	i := &w.inspected
	number, isNumber := value.Data.(protocol.Decimal)
	text, isText := value.Data.(string)
	if isNumber {
		text = number.String()
	}
	switch role := w.roles[value.Name]; {
	case role == protocol.RoleRelay:
		if open, ok := value.Data.(bool); ok {
			k.putRelay(w, open, at)
		}
	case !isNumber && !isText:
	case slices.Contains(deviceRoles, role):
		if i.device == nil {
			i.device = map[protocol.Role]string{}
		}
		i.device[role] = strings.TrimSpace(strings.Trim(text, "\x00"))
	case role == protocol.RoleMaximumCurrent:
		i.amperes = rating(text)
	case role == protocol.RoleRatedVoltage:
		i.volts = rating(text)
	case role == protocol.RolePowerFailures && isNumber:
		if i.failures != nil && number.Compare(*i.failures) > 0 {
			k.event(w, eventPowerFailure, at, protocol.Member{Name: "count", Value: number}, protocol.Member{Name: "before", Value: *i.failures})
		}
		i.failures = &number
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
func (k *Keeper) judgeClock(w *record, ahead time.Duration, at time.Time) {
	if at.Before(w.inspected.judged) {
		return // somebody else has read it since, and it may have been set before
	}
	w.inspected.judged = at
	if k.config.Clock != nil && k.config.Clock() != nil {
		return // ours may be the one that is off
	}
	w.state.putDrift(ahead, at)
	off := ahead.Abs() > clockBound
	if off == w.inspected.drifting {
		return
	}
	w.inspected.drifting = off
	kind := eventClock
	if !off {
		kind = eventClockRight
	}
	k.event(w, kind, at, protocol.Member{Name: "drift_s", Value: protocol.Seconds(ahead)}, protocol.Member{Name: "bound_s", Value: int(clockBound.Seconds())})
}
