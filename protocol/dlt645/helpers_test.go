package dlt645

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

var editions = []Version{V2007, V1997}

// shanghai is the zone in which the meters of the tests keep their time.
var shanghai = time.FixedZone("CST", 8*60*60)

// eachEdition runs a test for both editions at a time.
func eachEdition(t *testing.T, test func(t *testing.T, d *Dictionary)) {
	t.Parallel()
	for _, v := range editions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			test(t, Items(v))
		})
	}
}

// address is an address of 2007 known to be good.
func address(text string) Address {
	a, err := ParseAddress(text, V2007)
	if err != nil {
		panic(err)
	}
	return a
}

// meterAt is an address as package protocol has it, of a text known to be good.
func meterAt(text string) protocol.Address {
	return protocol.Address{MeterKey: protocol.MeterKey{Family: familyName, Text: text}}
}

// wire is a frame as it travels.
func wire(from string, control Control, data ...byte) []byte {
	return mustAppend(Frame{address(from), control, data})
}

// lookup returns the item of an identifier.
func lookup(t testing.TB, v Version, di string) Item {
	t.Helper()
	d, err := ParseDI(di, v)
	if err != nil {
		t.Fatal(err)
	}
	item, ok := Items(v).Lookup(d)
	if !ok {
		t.Fatalf("there is no %s", di)
	}
	return item
}

// find returns the item of a name.
func find(t testing.TB, v Version, name string) Item {
	t.Helper()
	item, ok := Items(v).Named(name)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return item
}

// plan plans a read.
func plan(t testing.TB, m *Meters, known protocol.Known, address string, items ...string) protocol.Plan {
	t.Helper()
	plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: meterAt(address), Items: items}, known)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Permission != protocol.PermitRead {
		t.Errorf("the plan needs %s, want %s", plan.Permission, protocol.PermitRead)
	}
	return plan
}

// converse has the conversation of a step as a bus has it. hear returns what the line brings
// after a request.
func converse(t testing.TB, step *protocol.Step, hear func(request []byte) []byte) (protocol.Result, error) {
	t.Helper()
	exchange := &step.First
	for range 1 + maximumParts {
		token := frametest.Trickle(t, exchange.Answer, hear(exchange.Request))
		switch {
		case token == nil && exchange == &step.First:
			return protocol.Result{}, protocol.ErrSilent
		case token == nil:
			return protocol.Result{}, protocol.ErrGarbled // it breaks off
		}
		next, result, err := exchange.Take(token)
		if next == nil || err != nil {
			return result, err
		}
		exchange = next
	}
	t.Fatalf("the conversation goes on after %d requests", 1+maximumParts)
	return protocol.Result{}, nil
}
