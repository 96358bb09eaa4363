package dlt645

import "dlt645-mqtt/protocol"

var _ protocol.FieldRatios = (*Meters)(nil)

// ratiosOfUnits are the ratios of transformers by which values go, by their unit.
var ratiosOfUnits = map[string]protocol.Ratio{
	"V": protocol.RatioVoltage,
	"A": protocol.RatioCurrent, "Ah": protocol.RatioCurrent,
	"kW": protocol.RatioPower, "kvar": protocol.RatioPower, "kVA": protocol.RatioPower,
	"kWh": protocol.RatioPower, "kvarh": protocol.RatioPower, "kVAh": protocol.RatioPower,
}

// ratio returns by which ratio of transformers a value of the item goes that has a unit: what the meter
// measures, and has kept of that. Parameters are as they were set: 04 and, in 1997, C, and the limits of
// the power (B634, B635). The voltages of batteries (02800008, 02800009) are what they are.
func (i Item) ratio(unit string) protocol.Ratio {
	if i.family.dictionary.version == V1997 {
		if i.DI>>12 == 0xC || i.DI == 0xB634 || i.DI == 0xB635 {
			return protocol.RatioNone
		}
		return ratiosOfUnits[unit]
	}
	if i.DI>>24 == 0x04 || i.DI == 0x02800008 || i.DI == 0x02800009 {
		return protocol.RatioNone
	}
	return ratiosOfUnits[unit]
}

// FieldRatio returns by which ratio a field of a record goes. See [protocol.FieldRatios].
func (m *Meters) FieldRatio(name, field string) protocol.Ratio {
	item, ok := m.items.Named(name)
	if !ok {
		return protocol.RatioNone
	}
	f := item.family
	for at := range item.members() {
		for k := range f.fields {
			if f.nameAt(k, at) != name {
				continue
			}
			form, _ := f.form(k, at)
			for _, entry := range form.record {
				if entry.key == field {
					return item.ratio(entry.unit)
				}
			}
		}
	}
	return protocol.RatioNone
}
