package uplink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"dlt645-mqtt/uplink/dialect"
)

// deviceColumns are those of the CSV file of DLT645_UPLINK_DEVICES.
var deviceColumns = []string{"root", "meter", "product", "device", "secret", "prefix"}

// ReadDevices reads the CSV file of DLT645_UPLINK_DEVICES. Rows with a device make the meters
// sub-devices of the gateway; rows with a prefix only name what the keys of a meter begin with in
// flat mode. A row without a root means the first of roots. The error has all complaints.
func ReadDevices(data []byte, roots []string) ([]dialect.Device, error) {
	rows, err := readTable(data, deviceColumns, "meter")
	if err != nil {
		return nil, err
	}
	var list []dialect.Device
	var complaints []error
	meters, names, prefixes := map[meterID]bool{}, map[[2]string]bool{}, map[string]bool{}
	flat := 0
	for _, r := range rows {
		d := dialect.Device{
			Root: r.Cells["root"], Meter: r.Cells["meter"], Product: r.Cells["product"],
			Name: r.Cells["device"], Secret: r.Cells["secret"], Prefix: r.Cells["prefix"],
		}
		complain := func(format string, arguments ...any) {
			complaints = append(complaints, fmt.Errorf("line %d: %w", r.Line, fmt.Errorf(format, arguments...)))
		}
		if d.Root == "" && len(roots) > 0 {
			d.Root = roots[0]
		}
		known := false
		for _, root := range roots {
			known = known || root == d.Root
		}
		id, name := meterID{d.Root, d.Meter}, [2]string{d.Product, d.Name}
		switch {
		case !known:
			complain("the root %s is none of DLT645_UPLINK_ROOTS (%s)", d.Root, strings.Join(roots, ", "))
		case meters[id]:
			complain("the meter %s of %s stands there twice", d.Meter, d.Root)
		case d.Name != "" && names[name]:
			complain("the device %s stands there twice", d.Name)
		case d.Name == "" && d.Prefix == "":
			complain("the meter %s has neither a device nor a prefix", d.Meter)
		case d.Name == "" && prefixes[d.Prefix]:
			complain("the prefix %s stands there twice, so that the values of two meters would have one key", d.Prefix)
		}
		if d.Name == "" {
			flat++
		}
		meters[id], names[name], prefixes[d.Prefix] = true, true, true
		list = append(list, d)
	}
	if flat > 0 && flat < len(list) {
		complaints = append(complaints, errors.New("some meters have a device and others have none: give a device to all of them (gateway mode) or to none (flat mode)"))
	}
	return list, errors.Join(complaints...)
}

// A meterID names a meter among those of several bridges.
type meterID struct{ root, meter string }

// devices knows what the cloud calls each meter. In flat mode meters come to be known as they are
// heard of.
type devices struct {
	roots []string
	clash func(without, with meterID) // told of a meter that is left out, since its keys are those of another

	mu     sync.Mutex
	open   bool // flat mode: every meter that is heard of belongs to it
	list   map[meterID]*dialect.Device
	listed map[meterID]bool // in the devices file
	out    map[meterID]bool // left out
	byName map[[2]string]*dialect.Device
}

// newDevices takes the rows of the devices file; without a device in them it is flat mode.
func newDevices(rows []dialect.Device, roots []string) *devices {
	d := &devices{
		roots: roots, clash: func(_, _ meterID) {}, open: flat(rows),
		list: map[meterID]*dialect.Device{}, listed: map[meterID]bool{}, out: map[meterID]bool{}, byName: map[[2]string]*dialect.Device{},
	}
	for i := range rows {
		row := &rows[i]
		d.list[meterID{row.Root, row.Meter}] = row
		d.listed[meterID{row.Root, row.Meter}] = true
		d.byName[[2]string{row.Product, row.Name}] = row
	}
	return d
}

// flat reports whether rows of the devices file mean flat mode.
func flat(rows []dialect.Device) bool { return len(rows) == 0 || rows[0].Name == "" }

// defaultPrefix is what the keys of a meter begin with that the devices file does not name.
func defaultPrefix(meter string) string { return dialect.Key(meter) + "_" }

// of returns the device of a meter, or nil if the cloud is not to hear of it.
func (d *devices) of(id meterID) *dialect.Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	device := d.list[id]
	if device == nil && d.open && !d.out[id] {
		device = d.enter(id)
	}
	return device
}

// enter takes a meter in that the devices file does not name, in flat mode. Meters of several bridges may have one
// name; of those only one has the keys, for the values of two would be one curve: it is the one in the devices file,
// or the one whose root stands first. The caller holds the lock.
func (d *devices) enter(id meterID) *dialect.Device {
	device := &dialect.Device{Root: id.root, Meter: id.meter, Prefix: defaultPrefix(id.meter)}
	for other, of := range d.list {
		if of.Prefix != device.Prefix {
			continue
		}
		if d.listed[other] || d.order(other, id) < 0 {
			d.out[id] = true
			d.clash(id, other)
			return nil
		}
		d.out[other] = true
		delete(d.list, other)
		d.clash(other, id)
	}
	d.list[id] = device
	return device
}

// order compares meters by the places of their roots, and their names.
func (d *devices) order(a, b meterID) int {
	return cmp.Or(cmp.Compare(slices.Index(d.roots, a.root), slices.Index(d.roots, b.root)), cmp.Compare(a.meter, b.meter))
}

// called returns the device that a call from the cloud means, nil if there is none. In flat mode
// the call names the meter, by its name or its prefix, or there is only one.
func (d *devices) called(c dialect.Call) *dialect.Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Device != "" {
		if device := d.byName[[2]string{c.Product, c.Device}]; device != nil {
			return device
		}
		if c.Product != "" {
			return nil
		}
		for name, device := range d.byName { // clouds that do not name the product
			if name[1] == c.Device {
				return device
			}
		}
		return nil
	}
	if !d.open {
		return nil
	}
	var found *dialect.Device
	for _, device := range d.list {
		if c.Meter == "" || device.Meter == c.Meter || device.Prefix == c.Meter || strings.TrimRight(device.Prefix, "_") == c.Meter {
			if found != nil {
				return nil
			}
			found = device
		}
	}
	return found
}

// prefixed returns the device whose keys begin as this one does, and the rest of the key.
func (d *devices) prefixed(key string) (device *dialect.Device, rest string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, candidate := range d.list {
		if tail, ok := strings.CutPrefix(key, candidate.Prefix); ok && (device == nil || len(candidate.Prefix) > len(device.Prefix)) {
			device, rest = candidate, tail
		}
	}
	return device, rest
}
