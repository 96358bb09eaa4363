package bridge

import (
	"math"
	"sync"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// infoInterval is the shortest time between two versions of bridge/info.
const infoInterval = 10 * time.Second

// infoLatest is how long after the last one the same is published again, for whoever gets nothing that is retained: a
// database that subscribes with filters at a RabbitMQ, and anybody at another node of its cluster.
const infoLatest = time.Minute

// info is what bridge/info says: who we are, how the bus is, which meters there are.
type info struct {
	Version   string      `json:"version"`
	Started   string      `json:"started"` // when this process began
	Host      string      `json:"host"`    // the name of its machine
	Site      string      `json:"site,omitempty"`
	Table     string      `json:"table"` // the hash of the point table in force
	Counters  counters    `json:"counters"`
	Protocols []string    `json:"protocols"`
	Allow     []string    `json:"allow"`
	Bus       infoBus     `json:"bus"`
	Meters    []infoMeter `json:"meters"`
}

// counters count since the start of the process.
type counters struct {
	Replies  uint64 `json:"replies"`
	Commands uint64 `json:"commands"` // of the replies: those to write, relay, maintenance and broadcast
	Errors   uint64 `json:"errors"`   // of the replies: those that are not ok
}

type infoBus struct {
	URL         string  `json:"url"`
	State       string  `json:"state"` // "up", "down"
	Baud        int     `json:"baud"`
	Echo        bool    `json:"echo"`
	Queue       int     `json:"queue"`
	Utilisation float64 `json:"utilisation"` // share of the last minute that the wire was busy
}

type infoMeter struct {
	Name         string            `json:"name"`
	DisplayName  string            `json:"display_name,omitempty"` // what people call it
	Address      string            `json:"address"`
	Protocol     string            `json:"protocol"`
	Options      string            `json:"options,omitempty"` // beside the address: what else it takes to reach the meter
	CT           *protocol.Decimal `json:"ct,omitempty"`      // ratios of the transformers before it, by which all that is said of it is multiplied
	PT           *protocol.Decimal `json:"pt,omitempty"`
	Baud         int               `json:"baud,omitempty"` // of the line for this meter, like the next two, if it has settings of its own
	Parity       string            `json:"parity,omitempty"`
	Stop         int               `json:"stop,omitempty"`
	Online       bool              `json:"online"`
	TurnaroundMS *int64            `json:"turnaround_ms"` // null: not known yet
}

func (b *Bridge) info() info {
	state := b.bus.State()
	i := info{
		Version: b.config.Version, Started: b.stamp(b.began), Host: b.host, Site: b.config.Site, Table: b.keeper.Table().Hash(),
		Counters:  counters{b.counted.replies.Load(), b.counted.commands.Load(), b.counted.errors.Load()},
		Protocols: b.protocolNames(),
		Allow:     []string{},
		Bus: infoBus{
			URL: b.config.BusURL, State: "down", Baud: state.Baud, Echo: state.Echo, Queue: state.Queue,
			Utilisation: math.Round(state.Utilisation*100) / 100,
		},
		Meters: []infoMeter{},
	}
	if state.Up {
		i.Bus.State = "up"
	}
	for _, class := range Classes {
		if b.config.Allow[class] {
			i.Allow = append(i.Allow, class)
		}
	}
	for _, m := range b.directory.All() {
		address := m.Current()
		known := b.bus.Meter(address.MeterKey)
		meter := infoMeter{Name: m.Name, DisplayName: m.DisplayName, Address: address.Text, Protocol: m.Protocol.Name(), Options: address.Variant, Online: known.Online()}
		if m.Mode != (protocol.Mode{}) {
			own, _ := b.bus.Mode()
			mode := m.Mode.Or(own)
			meter.Baud, meter.Parity, meter.Stop = mode.Baud, mode.Parity, mode.Stop
		}
		if primary, ok := m.Protocol.(*protocol.Primary); ok {
			ratios := primary.Ratios()
			meter.CT, meter.PT = given(ratios.Current), given(ratios.Voltage)
		}
		if turnaround, ok := known.Turnaround(); ok {
			ms := turnaround.Milliseconds()
			meter.TurnaroundMS = &ms
		}
		i.Meters = append(i.Meters, meter)
	}
	return i
}

// An infoState remembers what was published last.
type infoState struct {
	mu   sync.Mutex
	last string
	at   time.Time
}

// refreshInfo publishes bridge/info if it has changed and the last one is old enough, or if that is very old.
func (b *Bridge) refreshInfo() { b.publishInfo(infoInterval) }

// forceInfo publishes bridge/info for a new connection.
func (b *Bridge) forceInfo() { b.publishInfo(0) }

func (b *Bridge) publishInfo(interval time.Duration) {
	b.infoState.mu.Lock()
	defer b.infoState.mu.Unlock()
	now := time.Now()
	passed := now.Sub(b.infoState.at)
	if passed < interval {
		return
	}
	payload, err := encodeJSON(b.info())
	if err != nil || interval > 0 && string(payload) == b.infoState.last && passed < infoLatest {
		return
	}
	b.infoState.last, b.infoState.at = string(payload), now
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: b.topics.join(topicInfo), Payload: payload, ContentType: mqtt.JSON})
}

// given returns a ratio that was given, else nil.
func given(ratio protocol.Decimal) *protocol.Decimal {
	if ratio == (protocol.Decimal{}) {
		return nil
	}
	return &ratio
}
