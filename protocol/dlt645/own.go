package dlt645

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"dlt645-mqtt/protocol"
)

var _ protocol.Extensible = (*Meters)(nil)

// WithItems returns the protocol with items of a user's own. See [protocol.Extensible].
func (m *Meters) WithItems(items []protocol.OwnItem) (protocol.Protocol, []error) {
	extended := *m
	extended.items = &Dictionary{
		version: m.items.version, single: maps.Clone(m.items.single), byHead: m.items.byHead, own: slices.Clone(m.items.own),
	}
	wrong := make([]error, len(items))
	var entries []*entry
	for i, item := range items {
		f, err := extended.items.ownFamily(item)
		if err != nil {
			wrong[i] = err
			continue
		}
		entries = append(entries, f.entry)
		extended.items.single[f.fixed] = f.entry
		extended.items.own = append(extended.items.own, f.fixed)
	}
	extended.items.entries = slices.Concat(entries, m.items.entries)
	extended.items.vocabulary = sync.OnceValue(extended.items.words)
	return &extended, wrong
}

// ownFamily makes the row of an item of a user's own.
func (d *Dictionary) ownFamily(o protocol.OwnItem) (*family, error) {
	di, err := ParseDI(o.Identifier, d.version)
	switch {
	case err != nil:
		return nil, err
	case isBlock(di, d.version):
		return nil, fmt.Errorf("%s asks for a block of items; give each of them a row of its own", o.Identifier)
	case isPassword(di, d.version):
		return nil, fmt.Errorf("%s is a password, or holds one: nobody is shown it, and it is changed by set_password", o.Identifier)
	case strings.Contains(o.Access, "W") && d.version == V2007 && di.holds(diAddress, V2007):
		return nil, fmt.Errorf("%s is the address under which the meter answers, or holds it: its access can only be R, and it is changed by set_address", o.Identifier)
	case strings.Contains(o.Access, "W") && d.version == V2007 && isPortSpeed(di):
		return nil, fmt.Errorf("%s is the speed of a port, or holds it: its access can only be R, and the speed of the port on this bus is changed by set_baud", o.Identifier)
	case strings.ContainsAny(o.Name+o.English+o.Chinese, "{}"):
		return nil, fmt.Errorf("names and texts have no braces")
	}
	format := o.Format
	f := &family{
		dictionary: d, fixed: di, mask: 1<<(8*diSize(d.version)) - 1, item: -1, weekday: -1,
		row: Row{
			Name: o.Name, DI: di.Format(d.version), Picture: format.String(), Unit: o.Unit, Access: o.Access, Origin: "own",
			TextEN: o.English, TextZH: o.Chinese,
		},
		name: literal(o.Name), en: literal(o.English), zh: literal(o.Chinese),
	}
	f.fields = []field{{form: form{picture: Picture{text: format.String(), size: format.Size(), format: &format}}, name: f.name, unit: o.Unit}}
	f.names = sync.OnceValue(f.allNames)
	f.entry = &entry{fixed: f.fixed, mask: f.mask, marks: []mark{{text: o.Name}}}
	f.entry.compiled.Store(f)
	return f, nil
}

// literal is a template without letters.
func literal(text string) template { return template{{text, -1}} }

// isBroken reports whether a block holds an item that a user has laid out otherwise, so that the block
// cannot be read.
func (d *Dictionary) isBroken(block Item) bool {
	return block.Name != "" && slices.ContainsFunc(d.own, func(di DI) bool {
		if block.DI != di && block.DI.holds(di, d.version) {
			return true
		}
		c, ok := block.family.codec.(*concatenation)
		if !ok {
			return false
		}
		parts, _ := c.items(block)
		return slices.ContainsFunc(parts, func(part Item) bool { return part.DI == di })
	})
}
