package homeassistant

import "fmt"

// The keys of the entities that are no points.
const (
	keyRelay      = "relay"
	keyValve      = "valve_control"
	keyConnection = "connection"
	keyEvent      = "event"
	keyRead       = "read_now"
	keySetClock   = "set_clock"
	keyTurnaround = "turnaround"
	KeyDrift      = "clock_drift"
	KeyTrip       = "relay_trip"
	keyClose      = "relay_close"
)

// ItemDrift is what the state calls the number of seconds that a meter's clock is ahead.
const ItemDrift = "clock_drift_s"

// patience is how many seconds a command of Home Assistant may be under way. The broker keeps
// none for us, but Home Assistant itself sends what it could not send when it is connected again.
// It allows for clocks that differ a little. The message expires as well, where Home Assistant can say
// so, so that the broker hands nothing over too late.
const patience = 60

// commandTemplate makes a command with a time after which nothing is done any more.
var commandTemplate = fmt.Sprintf(`{"action":"{{ value }}","expires":"{{ (now() + timedelta(seconds=%d)).isoformat() }}"}`, patience)

// Meter is the config of a meter.
func (s *Site) Meter(m ShownMeter) *Config {
	topics := s.Root + "/meter/" + m.Name
	display := m.Display
	if display == "" {
		display = s.text("Meter ", "电表 ") + m.Name
	}
	b := s.build(m.ID, "meter_"+m.Name, display)
	bridgeOnly := b.config.Availability
	b.describe(m)
	b.config.StateTopic = topics + "/state"
	b.config.Availability = []availability{{Topic: s.statusTopic()}, {Topic: topics + "/availability"}}
	b.stale = topics + "/stale"

	full := map[string]string{}
	for _, p := range m.Points {
		c := pointComponent(p, m.Words[p.Item], s.Language)
		if c.Availability = b.fresh(p.Item); m.Flagged[p.Item] {
			c.Enabled = disabled()
		}
		b.add(p.Item, b.name(p, m.Tariffs), c)
		if full[slug(p.Item)] = p.Item; p.Name == "" && p.Description.English != "" {
			full[slug(p.Item)] = s.text(p.Description.English, p.Description.Chinese)
		}
	}
	b.distinct(full)
	if m.Drift {
		b.add(KeyDrift, s.text("clock drift", "时钟误差"), component{
			Platform: platformSensor, DeviceClass: classDuration, StateClass: measurement, Unit: "s", Category: diagnostic, Precision: new(int),
			Icon: "mdi:clock-alert-outline", ValueTemplate: value(ItemDrift), Availability: b.fresh(ItemDrift),
		})
	}
	b.relay(m)
	if s.Relay && m.Valve {
		b.add(keyValve, s.text("valve control", "阀门控制"), component{
			// What is neither open nor closed is shown as unknown.
			Platform: platformValve, ValueTemplate: fmt.Sprintf("{{ %[1]s.valve if %[1]s.get('valve') in ['open', 'closed'] else 'None' }}", state), StateOpen: "open", StateClosed: "closed",
			Category: configuration, Icon: "mdi:valve", Availability: b.fresh("valve"),
			CommandTopic: s.Root + "/request/relay/" + m.Name, CommandTemplate: commandTemplate,
			PayloadOpen: "valve_open", PayloadClose: "valve_close", Optimistic: new(bool), QoS: 1, MessageExpiry: patience,
		})
	}
	if s.Read {
		b.add(keyRead, s.text("read now", "立即抄读"), component{
			Platform: platformButton, Category: diagnostic, Icon: "mdi:refresh", Availability: bridgeOnly,
			CommandTopic: s.Root + "/request/read/" + m.Name, PayloadPress: new(string), QoS: 1, MessageExpiry: patience,
		})
	}
	if s.Maintenance && m.Clock {
		b.command(keySetClock, s.text("set clock", "校时"), "mdi:clock-check-outline", "maintenance", "sync_clock", m.Name)
	}
	if len(s.EventTypes) > 0 {
		b.add(keyEvent, s.text("event", "事件"), component{
			Platform: platformEvent, Icon: "mdi:bell-outline", StateTopic: topics + "/event", EventTypes: s.EventTypes, Availability: bridgeOnly,
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
		Platform: platformSensor, DeviceClass: classDuration, StateClass: measurement, Unit: "ms", Category: diagnostic, Enabled: disabled(),
		StateTopic:    s.Root + "/bridge/info",
		ValueTemplate: fmt.Sprintf("{{ value_json.meters | selectattr('name', 'eq', '%s') | map(attribute='turnaround_ms') | first | default('None') }}", m.Name),
	})
	return &b.config
}

// describe says what the device is, as far as the meter has said so itself.
func (b *builder) describe(m ShownMeter) {
	d := &b.config.Device
	d.SerialNumber, d.Via = m.Address, b.BridgeID()
	d.Manufacturer, d.Version, d.Hardware = m.Manufacturer, m.Software, m.Hardware
	if d.Model, d.ModelID = m.Model, m.Edition; m.Model == "" {
		d.Model, d.ModelID = m.Edition, ""
	}
}

// relay adds what switches the relay. It cuts the supply: a command to all that is in an area, or to a voice
// assistant, leaves out what is for configuration.
func (b *builder) relay(m ShownMeter) {
	if !b.Relay {
		return
	}
	shut := m.Close
	if shut == "" {
		shut = "close"
	}
	switch m.Relay {
	case Switch:
		b.add(keyRelay, b.text("relay", "继电器"), component{
			Platform: platformSwitch, ValueTemplate: value(keyRelay), StateOn: "closed", StateOff: "open",
			Category: configuration, Icon: "mdi:electric-switch", Availability: b.fresh(keyRelay),
			CommandTopic: b.Root + "/request/relay/" + m.Name, CommandTemplate: commandTemplate,
			PayloadOn: shut, PayloadOff: "trip", Optimistic: new(bool), QoS: 1, MessageExpiry: patience,
		})
	case Buttons:
		b.command(KeyTrip, b.text("open relay", "跳闸"), "mdi:electric-switch", "relay", "trip", m.Name)
		b.command(keyClose, b.text("close relay", "合闸"), "mdi:electric-switch-closed", "relay", shut, m.Name)
	}
}

// command adds a button that gives a command.
func (b *builder) command(key, name, icon, verb, action, meter string) {
	b.add(key, name, component{
		Platform: platformButton, Category: configuration, Icon: icon,
		CommandTopic: b.Root + "/request/" + verb + "/" + meter, CommandTemplate: commandTemplate, PayloadPress: &action, QoS: 1, MessageExpiry: patience,
	})
}

// state is the state in templates. When its topic is cleared, there is none.
const state = "(value_json | default({}))"

// value is the template for a value of the state. One that is not there is None, which to Home
// Assistant means unknown.
func value(name string) string { return fmt.Sprintf("{{ %s.get('%s') }}", state, name) }
