package modbus

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// A Row is a value of a map, for people who look it up.
type Row struct {
	Name, Register, Type, Unit, Access, TextEN, TextZH string
}

// Name returns "modbus/" and the name of the model.
func (m *Map) Name() string { return Name + "/" + m.model }

// Matching returns the values in which all of the words occur: in the name, the English or Chinese text, or
// the register ("holding:2006"), in either case. Without words it returns all.
func (m *Map) Matching(words ...string) (rows []Row) {
	for _, w := range m.rows {
		row := w.row()
		if protocol.HasWords(words, row.has) {
			rows = append(rows, row)
		}
	}
	return rows
}

// has reports whether a word in lower case occurs in the row.
func (r *Row) has(word string) bool {
	return protocol.OccursIn(word, r.Name, r.Register, r.TextEN, r.TextZH)
}

// row shows the row: its type with the order, unless that is the usual one, and the scale.
func (w *row) row() Row {
	shown := w.typeName()
	if w.order != (order{}) {
		shown += " " + map[order]string{{words: true}: "CDAB", {bytes: true}: "BADC", {words: true, bytes: true}: "DCBA"}[w.order]
	}
	if d, err := w.scale.decimal(); err == nil && d.String() != "1" {
		shown += " ×" + d.String()
	}
	if w.ratio != "" {
		shown += " ×" + w.ratio
	}
	access := ""
	if w.access.read {
		access = "R"
	}
	if w.access.write {
		access += "W"
	}
	return Row{w.item, fmt.Sprintf("%s:%04X", w.area, w.register), shown, w.unit, access, w.en, w.zh}
}

// typeName returns the name of the type.
func (w *row) typeName() string {
	for name, f := range forms {
		if f == w.form {
			return name
		}
	}
	switch w.kind {
	case Bit:
		return fmt.Sprintf("bit%d", w.bit)
	case Text:
		return fmt.Sprintf("string%d", w.registers)
	}
	return fmt.Sprintf("raw%d", w.registers)
}
