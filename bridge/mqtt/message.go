package mqtt

import (
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// The content types of messages.
const (
	JSON  = "application/json"
	Bytes = "application/octet-stream"
	Text  = "text/plain"
)

// mostLogged is how much of a topic stands in a log line, in bytes.
const mostLogged = 80

// A Message is one MQTT message as it came.
type Message struct {
	Topic          string
	Payload        []byte
	Retain         bool // the broker has kept it, or was to keep it
	AtMostOnce     bool // it came with QoS 0
	Again          bool // it came before, over the same connection
	ResponseTopic  string
	Correlation    []byte
	ContentType    string
	Expiry         *time.Duration // nil: none
	UserProperties UserProperties
	Received       time.Time
}

// UserProperties are what an MQTT 5 client has put on its message for whom it may concern.
type UserProperties = paho.UserProperties

func messageOf(p *paho.Publish) Message {
	m := Message{Topic: p.Topic, Payload: p.Payload, Retain: p.Retain, AtMostOnce: p.QoS == 0, Received: time.Now()}
	if properties := p.Properties; properties != nil {
		m.ResponseTopic, m.Correlation, m.ContentType = properties.ResponseTopic, properties.CorrelationData, properties.ContentType
		m.UserProperties = properties.User
		if properties.MessageExpiry != nil {
			expiry := time.Duration(*properties.MessageExpiry) * time.Second
			m.Expiry = &expiry
		}
	}
	return m
}

// A Kind says which messages go first, which give way first while the broker is away, and what the broker
// keeps.
type Kind int

// The kinds of messages. A reply that is larger than the broker takes goes out shortened, if it can be.
const (
	Reply     Kind = iota // goes in its turn, and gives way before all younger ones
	Result                // of a command: goes before all else in the queue, and gives way last
	Light                 // a reply that may go with QoS 0 if too many others wait
	Event                 // goes in its turn, but not before the broker has acknowledged the event before
	Reading               // for databases: goes after all else, and has room of its own
	State                 // retained: only the newest of its topic counts, and each connection gets it
	Current               // the same, and yet not retained
	Leading               // a state that goes out on each connection before those that follow
	Following             // a state that goes out on each connection after those that lead
	Passing               // retained, and large, and told anew over each connection: not kept once the broker has it
	Fleeting              // QoS 0: worth nothing later
)

// Retained reports whether the broker keeps messages of a kind.
func (k Kind) Retained() bool {
	return k == State || k == Leading || k == Following || k == Passing
}

// newest reports whether only the newest message of a topic counts.
func (k Kind) newest() bool { return k.Retained() || k == Current }

// An Outgoing message is to be published. A retained one without payload has the broker forget what it kept.
type Outgoing struct {
	Kind        Kind
	Topic       string
	Payload     []byte
	ContentType string
	Correlation []byte
	Short       func() []byte // the JSON to send if the broker takes no message of this size; nil: nothing

	// Of a request: where its reply goes, and after how long it is worth nothing, rounded up to a second.
	ResponseTopic string
	Expiry        time.Duration

	attempts int // that ended with the connection: perhaps the message is why
}

// Size is the most bytes that a message takes on the way to the broker.
func (m *Outgoing) Size() int {
	return len(m.Topic) + len(m.Payload) + len(m.Correlation) + len(m.ResponseTopic) + 100
}

// memory is about what it takes while it waits, in bytes.
func (m *Outgoing) memory() int { return len(m.Topic) + cap(m.Payload) + cap(m.Correlation) + 300 }
