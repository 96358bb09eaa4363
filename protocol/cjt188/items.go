package cjt188

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// itemsCSV is the dictionary: one line for each value, those of an identifier in the order of the
// wire. {n} runs over the months of the settlements.
//
//go:embed items.csv
var itemsCSV string

// A family is what one layout of an identifier is for.
type family string

// The families.
const (
	water   family = "water"
	gas     family = "gas"
	heat    family = "heat"
	cooling family = "cooling"
	other   family = "other"
)

var families = []family{water, heat, cooling, gas, other}

// family returns what layout the data of a meter of the type have; "" where that is not known.
func (t Type) family() family {
	switch {
	case t == Cooling:
		return cooling
	case t.isHeat():
		return heat
	case t.isWater():
		return water
	case t.isGas():
		return gas
	case t.IsValid():
		return other
	}
	return ""
}

// A kind is how a value travels.
type kind uint8

const (
	withUnit kind = iota // BCD, and a unit code
	digits               // BCD
	clock                // ss mm hh DD MM YY CC
	status               // ST
	opaque               // in hex
)

// A value is one value of an identifier.
type value struct {
	name     string
	kind     kind
	size     int // bytes, the unit code aside
	decimals int
	unit     string
	access   string
	en, zh   string
}

// wireSize is how many bytes the value takes.
func (v *value) wireSize() int {
	if v.kind == withUnit {
		return v.size + 1
	}
	return v.size
}

// A layout is the data of an identifier of meters of one family.
type layout []value

func (l layout) size() (n int) {
	for i := range l {
		n += l[i].wireSize()
	}
	return n
}

// What is derived from the status word.
const (
	valveItem   = "valve"
	batteryItem = "battery_low"
)

type layoutKey struct {
	di     DI
	family family
}

// A dictionary is the table, compiled.
type dictionary struct {
	layouts map[layoutKey]layout
	order   []DI
}

// tableRows returns the lines of the table.
var tableRows = sync.OnceValue(func() [][]string {
	rows, err := protocol.ReadTable(itemsCSV, 8)
	if err != nil {
		panic(err)
	}
	return rows
})

// table returns the dictionary.
var table = sync.OnceValue(func() *dictionary {
	d := &dictionary{layouts: make(map[layoutKey]layout)}
	for _, row := range tableRows() {
		for n := range settlements {
			text := strings.ReplaceAll(row[0], "n", fmt.Sprintf("%X", n))
			di, err := ParseDI(text)
			if err != nil {
				panic(err)
			}
			d.add(di, row, strconv.Itoa(n+1))
			if text == row[0] {
				break
			}
		}
	}
	return d
})

// add adds a value to an identifier.
func (d *dictionary) add(di DI, row []string, n string) {
	fill := func(text string) string { return strings.ReplaceAll(text, "{n}", n) }
	v := value{name: fill(row[2]), unit: row[4], access: row[5], en: fill(row[6]), zh: fill(row[7])}
	picture, unit := strings.CutSuffix(row[3], "+U")
	switch {
	case picture == "status":
		v.kind, v.size = status, 2
	case picture == "hex3":
		v.kind, v.size = opaque, 3
	case picture[0] != 'X':
		v.kind, v.size = clock, len(picture)/2
	default:
		whole, fraction, _ := strings.Cut(picture, ".")
		v.kind, v.size, v.decimals = digits, (len(whole)+len(fraction))/2, len(fraction)
		if unit {
			v.kind = withUnit
		}
	}
	for _, f := range families {
		if row[1] == "all" || slices.Contains(strings.Fields(row[1]), string(f)) {
			key := layoutKey{di, f}
			d.layouts[key] = append(d.layouts[key], v)
		}
	}
	if !slices.Contains(d.order, di) {
		d.order = append(d.order, di)
	}
}

// A position is where a unit code stands.
type position uint8

// The positions.
const (
	unitBehind position = 1 + iota // by the standard
	unitBefore                     // in the field, of heat meters
)

// known is how a meter departs from the standard, as far as it is known.
type known struct {
	unit    position // 0: to be found out in each frame
	fromTop bool     // the bits of ST are counted from the top
}

// decode reads the data of an identifier that follow SER, of a meter of type t. Identifiers that
// the table lacks bring hex. The error wraps [protocol.ErrGarbled].
func decode(di DI, t Type, data []byte, k known, zone *time.Location) ([]protocol.Value, error) {
	l := table().layouts[layoutKey{di, t.family()}]
	if l == nil {
		return []protocol.Value{{Name: di.String(), Data: octet.Hex(data)}}, nil
	}
	if len(data) != l.size() {
		return nil, garbled("%s of a meter of type %s has %d bytes behind SER, not %d", di, t, l.size(), len(data))
	}
	if di.settlement() > 0 {
		// The unit tells what the value is of, which the type of a meter of heat leaves open.
		if u, ok := unitOf(data[len(data)-1]); ok && u.name == cubicMetre {
			l = table().layouts[layoutKey{di, water}]
		}
	}
	where := k.unit
	if where == 0 {
		where = l.position(data)
	}
	values := make([]protocol.Value, 0, len(l)+2)
	for i := range l {
		v := &l[i]
		field := data[:v.wireSize()]
		data = data[v.wireSize():]
		var err error
		if values, err = v.decode(values, field, where, k, zone); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return values, nil
}

// position finds out where the unit codes stand: where more fields have one that fits. When in
// doubt it is behind, as the standard has it; so it is where nothing but one pair of digits of a volume
// looks like a code, for only meters of heat are known to send codes before the number.
func (l layout) position(data []byte) position {
	before, behind, doubtful := 0, 0, 0
	for i := range l {
		v := &l[i]
		field := data[:v.wireSize()]
		data = data[v.wireSize():]
		if v.kind != withUnit {
			continue
		}
		if v.takes(field[0]) {
			before++
			if l.isOfVolumes() && !octet.IsNotBCD(field[0]) {
				doubtful++
			}
		}
		if v.takes(field[len(field)-1]) {
			behind++
		}
	}
	if before > behind && (before > 1 || doubtful == 0) {
		return unitBefore
	}
	return unitBehind
}

// isOfVolumes reports whether the layout has no other values with a unit than volumes, as those of water and gas.
func (l layout) isOfVolumes() bool {
	return !slices.ContainsFunc(l, func(v value) bool { return v.kind == withUnit && v.unit != cubicMetre })
}

// takes reports whether a unit code fits the value. Energy is in kWh or in GJ.
func (v *value) takes(code byte) bool {
	u, ok := unitOf(code)
	return ok && (u.name == v.unit || v.unit == kilowattHour && u.name == gigajoule)
}

// decode appends the value, and what is derived from it.
func (v *value) decode(values []protocol.Value, field []byte, where position, k known, zone *time.Location) ([]protocol.Value, error) {
	result := protocol.Value{Name: v.name, Unit: v.unit}
	switch v.kind {
	case clock:
		result.Data = moment(field, zone)
	case opaque:
		result.Data = octet.Hex(field)
	case status:
		result.Data = octet.Hex(field)
		valve, low := statusOf(field[0], k.fromTop)
		return append(values, result, protocol.Value{Name: valveItem, Data: valve}, protocol.Value{Name: batteryItem, Data: low}), nil
	default:
		exp := 0
		if v.kind == withUnit {
			code := field[len(field)-1]
			number := field[:len(field)-1]
			if where == unitBefore {
				code, number = field[0], field[1:]
			}
			u, known := unitOf(code)
			switch field = number; {
			case isUnset(field):
			case !known:
				return nil, garbled("%02XH is no unit code, and without one the number has no meaning", code)
			case !v.takes(code):
				return nil, garbled("unit code %02XH means %s, which does not go with %s", code, u.name, v.unit)
			default:
				result.Unit, exp = u.name, u.exp
			}
		}
		if isUnset(field) {
			break
		}
		n, err := number(field)
		if err != nil {
			return nil, err
		}
		result.Data = scaled(n, v.decimals, exp)
	}
	return append(values, result), nil
}

// The states of a valve.
const (
	valveOpen     = "open"
	valveClosed   = "closed"
	valveAbnormal = "abnormal"
)

// statusOf reads the first byte of ST: bits 0 and 1 are the valve (00 open, 01 closed, else
// abnormal), bit 2 a low battery. Some makers count the bits from the top.
func statusOf(st byte, fromTop bool) (valve string, batteryLow bool) {
	bits, battery := st&0x03, st&0x04 != 0
	if fromTop {
		bits, battery = st>>6, st&0x20 != 0
	}
	switch bits {
	case 0:
		return valveOpen, battery
	case 1:
		return valveClosed, battery
	}
	return valveAbnormal, battery
}
