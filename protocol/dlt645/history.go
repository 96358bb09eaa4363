package dlt645

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The classes of identifiers, DI3, of what a meter stores by itself.
const (
	classFreeze     = 0x05
	classLoadRecord = 0x06
)

// A history plans to read the samples that one meter has stored, out of its freezes or one of
// its load records.
type history struct {
	*reader
	address  Address // of the meter, or a pattern until it has answered
	from, to time.Time
	parts    []stored
}

// A stored is a part of a freeze, or a load record, as it was asked for.
type stored struct {
	item Item     // of the first record, or from a given time on
	only []string // the values that are wanted, by name; nil: all
	name string   // that an error goes under
	of   string   // the name of the block that was asked for, of which this is a part; else empty
}

// planHistory plans to read what a meter has stored from a moment on. The items are either
// parts of one kind of freeze or one load record.
func (r *reader) planHistory(address Address, request protocol.Request) (protocol.Plan, error) {
	if r.version == V1997 {
		return protocol.Plan{}, fmt.Errorf("%w: DL/T 645-1997 has no freezes, and does not say how load records are read", protocol.ErrUnsupported)
	}
	h := history{reader: r, address: address, from: request.From.In(r.zone), to: request.To}
	var err error
	if h.parts, err = r.storedParts(request.Items); err != nil {
		return protocol.Plan{}, err
	}
	begin := func() protocol.Plan {
		if h.parts[0].item.DI>>24 == classFreeze {
			return h.readFreezes()
		}
		return h.readLoad()
	}
	if address != Anyone {
		return begin(), nil
	}
	plan := r.plan(address, r.addressStep())
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		switch err := answers[0].Err; {
		case err == nil, errors.Is(err, protocol.ErrSilent), errors.Is(err, protocol.ErrGarbled): // it may not know this function
			h.learn(answers)
			return begin(), nil
		default:
			return h.done(nil, err), nil
		}
	}
	return plan, nil
}

// storedParts finds the items of a request for history.
func (m *Meters) storedParts(items []string) (parts []stored, err error) {
	for _, text := range items {
		item, err := m.findStored(text)
		if err != nil {
			return nil, err
		}
		var part stored
		switch item.DI >> 24 {
		case classFreeze:
			// Whatever record was named, all are read, from the last one on.
			record := int(byte(item.DI))
			part.item = m.itemOf(item.DI&^0xFF | 1)
			part.name = storedName(cmp.Or(item.Only, item.Name), "", record)
			if item.Only != "" {
				part.only = []string{storedName(item.Only, occasionOf(item.DI), record)}
			}
		case classLoadRecord:
			part.item = m.itemOf(item.DI&^0xFF | loadSince)
			part.name = item.Name[:strings.LastIndexByte(item.Name, '_')]
		default:
			return nil, badRequest("%s is no stored sample: a history is read of freezes, such as daily_freeze, and of load records, such as load_record_1", text)
		}
		switch i := slices.IndexFunc(parts, func(other stored) bool { return other.item.DI == part.item.DI }); {
		case i < 0:
			parts = append(parts, part)
		case parts[i].only == nil || part.only == nil:
			parts[i].only = nil
		default:
			parts[i].only = append(parts[i].only, part.only...)
		}
	}
	first := parts[0].item.DI
	for _, part := range parts[1:] {
		if part.item.DI>>16 != first>>16 || first>>24 == classLoadRecord {
			return nil, badRequest("%s and %s are not stored together: ask for the parts of one kind of freeze, or for one load record, in one request", parts[0].name, part.name)
		}
	}
	return parts, nil
}

// findStored returns the item of a name or an identifier; the name may lack the number of a
// freeze's record, and say of a load record no more than its class.
func (m *Meters) findStored(text string) (Item, error) {
	names := []string{text + "_1", text + "_since"}
	if value, ok := strings.CutSuffix(text, "_time"); ok {
		names = append(names, value+"_1_time")
	}
	for _, name := range names {
		if item, ok := m.items.Named(name); ok && kindOf(item.DI, m.version) == protocol.KindRecord {
			return item, nil
		}
	}
	item, err := m.find(text)
	if err == nil && item.Name == "" {
		err = badRequest("%s is not in the dictionary; a history is read of the freezes and load records that are", text)
	}
	return item, err
}

// storedName returns the name of a value without the number of its record and the occasion of
// its freeze, if one is given: what the value is called while it is no history.
func storedName(name, occasion string, record int) string {
	number := fmt.Sprintf("_%d", record)
	value, ok := strings.CutSuffix(name, number+"_time")
	if ok {
		value += "_time"
	} else {
		value = strings.TrimSuffix(name, number)
	}
	if occasion != "" {
		value = strings.TrimPrefix(value, occasion+"_freeze_")
	}
	return value
}

// step is the conversation that reads one item for its samples; data go behind its
// identifier. It is shared with nobody.
func (h *history) step(item Item, data ...byte) protocol.Step {
	c := &conversation{meters: h.Meters, address: h.address, meter: h.named(h.address), item: item}
	return protocol.Step{
		Meter: c.meter.MeterKey, Line: lines[h.version], Only: []string{}, Class: h.class, Kind: protocol.KindRecord, Repeatable: true,
		First: c.exchange(c.address, FunctionRead, append(c.item.DI.Append(nil, h.version), data...), 0, nil),
	}
}

// learn takes note of who has answered, so that all samples come from one meter.
func (h *history) learn(answers []protocol.Answer) {
	for _, answer := range answers {
		if address, ok := answeredBy(answer); ok {
			h.address = address
		}
	}
}

// then plans steps, and what to make of their answers.
func (h *history) then(then func(answers []protocol.Answer) protocol.Plan, steps ...protocol.Step) protocol.Plan {
	plan := h.plan(h.address, steps...)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		h.learn(answers)
		return then(answers), nil
	}
	return plan
}

// done is the end: with what was read, and what kept the rest from being read, if anything did.
func (h *history) done(samples []protocol.Sample, err error) protocol.Plan {
	plan := h.plan(h.address)
	plan.History = &protocol.History{Samples: samples}
	if err != nil {
		for _, part := range h.parts {
			plan.Errors = append(plan.Errors, protocol.ItemError{Item: part.name, Err: err})
		}
	}
	return plan
}
