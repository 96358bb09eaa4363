package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// Config is what a Bridge must know. Bus, Broker.URLs, Protocol, Zone and Log must be there.
type Config struct {
	Root       string // of the topic tree
	Broker     mqtt.Broker
	Bus        *bus.Bus
	BusURL     string // for people, without secrets
	Meters     []meters.Meter
	Protocols  []protocol.Protocol                     // all that there are
	Protocol   protocol.Protocol                       // of meters that are not configured
	Finders    []protocol.Finder                       // protocols that can look for meters, the likeliest first
	Allow      map[string]bool                         // classes of requests: the permissions of package protocol, raw, config
	Passwords  map[protocol.MeterKey]map[string]string // level to digits, of each meter; under the zero key of all
	Settings   protocol.Settings                       // what people call what is configured
	Operator   string                                  // operator code for commands, 8 digits
	Operators  map[protocol.MeterKey]string            // those of single meters
	RelayValid time.Duration                           // how long a relay's command is valid
	Clock      func() error                            // says why no meter must be set by our clock; nil: it may
	Points     *points.Table                           // what to poll, by the configuration; nil: nothing
	Readings   bool                                    // publish each reading of a point, changed or not
	Discovery  string                                  // prefix of the topics by which Home Assistant is told of the meters; empty: it is not
	Support    string                                  // URL where help is to be had, for Home Assistant; empty: none
	Language   string                                  // of names that people read: "en" or "zh"
	Say        func(string) string                     // puts messages for people into their language; nil: they are in English
	Zone       *time.Location                          // for the times in replies
	HTTP       net.Listener                            // where health and metrics are served; nil: nowhere
	Pages      http.Handler                            // what is served there besides; nil: nothing
	Version    string
	Site       string // what people call the place; empty: nothing
	Log        *slog.Logger
}

// A Bridge answers requests that come by MQTT with what meters on a bus say.
//
// Lock order: cache, repeats, guard, clocks and admission have a lock each, and call nothing with it held. That of
// infoState comes before those of the keeper, the bus and the outbox; the keeper's are described there.
type Bridge struct {
	config    Config
	log       *slog.Logger
	bus       *bus.Bus
	topics    tree
	directory *meters.Directory
	families  map[string]protocol.Protocol // a protocol of each
	keeper    *meters.Keeper
	configs   atomic.Int32 // point tables that clients have sent, in hand
	cache     cache
	repeats   repeats
	guard     guard
	clocks    clocks
	stopping  chan struct{} // closed when the bridge stops
	limited   *limit.Logger
	metrics   *metrics.Set
	infoState infoState
	began     time.Time // when New made it
	host      string    // the name of this machine
	counted   struct{ replies, commands, errors atomic.Uint64 }
	outbox    *mqtt.Outbox
	frames    chan *bus.FrameEvent // to be published, if frames are traced
	admission admission
	started   chan struct{} // closed once Run serves
	turned    moment        // when the bridge's own loop last turned
	listening atomic.Bool   // connected and subscribed
	scanning  moment        // when the scan under way is expected to end; none: none is
}

// New returns a bridge that does nothing until Run.
func New(config Config) *Bridge {
	b := &Bridge{
		config:    config,
		log:       config.Log,
		bus:       config.Bus,
		topics:    tree(config.Root),
		directory: meters.NewDirectory(config.Meters, config.Protocol),
		families:  familiesOf(config.Protocols),
		limited:   limit.New(config.Log),
		frames:    make(chan *bus.FrameEvent, framesWaiting),
		stopping:  make(chan struct{}),
		started:   make(chan struct{}),
	}
	b.began = time.Now()
	b.host, _ = os.Hostname() // without one it is empty
	b.outbox = mqtt.NewOutbox(b.limited)
	b.metrics = b.newMetrics()
	b.keeper = meters.New(meters.Config{
		Root: config.Root, Bus: config.Bus, Directory: b.directory, Points: config.Points, Readings: config.Readings, Discovery: config.Discovery, Support: config.Support,
		Language: config.Language, Version: config.Version, Allow: config.Allow, Clock: config.Clock, Zone: config.Zone,
		Publisher: b.outbox, Requests: unasked{b}, Count: b.countExchange, Forget: b.forgetMeter, Log: config.Log, Limited: b.limited,
	})
	if !config.Allow[verbConfig] { // whatever the broker has kept
		b.keeper.Begin()
	}
	return b
}

// Run connects to the broker and serves requests until ctx ends. Then it takes no more,
// lets the bus finish what is on the wire, sees the replies out and says goodbye. The bus
// must be running and must be stopped by its own context, after Run has called stopBus. An error
// means that Run could not begin, because of the address of the broker.
func (b *Bridge) Run(ctx context.Context, stopBus func()) error {
	defer b.serveHealth(ctx)()
	// The connection outlives ctx, so that the last replies still get out.
	connection, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	link, err := b.connect(connection)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	go b.publishFrames(ctx)
	go b.keeper.Poll(ctx)
	close(b.started)
	b.loop(ctx)

	b.admission.close()
	close(b.stopping)
	stopBus()
	b.admission.inside.Wait()
	// Not every broker sends the will of who says goodbye, so we say it ourselves.
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: b.topics.join(topicStatus), Payload: []byte(statusOffline), ContentType: mqtt.Text})
	toldOffline := b.outbox.Drain(2 * time.Second)
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	context.AfterFunc(goodbye, hangUp) // also ends a pause between two attempts to connect
	if err := link.Disconnect(goodbye, toldOffline); err != nil {
		b.log.Warn("the broker did not hear our goodbye", "err", err)
	}
	return nil
}

// Budget plans the rounds of a point table and adds up what they take of the wire.
func (b *Bridge) Budget(t *points.Table) (meters.Budget, error) { return b.keeper.Budget(t) }

// Started is closed once Run has begun to serve, whether or not broker and bus are there yet.
func (b *Bridge) Started() <-chan struct{} { return b.started }

// loop does what is due from time to time, until ctx ends.
func (b *Bridge) loop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		b.turned.store(time.Now())
		b.refreshInfo()
		b.keeper.Turn()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
