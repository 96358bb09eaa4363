package cjt188

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"dlt645-mqtt/protocol"
)

var _ protocol.Extensible = (*Meters)(nil)

// WithItems returns the protocol with items of a user's own. See [protocol.Extensible]. Each is the whole of
// what an identifier holds behind SER.
func (m *Meters) WithItems(items []protocol.OwnItem) (protocol.Protocol, []error) {
	extended := *m
	extended.own = maps.Clone(m.own)
	if extended.own == nil {
		extended.own = map[DI]protocol.OwnItem{}
	}
	wrong := make([]error, len(items))
	for i, item := range items {
		di, err := ParseDI(strings.ToUpper(item.Identifier))
		switch {
		case err != nil:
		case di == CurrentData, di == BothData, di == ClockData, di == AddressData:
			err = fmt.Errorf("%s holds several values, or the address: its layout is that of the standard", di)
		case di == WriteKey, di == WriteKey2018, di == Valve, di == WriteAddressDI, di == WriteBaseValue:
			err = fmt.Errorf("%s is a key, the valve, the address or the register itself, which no item is", di)
		}
		if err != nil {
			wrong[i] = err
			continue
		}
		extended.own[di] = item
	}
	return &extended, wrong
}

// ownOf returns the item of a user's own that has a name, or is called so in Chinese.
func (m *Meters) ownOf(name string) (DI, protocol.OwnItem, bool) {
	for di, item := range m.own {
		if item.Name == name || protocol.IsChinese(name) && item.Chinese == name {
			return di, item, true
		}
	}
	return 0, protocol.OwnItem{}, false
}

// decodeOwn reads the data of an item of a user's own.
func decodeOwn(item protocol.OwnItem, data []byte) ([]protocol.Value, error) {
	value, err := item.Format.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item.Name, err)
	}
	return []protocol.Value{{Name: item.Name, Unit: item.Unit, Data: value}}, nil
}

// describeOwn says what an item of a user's own is.
func describeOwn(item protocol.OwnItem) protocol.ItemDescription {
	d := protocol.ItemDescription{Name: item.Name, Unit: item.Unit, English: item.English, Chinese: item.Chinese}
	item.Format.Describe(&d)
	return d
}

// planWriteOwn plans the write of an item of a user's own, and the reading of what the meter then has.
func (c *commander) planWriteOwn(di DI, item protocol.OwnItem) (protocol.Plan, error) {
	if !strings.Contains(item.Access, "W") {
		return protocol.Plan{}, badRequest("%s can be read but not written: its row in your table of items would have the access RW", item.Name)
	}
	data, err := item.Format.Append(nil, c.Arguments[protocol.ArgumentValue])
	if err != nil {
		return protocol.Plan{}, err
	}
	sent, err := item.Format.Decode(data)
	if err != nil {
		return protocol.Plan{}, badRequest("%s: %v", item.Name, err)
	}
	return c.meet(func(t Type) (protocol.Plan, error) {
		plan := c.plan(c.send(t, di, data...))
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			was := protocol.EndingOf(answers[0])
			switch {
			case !was.MayBeDone():
				return c.plan(), nil
			case !strings.Contains(item.Access, "R"):
				return c.report(protocol.Report{Note: item.Name + " cannot be read, so nothing tells what the meter has now."}), nil
			}
			plan := c.plan(c.step(register{di: di, names: []string{item.Name}, only: []string{item.Name}}, way{t, c.ways()[0].order}))
			plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
				return c.report(protocol.ReportWritten(item.Name, was, answers[0], func() (*protocol.Value, bool) {
					now := protocol.Value{Name: item.Name, Unit: item.Unit, Data: valueOf(answers[0].Result.Values, item.Name)}
					return &now, reflect.DeepEqual(now.Data, sent)
				})), nil
			}
			return plan, nil
		}
		return plan, nil
	})
}

// errNotReadable is the error for an item that can be written only.
var errNotReadable = errors.New("it can be written but not read")
