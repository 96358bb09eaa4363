package meters

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// A Publisher takes what is published of the meters: an outbox.
type Publisher interface {
	Put(m mqtt.Outgoing)     // accepts a message; it never waits
	Again()                  // publishes all state once more
	Holds(topic string) bool // reports whether a topic has a state, or one that the broker has not forgotten yet
}

// Requests carry out what is asked of meters though nobody waits for it.
type Requests interface {
	// Begin runs f in a goroutine of its own, unless the bridge stops. It reports whether it does.
	Begin(f func()) bool

	// CarryOut sees a plan through, the least urgent of all. What its steps bring comes to [Keeper.Observe]. An
	// error says that nothing was asked.
	CarryOut(m *Entry, plan protocol.Plan, items []string) (Answered, error)
}

// Answered is how a meter took what it was asked.
type Answered struct {
	Address protocol.Address // of the meter that answered, else of the one that was asked
	Silent  bool             // the last step got no answer
	Passing bool             // something failed for a reason that may pass
}

// Config is what a Keeper must know. All but Points, Discovery, Support, Clock and Readings must be there.
type Config struct {
	Root      string // of the topic tree
	Bus       *bus.Bus
	Directory *Directory
	Points    *points.Table // what to poll to begin with; nil: nothing
	Readings  bool          // publish each reading of a point, changed or not
	Discovery string        // prefix of the topics by which Home Assistant is told of the meters; empty: it is not
	Support   string        // URL where help is to be had, for Home Assistant; empty: none
	Language  string        // of names that people read: "en" or "zh"
	Version   string
	Allow     map[string]bool // classes of requests
	Clock     func() error    // says why no clock must be judged by ours; nil: it may
	Zone      *time.Location  // for the times that are published

	Publisher Publisher
	Requests  Requests
	Count     func(meter string, err error) // an exchange with a meter has ended
	Forget    func(meter string)            // a meter is not looked after any more: nothing is counted of it
	Log       *slog.Logger
	Limited   *limit.Logger
}

// A Keeper looks after the meters that have names or points: it polls them, keeps what is known of each, and
// publishes what is news.
//
// Lock order: Configuring or announcer.mu, then the table's, then a record's, then any one of the poller's, an
// Entry's, the bus's and the outbox's: nothing is called with one of these held. The errands' is taken alone, and
// only [Requests.Begin] is called with it held.
type Keeper struct {
	config    Config
	log       *slog.Logger
	limited   *limit.Logger
	bus       *bus.Bus
	topics    tree
	directory *Directory
	publisher Publisher
	requests  Requests
	points    tableInForce
	poller    poller
	errands   errands
	announcer *announcer
	port      portWatch // belongs to the bridge's loop
	listening atomic.Bool

	// Configuring is held while one point table takes the place of another.
	Configuring sync.Mutex

	// Restored is set once what the broker kept of the point table does not matter any more.
	Restored atomic.Bool

	// Begin says that the table to begin with is in force: until then nothing is polled.
	Begin     func()
	beginning chan struct{} // closed by it
}

// New returns a keeper that does nothing until [Keeper.Poll] and [Keeper.Turn], but knows its table.
func New(config Config) *Keeper {
	k := &Keeper{
		config: config, log: config.Log, limited: config.Limited, bus: config.Bus, topics: tree(config.Root), directory: config.Directory,
		publisher: config.Publisher, requests: config.Requests, beginning: make(chan struct{}),
	}
	k.Begin = sync.OnceFunc(func() { close(k.beginning) })
	k.poller.root = config.Root
	k.SetTable(config.Points)
	k.announcer = newAnnouncer(k)
	return k
}

// Up publishes what a new connection must have first.
func (k *Keeper) Up() {
	k.listening.Store(true)
	k.refreshStale() // or what the broker has kept would seem to be of now
	k.publishDescription(k.Table())
}

// Down stops what is of no use without a connection.
func (k *Keeper) Down() { k.listening.Store(false) }

// Listen asks over a new connection for what must be heard: of an earlier run, and of Home Assistant.
func (k *Keeper) Listen(ctx context.Context, broker mqtt.Subscriber) {
	go k.askForList(ctx, broker)
	go k.subscribeDiscovery(ctx, broker)
}

// Hear takes a message, and reports whether it was for the keeper.
func (k *Keeper) Hear(topic string, payload []byte, retained bool) bool {
	return k.announcer.hear(topic, payload, retained)
}

// Turn does what is due from time to time. It is called each second, by one goroutine.
func (k *Keeper) Turn() {
	k.refreshPresence()
	k.refreshStale()
	k.announcer.refresh()
}

// stamp writes a moment as the contract does.
func (k *Keeper) stamp(t time.Time) string { return protocol.FormatMoment(t.In(k.config.Zone)) }

const subscribeTimeout = 10 * time.Second

// askForList has the broker send, once, the list of what an earlier run has published.
func (k *Keeper) askForList(ctx context.Context, broker mqtt.Subscriber) {
	if k.announcer.isListed() {
		return
	}
	topic := k.topics.join(topicPublished)
	err := mqtt.AskForKept(ctx, broker, topic, k.announcer.listHeard, func(inTime bool) {
		if !inTime {
			k.announcer.giveUpList()
		}
	}, func(err error) { k.log.Debug("unsubscribe", "topic", topic, "err", err) })
	if err != nil && ctx.Err() == nil {
		k.limited.Warn("kept list", "the broker does not tell what an earlier run has published: what is retained of meters that are gone stays", "topic", topic, "err", err,
			"advice", "the bridge's account must be allowed to read it")
		k.announcer.giveUpList()
	}
}

// subscribeDiscovery asks for what must be heard of Home Assistant. Without it Home Assistant is
// told of the meters all the same.
func (k *Keeper) subscribeDiscovery(ctx context.Context, broker mqtt.Subscriber) {
	defer k.announcer.subscribed()
	subscriptions := k.announcer.subscriptions()
	if subscriptions == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	if err := broker.Subscribe(asking, subscriptions...); err != nil && ctx.Err() == nil {
		k.limited.Warn("subscribe discovery", "the broker does not grant the subscription for Home Assistant: its restart goes unnoticed", "err", err,
			"advice", "the bridge's account must be allowed to read "+k.config.Discovery+"/status; DLT645_DISCOVERY=off does without Home Assistant")
	}
}
