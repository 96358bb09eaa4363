package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/simulator"
	"dlt645-mqtt/test/line"
)

// TestMetersOfSeveralSpeeds polls meters at three settings of one line. Each is read, and little of the wire is lost.
func TestMetersOfSeveralSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, odd := protocol.Mode{Baud: 9600, Parity: "even", Stop: 1}, protocol.Mode{Baud: 1200, Parity: "odd", Stop: 2}
		modes := map[string]protocol.Mode{"a": {}, "b": fast, "c": fast, "d": odd}
		var simulated []*simulator.Meter
		var named []meters.Meter
		spoken := newProtocols(time.FixedZone("", 8*60*60))["2007"]
		for _, name := range []string{"a", "b", "c", "d"} {
			address := "00000000000" + string(name[0]-'a'+'1')
			m, err := simulator.NewMeter(simulator.MeterOptions{Address: address, Mode: modes[name]})
			if err != nil {
				t.Fatal(err)
			}
			simulated = append(simulated, m)
			named = append(named, meters.Meter{Name: name, Address: line.AddressOf(spoken, address), Protocol: spoken, Mode: modes[name]})
		}
		site := line.NewSite(t, simulator.BusOptions{Meters: simulated, Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4}, nil)
		site.Stop()
		site.Meters = named
		site.Start(t)
		defer site.Stop()
		ended := make(chan int, len(named))
		for _, m := range named {
			go func() {
				read := 0
				for begin := time.Now(); time.Since(begin) < 5*time.Minute; {
					var reply struct{ OK bool }
					if err := json.Unmarshal(site.Ask("read/"+m.Name, []byte("voltage_a")), &reply); err != nil || !reply.OK {
						t.Errorf("%s cannot be read: %v", m.Name, err)
						break
					}
					read++
				}
				ended <- read
			}()
		}
		least, most := 1<<30, 0
		for range named {
			read := <-ended
			least, most = min(least, read), max(most, read)
		}
		if used := site.Bus.State().Utilisation; used < 0.9 || least < 100 || most-least > 1 {
			t.Errorf("%.0f %% of the wire are used, the meters are read %d to %d times", 100*used, least, most)
		}
	})
}

// TestModesOfMetersInTheConfiguration reads settings of the line for one meter, and says who sets them where we cannot.
func TestModesOfMetersInTheConfiguration(t *testing.T) {
	for _, test := range []struct{ bus, meter, want string }{
		{"serial:///dev/ttyUSB0", "a=1?baud=9600&parity=none&stop=2", "{9600 none 2}"},
		{"sim://?meters=1", "a=1@1997?baud=1200", "{1200  0}"},
		{"sim://?meters=1", "a=1@1997", "{0  0}"},
		{"tcp://10.0.0.1:4001", "a=1", "{0  0}"},
		{"tcp://10.0.0.1:4001", "a=1?baud=9600", "a meter has a speed, parity or stop bits of its own, but the serial server or the DTU"},
		{"listen://127.0.0.1:4001", "a=1@1997?parity=none", "a meter has a speed, parity or stop bits of its own, but the serial server or the DTU"},
		{"serial:///dev/ttyUSB0", "a=1?baud=100", "baud=100: write a whole number from 300 to 921600"},
		{"serial:///dev/ttyUSB0", "a=1?parity=mark", "write even, odd or none"},
		{"serial:///dev/ttyUSB0", "a=1?stop=3", "stop=3: write a whole number from 1 to 2"},
		{"serial:///dev/ttyUSB0", "a=1?logical=1", `protocol 2007 has no option "logical"`},
		{"serial:///dev/ttyUSB0", "a=1?baud", `"baud" is no option`},
		{"serial:///dev/ttyUSB0", "a=1?baud=1200&baud=2400", "option baud is given twice"},
	} {
		setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": test.bus, "DLT645_METERS": test.meter})
		c, err := readConfig(true)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case len(c.meters) == 1:
			mode, _ := json.Marshal(c.meters[0].Mode)
			got = string(mode)
			got = strings.NewReplacer(`{"Baud":`, "{", `,"Parity":"`, " ", `","Stop":`, " ").Replace(got)
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s on %s: %s, want %s", test.meter, test.bus, got, test.want)
		}
	}
}

// TestSimulatedMeterWithAMode reads a meter of sim:// that hears another speed than the line's.
func TestSimulatedMeterWithAMode(t *testing.T) {
	addresses := url.Values{"addresses": {"1,2@1997?baud=9600&parity=none"}}
	setAll(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": "sim://?baud=19200&" + addresses.Encode(),
		"DLT645_METERS": "a=1,b=2@1997?baud=9600&parity=none",
	})
	for _, meter := range []string{"a", "b"} {
		if status, out, stderr := execute(t, "", "read", meter, "voltage_a"); status != 0 || !strings.Contains(out, "voltage_a") {
			t.Errorf("%s: status %d, %s%s", meter, status, out, stderr)
		}
	}
}

// TestEntryOfAFoundMeter writes what DLT645_METERS has to say of a meter that a scan has found, so that it can be read again.
func TestEntryOfAFoundMeter(t *testing.T) {
	of := bus.Settings{Baud: 2400, Parity: "even"}
	for _, test := range []struct {
		found foundMeter
		want  string
	}{
		{foundMeter{"000000000001", "2007", "", "even", 2400}, "000000000001@2007"},
		{foundMeter{"000000000001", "1997", "", "none", 9600}, "000000000001@1997?baud=9600&parity=none"},
		{foundMeter{"00001234567890", "188", "type=10", "even", 9600}, "00001234567890@188?type=10&baud=9600"},
	} {
		if got := test.found.entry(of); got != test.want {
			t.Errorf("%+v: %s, want %s", test.found, got, test.want)
		}
	}
}

// TestPasswordsWhereAProtocolNeedsThem allows classes of commands without a password, which is a fault only if a meter is
// named whose protocol needs one for them.
func TestPasswordsWhereAProtocolNeedsThem(t *testing.T) {
	for _, test := range []struct{ meters, allow, want string }{
		{"", "relay", "relay needs a meter password of level 02"},
		{"a=1", "write", "write needs a meter password of level 04"},
		{"a=1", "maintenance", "maintenance needs a meter password:"},
		{"a=1", "broadcast", ""},
		{"w=1@188", "relay", ""},
		{"r=7@modbus/dtsu666", "relay,write,maintenance", ""},
		{"r=7@modbus/dtsu666,a=1", "relay", "relay needs a meter password of level 02"},
	} {
		setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": "sim://", "DLT645_METERS": test.meters, "DLT645_ALLOW": test.allow})
		_, err := readConfig(true)
		if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s of %q: %s, want %q", test.allow, test.meters, got, test.want)
		}
	}
}

// FuzzMeterEntry reads any entry of DLT645_METERS. What is taken is one meter at a mode that a line can have.
func FuzzMeterEntry(f *testing.F) {
	for _, text := range []string{"1", "12@1997?baud=9600", "7@modbus/dtsu666?baud=9600&parity=none&stop=2", "1@188?type=10", "@?=&", "1@2007?stop=3"} {
		f.Add(text)
	}
	protocols := newProtocols(time.UTC)
	c := config{protocols: protocols, protocol: protocols["2007"], bus: bus.Config{Modes: true}}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := c.meter("m", text)
		if err != nil {
			return
		}
		again, err := m.Protocol.ParseAddress(m.Address.Text)
		if err != nil || again.Text != m.Address.Text {
			t.Errorf("%q: the address %v becomes %v, %v", text, m.Address, again, err)
		}
		if b := m.Mode.Baud; b != 0 && protocol.CheckBaud(b) != nil || m.Mode.Parity != "" && protocol.CheckParity(m.Mode.Parity) != nil || m.Mode.Stop < 0 || m.Mode.Stop > 2 {
			t.Errorf("%q: mode %+v", text, m.Mode)
		}
	})
}
