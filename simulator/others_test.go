package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/modbus"
)

// carryOut has plans carried out by the meters of a bus, at once and without faults, and returns what they
// brought.
func carryOut(t *testing.T, line *Bus, p protocol.Protocol, request protocol.Request, meter string, at time.Time) (values map[string]any, report *protocol.Report) {
	t.Helper()
	address, err := p.ParseAddress(meter)
	if err != nil {
		t.Fatal(err)
	}
	request.Address = address
	plan, err := p.Plan(request, nil)
	if err != nil {
		t.Fatal(err)
	}
	values = map[string]any{}
	for range 20 {
		if plan.Report != nil {
			report = plan.Report
		}
		at = at.Add(plan.After)
		var answers []protocol.Answer
		for i := range plan.Steps {
			first := plan.Steps[i].First
			frame := first.Request
			if first.Stamp != nil {
				frame = first.Stamp(at)
			}
			answer := protocol.Answer{Err: protocol.ErrSilent, Came: at}
			heard := line.Answer(frame, at)
			for len(heard) > 0 {
				advance, token, _ := first.Answer(heard, true)
				if token != nil {
					_, answer.Result, answer.Err = first.Take(token)
					break
				}
				heard = heard[max(advance, 1):]
			}
			for _, v := range plan.Steps[i].Values(answer.Result) {
				values[v.Name] = v.Data
			}
			answers = append(answers, answer)
		}
		if plan.Then == nil {
			return values, report
		}
		if plan, err = plan.Then(answers); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the plan does not end")
	return
}

// TestMixedLine reads, writes and switches meters of four protocols on one line.
func TestMixedLine(t *testing.T) {
	line, err := Open(url.Values{"addresses": {"1,000000000002@698,3@188,4@188,5@188,6@modbus,7@modbus/sdm120"}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 18, 0, 0, 0, zone)
	meters := cjt188.New(zone)
	read := func(p protocol.Protocol, meter string, at time.Time, items ...string) map[string]any {
		values, _ := carryOut(t, line, p, protocol.Request{Verb: protocol.VerbRead, Items: items}, meter, at)
		return values
	}
	water := read(meters, "3", at, "volume", "settlement_volume", "volume_h1", "clock", "valve", "settlement_day")
	if len(water) != 6 || water["clock"] != "2026-11-20T18:00:00+08:00" || water["valve"] != "open" || fmt.Sprint(water["settlement_volume"]) != fmt.Sprint(water["volume_h1"]) {
		t.Errorf("the water meter brings %v", water)
	}
	later := read(meters, "3", at.Add(time.Hour), "volume")
	if later["volume"].(protocol.Decimal).Compare(water["volume"].(protocol.Decimal)) <= 0 {
		t.Errorf("the volume goes from %v to %v in an hour", water["volume"], later["volume"])
	}
	heat := read(meters, "4", at, "heat_energy", "thermal_power", "flow_rate", "supply_temperature", "return_temperature", "working_hours", "volume")
	if len(heat) != 7 || fmt.Sprint(heat["supply_temperature"]) != "65.50" || fmt.Sprint(heat["thermal_power"]) != "8.40" {
		t.Errorf("the heat meter brings %v", heat)
	}
	if gas := read(meters, "5", at, "volume"); len(gas) != 1 {
		t.Errorf("the gas meter brings %v", gas)
	}
	_, report := carryOut(t, line, meters, protocol.Request{Verb: protocol.VerbRelay, Command: &protocol.Command{Action: "valve_close", Verify: 10 * time.Second}}, "3", at)
	if report == nil || !report.Verified || report.Valve != "closed" {
		t.Errorf("the valve: %+v", report)
	}
	_, report = carryOut(t, line, meters, protocol.Request{Verb: protocol.VerbMaintenance, Command: &protocol.Command{Action: "sync_clock", Now: at}}, "3", at.Add(time.Minute))
	if report == nil || !report.Verified {
		t.Errorf("the clock: %+v", report)
	}
	_, report = carryOut(t, line, meters, protocol.Request{Verb: protocol.VerbWrite, Command: &protocol.Command{Arguments: protocol.Arguments{"item": "reading_day", "value": json.Number("12")}}}, "3", at)
	if report == nil || !report.Verified {
		t.Errorf("the reading day: %+v", report)
	}
	if counts := line.Devices()[2].(*Meter188).Counts(); counts.Relay != 1 || counts.Writes != 2 {
		t.Errorf("the water meter has counted %+v", counts)
	}

	dtsu, _ := modbus.BuiltIn("dtsu666")
	sdm, _ := modbus.BuiltIn("sdm120")
	rail := read(modbus.New(dtsu), "6", at, "voltage_a", "voltage_ab", "active_power", "forward_active_energy", "frequency", "power_factor")
	if volts := rail["voltage_a"].(protocol.Decimal); len(rail) != 6 || volts.Compare(protocol.Decimal{Coefficient: 200}) < 0 || volts.Compare(protocol.Decimal{Coefficient: 250}) > 0 {
		t.Errorf("the DTSU666 brings %v", rail)
	}
	if other := read(modbus.New(sdm), "7", at, "voltage_a", "forward_active_energy", "combined_active_energy"); len(other) != 3 {
		t.Errorf("the SDM120 brings %v", other)
	}
	var protocols []string
	for _, d := range line.Devices() {
		protocols = append(protocols, d.Protocol()+" "+d.Address())
	}
	if got := strings.Join(protocols, ", "); got != "2007 000000000001, 698 000000000002, 188 00000000000003, 188 00000000000004, 188 00000000000005, modbus/dtsu666 6, modbus/sdm120 7" {
		t.Errorf("the line has %s", got)
	}
}

// TestHabits188 has meters with the habits that are met in the field.
func TestHabits188(t *testing.T) {
	at := time.Date(2026, 11, 20, 18, 0, 0, 0, zone)
	for _, row := range []struct {
		options  Meter188Options
		request  string
		answered bool
	}{
		{Meter188Options{}, "68 AA 01 00 00 00 00 00 00 01 03 90 1F 05", true},
		{Meter188Options{}, "68 20 01 00 00 00 00 00 00 01 03 90 1F 05", false},
		{Meter188Options{}, "68 10 01 00 00 00 00 00 00 01 03 1F 90 05", false},
		{Meter188Options{LowFirst: true}, "68 10 01 00 00 00 00 00 00 01 03 1F 90 05", true},
		{Meter188Options{Insists: true}, "68 AA 01 00 00 00 00 00 00 01 03 90 1F 05", false},
		{Meter188Options{Type: cjt188.Heat, UnitBefore: true}, "68 20 01 00 00 00 00 00 00 01 03 90 1F 05", true},
		{Meter188Options{}, "68 10 02 00 00 00 00 00 00 01 03 90 1F 05", false},
	} {
		row.options.Address = "1"
		m, err := NewMeter188(row.options)
		if err != nil {
			t.Fatal(err)
		}
		request := frametest.FromHex(row.request)
		var sum byte
		for _, c := range request {
			sum += c
		}
		answer := NewBus(BusOptions{Devices: []Device{m}}).Answer(append(request, sum, 0x16), at)
		if (answer != nil) != row.answered {
			t.Errorf("%+v answers %s by %X", row.options, row.request, answer)
		}
		if answer != nil {
			if d, err := cjt188.Describe(answer, zone); err != nil || len(d.Values) < 6 {
				t.Errorf("%+v: %X is %+v, %v", row.options, answer, d, err)
			}
		}
	}
	// Two that answer at once are understood by nobody.
	var both []Device
	for _, address := range []string{"1", "2"} {
		m, err := NewMeter188(Meter188Options{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, m)
	}
	answer := NewBus(BusOptions{Devices: both}).Answer(frametest.FromHex("68AAAAAAAAAAAAAAAA0303810A004916"), at)
	if _, frame, _ := cjt188.SplitFrame(answer, true); frame != nil || len(answer) == 0 {
		t.Errorf("two meters at once are heard as %X", answer)
	}
}

// TestSlaveRefuses answers like a slave what it cannot do, and nothing that is not for it.
func TestSlaveRefuses(t *testing.T) {
	s, err := NewSlave(SlaveOptions{Address: "7"})
	if err != nil {
		t.Fatal(err)
	}
	line := NewBus(BusOptions{Devices: []Device{s}})
	at := time.Date(2026, 11, 20, 18, 0, 0, 0, zone)
	for _, row := range []struct {
		request modbus.Frame
		want    []byte
	}{
		{modbus.Frame{Address: 7, Function: modbus.ReadHolding, Data: []byte{0x50, 0, 0, 2}}, []byte{7, 0x83, 2}},
		{modbus.Frame{Address: 7, Function: modbus.ReadInput, Data: []byte{0x20, 6, 0, 2}}, []byte{7, 0x84, 2}},
		{modbus.Frame{Address: 7, Function: modbus.ReadHolding, Data: []byte{0, 6, 0, 1}}, []byte{7, 3, 2, 0, 1}},
		{modbus.Frame{Address: 8, Function: modbus.ReadHolding, Data: []byte{0, 6, 0, 1}}, nil},
	} {
		b, err := row.request.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer := line.Answer(b, at); !bytes.HasPrefix(answer, row.want) || (answer == nil) != (row.want == nil) {
			t.Errorf("%X is answered by %X, want %X", b, answer, row.want)
		}
	}
	s.SwitchOff(at.Add(time.Minute))
	b, _ := modbus.Frame{Address: 7, Function: modbus.ReadHolding, Data: []byte{0, 6, 0, 1}}.AppendBinary(nil)
	if answer := line.Answer(b, at); answer != nil {
		t.Errorf("a meter that is off answers %X", answer)
	}
}

func TestOpenOthersRefuses(t *testing.T) {
	for parameters, want := range map[string]string{
		"addresses=1@modbus/none":            `no register map "none"`,
		"addresses=248@modbus":               "no number from 1 to 247",
		"addresses=7@modbus,7@modbus":        "two meters 7",
		"addresses=1@188,1@188":              "two meters 00000000000001",
		"addresses=AAAAAAAAAAAAAA@188":       "no address of a single meter",
		"addresses=123456789012345@188":      "14 digits are the most",
		"addresses=7@modbus,7@modbus/sdm120": "two meters 7",
	} {
		values, err := url.ParseQuery(parameters)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", parameters, err, want)
		}
	}
}
