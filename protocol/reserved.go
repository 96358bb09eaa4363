package protocol

import "slices"

// reserved are the members of a meter's state that are no items, and the entities of Home Assistant that stand
// beside those of its items.
var reserved = []string{
	"time", "times", "relay", "clock_drift_s",
	"clock_drift", "connection", "event", "read_now", "relay_close", "relay_trip", "set_clock", "turnaround", "valve_control",
}

// IsReserved reports whether the bridge calls something of its own by a name, so that no item can be called so.
func IsReserved(name string) bool { return slices.Contains(reserved, name) }

// IsItemName reports whether an item that somebody adds may have the name, which is a key in JSON and the id of an
// entity: 64 lower case letters, digits and _ at most, a letter first.
func IsItemName(name string) bool {
	for i, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
