package dlt698

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A Description is a frame explained: what [Describe] makes of it. Its JSON form begins with the
// keys that frames of DL/T 645 have too: hex, protocol, direction, address, control, function,
// di (the OAD, where there is just one), values, units and more. Then come logical, client, and
// what the frame has of form, piid, acd, security, entries, follow, time_tag, fragment, data and
// reasons. Values keep the order of the frame.
type Description struct {
	Hex      string // the frame without wake-up bytes, upper case, nothing masked
	Frame    Frame
	APDU     *APDU // nil of a fragment
	Inner    *APDU // what was secured, if it is plain text
	Fragment *Fragment
	Values   []protocol.Value
	Refusal  *protocol.Refusal // why there are no values at all

	zone *time.Location
}

// Describe explains one frame, request or answer, perhaps with wake-up bytes before it. Moments are
// in the time of zone. An error says what is wrong with the frame, or with what it carries.
func Describe(frame []byte, zone *time.Location) (Description, error) {
	f, err := ParseFrame(frame)
	if err != nil {
		return Description{}, err
	}
	d := Description{Hex: octet.Hex(octet.TrimWakeUp(frame)), Frame: f, zone: zone}
	if f.Control.Fragmented() {
		fragment, err := ParseFragment(f.Data)
		d.Fragment = &fragment
		return d, err
	}
	a, err := ParseAPDU(f.Data)
	if err != nil {
		return Description{}, fmt.Errorf("frame from %s to %s: %w", d.from(), d.to(), err)
	}
	d.APDU = &a
	if s := a.Sealed; s != nil && !s.Cipher && s.APDU != nil {
		inner, err := ParseAPDU(s.APDU)
		if err != nil {
			return Description{}, fmt.Errorf("frame from %s to %s, the secured part: %w", d.from(), d.to(), err)
		}
		d.Inner = &inner
	}
	d.collect(d.plain())
	return d, nil
}

// plain returns the APDU that says something.
func (d *Description) plain() *APDU {
	if d.Inner != nil {
		return d.Inner
	}
	return d.APDU
}

func (d *Description) from() string {
	if d.Frame.Control.FromServer() {
		return d.Frame.Address.String()
	}
	return "the client"
}

func (d *Description) to() string {
	if d.Frame.Control.FromServer() {
		return "the client"
	}
	return d.Frame.Address.String()
}

// collect puts together what the entries say by the dictionary.
func (d *Description) collect(a *APDU) {
	refused := 0
	for i := range a.Entries {
		e := &a.Entries[i]
		switch {
		case e.DAR != darSuccess:
			refused++
			d.Refusal = e.DAR.refusal(a.Service&^Answered != Get)
		case e.Has && e.Columns != nil:
			d.Values = append(d.Values, protocol.Value{Name: nameOf(e.OAD), Data: rowsOf(e, d.zone)})
		case e.hasData(a):
			d.Values = append(d.Values, valuesOf(e.OAD, e.Data, d.zone)...)
		}
		if e.Then != nil && e.Then.Has {
			d.Values = append(d.Values, valuesOf(e.Then.OAD, e.Then.Data, d.zone)...)
		}
	}
	if a.DAR != darSuccess && a.Service&^Answered != Fault {
		d.Refusal = a.DAR.refusal(false)
	} else if refused != len(a.Entries) {
		d.Refusal = nil
	}
}

// hasData reports whether the entry carries data in that APDU.
func (e *Entry) hasData(a *APDU) bool {
	return e.Has && e.Columns == nil || a.Service == Set || a.Service == Action
}

// nameOf returns the name of an attribute, the OAD itself if the dictionary has none.
func nameOf(oad OAD) string {
	if item, ok := Items().Lookup(oad); ok {
		return item.Name
	}
	if a := Items().byOAD[oad.whole()]; a != nil && oad.Index() == 0 {
		return a.base // a record
	}
	return oad.String()
}

// valuesOf returns what an attribute's data say: by the dictionary if they are laid out as it has
// it, else as they are.
func valuesOf(oad OAD, data Data, zone *time.Location) []protocol.Value {
	if item, ok := Items().Lookup(oad); ok && !item.IsRecord() {
		if values, err := item.Decode(data, zone); err == nil {
			return values
		}
	}
	return []protocol.Value{{Name: oad.String(), Data: data.Value(zone)}}
}

// rowsOf returns the rows of a record as objects.
func rowsOf(e *Entry, zone *time.Location) []any {
	rows := make([]any, 0, e.Rows())
	for i := range e.Rows() {
		var row protocol.Object
		for k, cell := range e.Row(i) {
			if c := e.Columns[k]; c.Related != nil {
				row = append(row, protocol.Member{Name: c.OAD.String(), Value: cell.Value(zone)})
				continue
			}
			for _, value := range valuesOf(e.Columns[k].OAD, cell, zone) {
				row = append(row, protocol.Member{Name: value.Name, Value: value.Data})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// MarshalJSON writes the description as one object.
func (d Description) MarshalJSON() ([]byte, error) {
	direction := "request"
	if d.Frame.Control.FromServer() == (d.Frame.Control&byClient != 0) {
		direction = "response"
	}
	if d.APDU != nil && d.APDU.Service == Report|Answered {
		direction = "report"
	}
	values, units := protocol.ValuesAndUnits(d.Values)
	members := protocol.Object{
		{Name: "hex", Value: d.Hex},
		{Name: "protocol", Value: Name},
		{Name: "direction", Value: direction},
		{Name: "address", Value: d.Frame.Address.String()},
		{Name: "control", Value: d.Frame.Control.String()},
		{Name: "function", Value: d.function()},
		{Name: "di", Value: d.only()},
		{Name: "values", Value: values},
		{Name: "units", Value: units},
		{Name: "more", Value: d.more()},
		{Name: "address_type", Value: d.Frame.Address.Kind.String()},
		{Name: "logical", Value: d.Frame.Address.Logical},
		{Name: "client", Value: fmt.Sprintf("%02X", d.Frame.Client)},
	}
	return json.Marshal(append(members, d.details()...))
}

func (d *Description) function() string {
	switch {
	case d.APDU == nil:
		return "fragment"
	case d.Inner != nil:
		return d.APDU.Service.String() + " of " + d.Inner.Service.String()
	}
	return d.APDU.Service.String()
}

// only returns the OAD where there is just one, else nil.
func (d *Description) only() any {
	if d.APDU == nil || len(d.plain().Entries) != 1 {
		return nil
	}
	return d.plain().Entries[0].OAD.String()
}

// more reports whether another part is to come.
func (d *Description) more() bool {
	if d.APDU == nil {
		return d.Fragment.Kind == FirstFragment || d.Fragment.Kind == MiddleFragment
	}
	a := d.plain()
	return a.Service == Get|Answered && a.Choice == Next && !a.Last && a.DAR == darSuccess
}

// details are the keys that frames of DL/T 645 do not have.
func (d *Description) details() (o protocol.Object) {
	if d.APDU == nil {
		return protocol.Object{{Name: "fragment", Value: protocol.Object{{Name: "kind", Value: d.Fragment.Kind.String()}, {Name: "number", Value: d.Fragment.Number}}}, {Name: "data", Value: octet.Hex(d.Fragment.Data)}}
	}
	a := d.plain()
	if names := choiceNames[a.Service&^Answered]; int(a.Choice) < len(names) && a.Choice > 0 {
		o = append(o, protocol.Member{Name: "form", Value: names[a.Choice]})
	}
	if a.Sealed == nil {
		o = append(o, protocol.Member{Name: "piid", Value: a.PIID & piidNumber})
	}
	if a.Service&Answered != 0 && a.PIID&piidACD != 0 {
		o = append(o, protocol.Member{Name: "acd", Value: true})
	}
	if s := d.APDU.Sealed; s != nil {
		o = append(o, protocol.Member{Name: "security", Value: s.describe()})
	}
	if a.Choice == Next && a.Service&^Answered == Get {
		o = append(o, protocol.Member{Name: "block", Value: a.Block})
	}
	if a.Entries != nil {
		o = append(o, protocol.Member{Name: "entries", Value: describeEntries(a, a.Entries, d.zone)})
	}
	if a.Follow != nil {
		o = append(o, protocol.Member{Name: "follow", Value: describeEntries(&APDU{Service: Get | Answered}, a.Follow, d.zone)})
	}
	if a.TimeTag != nil {
		o = append(o, protocol.Member{Name: "time_tag", Value: protocol.Object{
			{Name: "sent", Value: momentText(Data{Tag: DateTimeS, Bytes: a.TimeTag[:7]}, d.zone)}, {Name: "valid_for", Value: spanText(a.TimeTag[7:])},
		}})
	}
	switch {
	case a.Service&^Answered == Fault:
		o = append(o, protocol.Member{Name: "reasons", Value: []string{faultText(a.DAR)}})
	case a.Body != nil:
		o = append(o, a.describeBody(d.zone)...)
	}
	if d.Refusal != nil {
		o = append(o, protocol.Member{Name: "reasons", Value: d.Refusal.Reasons})
	}
	return o
}

// faultText says why an APDU was not understood.
func faultText(kind DAR) string {
	switch kind {
	case 1:
		return "apdu_not_understood"
	case 2:
		return "service_not_supported"
	}
	return reasonOther
}

func (s *Sealed) describe() protocol.Object {
	mode := "plaintext"
	if s.Cipher {
		mode = "ciphertext"
	}
	o := protocol.Object{{Name: "mode", Value: mode}}
	if s.Cipher {
		o = append(o, protocol.Member{Name: "data", Value: octet.Hex(s.APDU)})
	}
	if s.ID != nil {
		o = append(o, protocol.Member{Name: "sid", Value: octet.Hex(s.ID)}, protocol.Member{Name: "attached", Value: octet.Hex(s.Extra)})
	}
	if s.RN != nil {
		o = append(o, protocol.Member{Name: "rn", Value: octet.Hex(s.RN)})
	}
	if s.MAC != nil {
		o = append(o, protocol.Member{Name: "mac", Value: octet.Hex(s.MAC)})
	}
	return o
}

// describeEntries shows entries as they travel, type by type.
func describeEntries(a *APDU, entries []Entry, zone *time.Location) []any {
	list := make([]any, len(entries))
	for i := range entries {
		e := &entries[i]
		o := protocol.Object{{Name: "oad", Value: e.OAD.String()}}
		if a.Service&^Answered == Action {
			o[0].Name = "omd"
		}
		answered := a.Service&Answered != 0
		if e.Columns != nil {
			if !answered {
				o = append(o, protocol.Member{Name: "rows", Value: e.RSD.value(zone)})
			}
			o = append(o, protocol.Member{Name: "columns", Value: columnTexts(e.Columns)})
		}
		switch {
		case answered && (e.DAR != darSuccess || a.Service&^Answered != Get && a.Service&^Answered != Report):
			o = append(o, protocol.Member{Name: "dar", Value: byte(e.DAR)}, protocol.Member{Name: "text", Value: e.DAR.String()})
		case answered && e.Columns != nil:
			rows := make([]any, e.Rows())
			for k := range rows {
				row := make([]any, len(e.Columns))
				for c, cell := range e.Row(k) {
					row[c] = cell.Value(zone)
				}
				rows[k] = row
			}
			o = append(o, protocol.Member{Name: "rows", Value: rows})
		}
		if e.hasData(a) {
			o = append(o, protocol.Member{Name: "type", Value: e.Data.Tag.String()}, protocol.Member{Name: "data", Value: e.Data.Value(zone)})
		}
		if e.Then != nil {
			then := describeEntries(&APDU{Service: Get | a.Service&Answered}, []Entry{*e.Then}, zone)
			o = append(o, protocol.Member{Name: "then", Value: then[0]})
		}
		list[i] = o
	}
	return list
}

// describeBody shows what is no access to data: how a terminal and its master keep in touch. What
// is not known is shown as hex.
func (a *APDU) describeBody(zone *time.Location) protocol.Object {
	b := a.Body
	moment := func(b []byte) any { return Data{Tag: DateTime, Bytes: b}.Value(zone) }
	switch {
	case a.Service == Link && len(b) == 1+2+10:
		kinds := []string{"login", "heartbeat", "logout"}
		kind := any(b[0])
		if int(b[0]) < len(kinds) {
			kind = kinds[b[0]]
		}
		return protocol.Object{{Name: "type", Value: kind}, {Name: "cycle_seconds", Value: binary.BigEndian.Uint16(b[1:])}, {Name: "time", Value: moment(b[3:])}}
	case a.Service == Link|Answered && len(b) == 1+3*10:
		return protocol.Object{{Name: "result", Value: b[0]}, {Name: "times", Value: []any{moment(b[1:11]), moment(b[11:21]), moment(b[21:])}}}
	case a.Service == Connect && len(b) > connectSize:
		mechanisms := []string{"public", "password", "symmetric", "signature"}
		mechanism := any(b[connectSize-1])
		if int(b[connectSize-1]) < len(mechanisms) {
			mechanism = mechanisms[b[connectSize-1]]
		}
		return protocol.Object{
			{Name: "version", Value: binary.BigEndian.Uint16(b)}, {Name: "protocol_conformance", Value: octet.Hex(b[2:10])}, {Name: "function_conformance", Value: octet.Hex(b[10:26])},
			{Name: "send_size", Value: binary.BigEndian.Uint16(b[26:])}, {Name: "receive_size", Value: binary.BigEndian.Uint16(b[28:])}, {Name: "window", Value: b[30]},
			{Name: "apdu_size", Value: binary.BigEndian.Uint16(b[31:])}, {Name: "timeout_seconds", Value: binary.BigEndian.Uint32(b[33:])}, {Name: "mechanism", Value: mechanism},
			{Name: "data", Value: octet.Hex(b[connectSize:])},
		}
	}
	return protocol.Object{{Name: "data", Value: octet.Hex(b)}}
}

// connectSize is a request to connect up to and with its mechanism: version, conformance of the
// protocol (8 bytes) and of its functions (16), sizes, window, timeout.
const connectSize = 2 + 8 + 16 + 2 + 2 + 1 + 2 + 4 + 1
