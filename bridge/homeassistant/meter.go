package homeassistant

import (
	"fmt"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// The keys of the entities that are no points.
const (
	keyRelay      = "relay"
	keyValve      = "valve_control"
	keyConnection = "connection"
	keyEvent      = "event"
	keyRead       = "read_now"
	keySetClock   = "set_clock"
	keyTurnaround = "turnaround"
	keyDrift      = "clock_drift"
)

// patience is how many seconds a command of Home Assistant may be under way. The broker keeps
// none for us, but Home Assistant itself sends what it could not send when it is connected again.
// It allows for clocks that differ a little. The message expires as well, where Home Assistant can say
// so, so that the broker hands nothing over too late.
const patience = 60

// commandTemplate makes a command with a time after which nothing is done any more.
var commandTemplate = fmt.Sprintf(`{"action":"{{ value }}","expires":"{{ (now() + timedelta(seconds=%d)).isoformat() }}"}`, patience)

// Meter is the config of a meter.
func (s *Site) Meter(m Meter) *Config {
	topics := s.Root + "/meter/" + m.Name
	b := s.build(s.MeterID(m.Address), "meter_"+m.Name, s.text("Meter ", "电表 ")+m.Name)
	bridgeOnly := b.config.Availability
	b.config.Device.SerialNumber = m.Address
	b.config.StateTopic = topics + "/state"
	b.config.Availability = []availability{{s.statusTopic()}, {topics + "/availability"}}

	for _, p := range m.Points {
		b.point(p)
	}
	if s.Relay && m.Relay {
		b.add(keyRelay, s.text("relay", "继电器"), component{
			Platform: platformSwitch, ValueTemplate: value(keyRelay), StateOn: "closed", StateOff: "open",
			// It cuts the supply: a command to all switches of an area or a voice assistant leaves out what is
			// for configuration.
			Category:     configuration,
			CommandTopic: s.Root + "/request/relay/" + m.Name, CommandTemplate: commandTemplate,
			PayloadOn: "close", PayloadOff: "trip", Optimistic: new(bool), QoS: 1, MessageExpiry: patience,
		})
	}
	if s.Relay && m.Valve {
		b.add(keyValve, s.text("valve control", "阀门控制"), component{
			// What is neither open nor closed is shown as unknown.
			Platform: platformValve, ValueTemplate: fmt.Sprintf("{{ %[1]s.valve if %[1]s.get('valve') in ['open', 'closed'] else 'None' }}", state), StateOpen: "open", StateClosed: "closed",
			Category:     configuration,
			CommandTopic: s.Root + "/request/relay/" + m.Name, CommandTemplate: commandTemplate,
			PayloadOpen: "valve_open", PayloadClose: "valve_close", Optimistic: new(bool), QoS: 1, MessageExpiry: patience,
		})
	}
	if s.Read {
		b.add(keyRead, s.text("read now", "立即抄读"), component{
			Platform: platformButton, Category: diagnostic, Availability: bridgeOnly,
			CommandTopic: s.Root + "/request/read/" + m.Name, PayloadPress: new(string), QoS: 1, MessageExpiry: patience,
		})
	}
	if s.Maintenance && m.Clock {
		action := "sync_clock"
		b.add(keySetClock, s.text("set clock", "校时"), component{
			Platform: platformButton, Category: configuration,
			CommandTopic: s.Root + "/request/maintenance/" + m.Name, CommandTemplate: commandTemplate, PayloadPress: &action, QoS: 1, MessageExpiry: patience,
		})
	}
	if len(s.EventTypes) > 0 {
		b.add(keyEvent, s.text("event", "事件"), component{
			Platform: platformEvent, StateTopic: topics + "/event", EventTypes: s.EventTypes, Availability: bridgeOnly,
		})
	}
	b.add(keyConnection, s.text("connection", "通信"), component{
		Platform: platformBinarySensor, DeviceClass: classConnectivity, Category: diagnostic,
		StateTopic: topics + "/availability", PayloadOn: online, PayloadOff: offline, Availability: bridgeOnly,
	})
	if m.Name == m.Address {
		return &b.config // it has no name, and bridge/info does not list it
	}
	b.add(keyTurnaround, s.text("turnaround", "响应时间"), component{
		Platform: platformSensor, DeviceClass: classDuration, StateClass: measurement, Unit: "ms", Category: diagnostic,
		StateTopic:    s.Root + "/bridge/info",
		ValueTemplate: fmt.Sprintf("{{ value_json.meters | selectattr('name', 'eq', '%s') | map(attribute='turnaround_ms') | first | default('None') }}", m.Name),
	})
	return &b.config
}

// point adds the entity of a point.
func (b *builder) point(p points.Point) {
	name := p.Name
	if name == "" {
		name = b.text(p.Description.English, p.Description.Chinese)
	}
	if name == "" {
		name = p.Item
	}
	b.add(p.Item, name, pointComponent(p))
	if p.Description.Role == protocol.RoleClock {
		b.add(keyDrift, b.text("clock drift", "时钟误差"), component{
			Platform: platformSensor, DeviceClass: classDuration, StateClass: measurement, Unit: "s", Category: diagnostic, Precision: new(int),
			ValueTemplate: fmt.Sprintf("{{ (as_datetime(value_json.%[1]s) - as_datetime(value_json.get('times', {}).get('%[1]s', value_json.time))).total_seconds() if %[2]s.get('%[1]s') else 'None' }}", p.Item, state),
		})
	}
}

// state is the state in templates. When its topic is cleared, there is none.
const state = "(value_json | default({}))"

// value is the template for a value of the state. One that is not there is None, which to Home
// Assistant means unknown.
func value(name string) string { return fmt.Sprintf("{{ %s.get('%s') }}", state, name) }
