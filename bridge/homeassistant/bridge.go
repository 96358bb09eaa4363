package homeassistant

// What the retained topics of bridge and meters say.
const (
	online  = "online"
	offline = "offline"
)

// Bridge is the config of the bridge itself.
func (s *Site) Bridge() *Config {
	b := s.build(s.BridgeID(), s.BridgeID(), s.text("DL/T 645 bridge", "DL/T 645 网桥"))
	b.config.Device.Version, b.config.Device.Model = s.Version, originName
	b.config.StateTopic = s.Root + "/bridge/info"
	b.add("status", s.text("status", "状态"), component{
		Platform: platformBinarySensor, DeviceClass: classConnectivity, Category: diagnostic,
		StateTopic: s.statusTopic(), PayloadOn: online, PayloadOff: offline,
		// Without this the entity could not say that the bridge has gone: it would go with it.
		Availability: []availability{},
	})
	b.add("bus", s.text("bus", "总线"), component{
		Platform: platformBinarySensor, DeviceClass: classConnectivity, Category: diagnostic,
		ValueTemplate: "{{ value_json.bus.state }}", PayloadOn: "up", PayloadOff: "down",
	})
	b.add("queue", s.text("waiting requests", "排队请求"), component{
		Platform: platformSensor, StateClass: measurement, Category: diagnostic, Enabled: disabled(), Icon: "mdi:tray-full",
		ValueTemplate: "{{ value_json.bus.queue }}",
	})
	b.add("utilisation", s.text("bus utilisation", "总线占用率"), component{
		Platform: platformSensor, StateClass: measurement, Unit: "%", Category: diagnostic, Enabled: disabled(), Icon: "mdi:percent-outline",
		ValueTemplate: "{{ (value_json.bus.utilisation * 100) | round(0, 'common', 0) }}", Precision: new(int),
	})
	return &b.config
}
