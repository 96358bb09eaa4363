package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// sendTimeout is how long a broker may take for a request.
	sendTimeout = 5 * time.Second

	// mostHeard bounds what may have come from a DTU and wait to be read.
	mostHeard = 64 << 10

	// mostTopic is the longest topic of MQTT, in bytes.
	mostTopic = 65535
)

// Topics is how a DTU is reached that has the line in two topics of an MQTT broker. Each request is a message, and
// an answer is one or several.
type Topics struct {
	Up, Down string        // the topics that it sends to, and that it takes requests from
	QoS      byte          // quality of service of both: 0 or 1
	Expiry   time.Duration // how long a request is worth anything

	// Connect connects to the broker for these topics. hear is given what comes in Up from then on; lost is told why
	// the connection is gone, unless it is closed. Both return at once. An error with a method Lasting that returns true
	// says that somebody must do something before it can succeed.
	Connect func(ctx context.Context, hear func(message []byte), lost func(error)) (Carrier, error)

	mu       sync.Mutex
	payloads payloads
}

// A Carrier is a connection to the broker of a DTU.
type Carrier interface {
	// Send publishes a request. The error says why it cannot have reached the DTU, or that nobody knows.
	Send(ctx context.Context, message []byte) error
	Close()
}

// topics reads where the DTU is, in a URL such as mqtt:?up=dtu/7/up&down=dtu/7/down.
func (p *parameters) topics(u *url.URL, s Settings) *Topics {
	if u.Host != "" || u.Opaque != "" || u.Path != "" {
		p.complain("the bus URL names a host, but the topics of a DTU are those of the broker of DLT645_MQTT_URL; write it as in mqtt:?up=dtu/7/up&down=dtu/7/down")
	}
	// Brokers count in whole seconds.
	t := &Topics{Up: p.topic("up"), Down: p.topic("down"), Expiry: (s.Timeout + s.Latency + time.Second - 1).Truncate(time.Second)}
	if t.Up != "" && t.Up == t.Down {
		p.complain("up and down of the bus URL are the same topic, in which the bridge would hear its own requests; a DTU sends to one and takes from another")
	}
	qos := 0
	p.number("qos", &qos, 0, 1)
	t.QoS = byte(qos)
	how, ok := p.pop("payload")
	switch how {
	case payloadRaw, payloadHex, payloadAuto:
	default:
		if ok {
			p.complain("payload=%s of the bus URL: write raw, hex or auto", how)
		}
		how = payloadAuto
	}
	t.payloads = newPayloads(how)
	return t
}

// topic reads one topic.
func (p *parameters) topic(name string) string {
	topic, ok := p.pop(name)
	switch {
	case !ok || topic == "":
		p.complain("the bus URL has no %s, the topic that the DTU %s; write it as in mqtt:?up=dtu/7/up&down=dtu/7/down", name, map[string]string{"up": "sends to", "down": "takes requests from"}[name])
	case strings.ContainsAny(topic, "+# "): // package url makes a blank of +
		p.complain("%s of the bus URL is %q: a wildcard (+, #) or a blank cannot be in the topic of one DTU", name, topic)
	case strings.HasPrefix(topic, "$"):
		p.complain("%s of the bus URL is %q: topics that begin with $ are the broker's own", name, topic)
	case !utf8.ValidString(topic) || strings.ContainsFunc(topic, unicode.IsControl) || len(topic) > mostTopic:
		p.complain("%s of the bus URL is no topic: it has control characters, is not UTF-8 or is too long", name)
	}
	return topic
}

// open connects to the broker.
func (t *Topics) open(ctx context.Context) (Port, error) {
	if t.Connect == nil {
		return nil, lastingf("open %s: no broker is known: DLT645_MQTT_URL says where it is", t)
	}
	t.mu.Lock()
	t.payloads.opened()
	t.mu.Unlock()
	p := &topicPort{topics: t, since: time.Now(), news: make(chan struct{}, 1)}
	carrier, err := t.Connect(ctx, p.hear, p.lost)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", t, err)
	}
	p.carrier = carrier
	return p, nil
}

// String returns the topics for people.
func (t *Topics) String() string { return fmt.Sprintf("mqtt:?up=%s&down=%s", t.Up, t.Down) }

// A topicPort is a line in two topics.
type topicPort struct {
	topics  *Topics
	carrier Carrier
	since   time.Time
	news    chan struct{} // something has come, or the connection is gone

	mu      sync.Mutex
	rest    []byte // came, and was not read yet
	heard   bool   // anything came over this connection
	foreign bool   // the last that came is not carried as payload says
	err     error  // why the connection is gone
}

// hear takes a message of the DTU.
func (p *topicPort) hear(message []byte) {
	if len(message) == 0 {
		return
	}
	p.topics.mu.Lock()
	data := p.topics.payloads.decode(message)
	foreign := p.topics.payloads.foreign
	p.topics.mu.Unlock()
	p.mu.Lock()
	p.heard, p.foreign = true, foreign
	p.rest = append(p.rest, data[:min(len(data), mostHeard-len(p.rest))]...) // who sends more than anybody reads sends noise
	p.mu.Unlock()
	p.tell()
}

// lost notes that the connection is gone.
func (p *topicPort) lost(err error) {
	p.mu.Lock()
	p.err = errors.Join(p.err, err)
	p.mu.Unlock()
	p.tell()
}

func (p *topicPort) tell() {
	select {
	case p.news <- struct{}{}:
	default: // the reader has not noticed the last yet
	}
}

func (p *topicPort) Read(data []byte, wait time.Duration) (int, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		p.mu.Lock()
		n, err := copy(data, p.rest), p.err
		p.rest = p.rest[n:]
		p.mu.Unlock()
		switch {
		case n > 0:
			return n, nil // an error comes again with the next read
		case err != nil:
			return 0, fmt.Errorf("read %s: %w", p.topics, err)
		case wait <= 0:
			return 0, nil
		}
		select {
		case <-p.news:
		case <-timer.C:
			wait = 0
		}
	}
}

// Write sends what is one request as one message.
func (p *topicPort) Write(data []byte) (int, error) {
	p.topics.mu.Lock()
	message := p.topics.payloads.encode(data)
	p.topics.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	if err := p.carrier.Send(ctx, message); err != nil {
		return 0, fmt.Errorf("write %s: %w", p.topics, err)
	}
	return len(data), nil
}

func (p *topicPort) Close() error {
	p.carrier.Close()
	return nil
}

// unsure reports whether nothing has shown yet how the DTU carries bytes, so that the same request goes the
// other way next time.
func (p *topicPort) unsure() bool {
	p.topics.mu.Lock()
	defer p.topics.mu.Unlock()
	return !p.topics.payloads.sure
}

// advice is what to look at if no answer comes.
func (p *topicPort) advice() string {
	t := p.topics
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.heard:
		return fmt.Sprintf("nothing at all has come in the topic %s since %s: see that the DTU is connected to this broker, sends there and takes requests from %s, and that the broker's access list lets the bridge's account read the one and write the other",
			t.Up, p.since.Format(time.TimeOnly), t.Down)
	case p.foreign:
		return fmt.Sprintf("what comes in the topic %s is not carried as payload in the bus URL says: leave payload out, and it is found out", t.Up)
	}
	return ""
}
