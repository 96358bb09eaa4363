package uplink

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/net/proxy"
	"golang.org/x/time/rate"

	"dlt645-mqtt/uplink/dialect"
)

// The pauses between attempts to connect. Who is refused for his identity waits longest: some
// platforms lock a device out that tries too often.
const (
	backoffLeast   = 5 * time.Second
	backoffMost    = 5 * time.Minute
	backoffRefused = time.Minute

	// longLife is how long a connection must have held for the next attempt to come at once.
	longLife = time.Minute

	largestFromCloud = 2 << 20 // bytes of a packet
	longestID        = 256     // of a call

	connectPatience   = 20 * time.Second
	subscribePatience = 20 * time.Second

	// settling is how long the next connection lets pass before it subscribes, where one was not subscribed. Moquette
	// ends the connection of a client that subscribes while its own write of the CONNACK is still under way.
	settling = time.Second
)

// cloud keeps a connection to the cloud, at MQTT 3.1.1 and with a clean session: nothing that was
// meant for an absent device ever reaches us. The protocol version is never probed for: on some
// platforms a device that has once used version 5 cannot go back.
type cloud struct {
	*Uplink
	sessions chan *session // the present one, for the flow
	ended    atomic.Int32  // connections in a row that ended under a message, and over which no values were taken
}

func newCloud(u *Uplink) *cloud { return &cloud{Uplink: u, sessions: make(chan *session)} }

// A session is one connection to the cloud.
type session struct {
	client mqtt.Client
	began  time.Time // when it was subscribed
	lost   chan struct{}
	once   sync.Once
	why    atomic.Pointer[error] // it was lost
	pace   *rate.Limiter         // of messages
	flow   *rate.Limiter         // of bytes
	start  time.Time             // tells ids of calls of this connection from those of others

	taken bool // posts were; of the flow's goroutine only

	mu      sync.Mutex
	waiting map[string]chan dialect.Reply
	worked  bool // the cloud has taken something over it
}

// end closes the session; the flow notices by lost.
func (s *session) end() { s.once.Do(func() { close(s.lost) }) }

// reason returns why the session was lost; nil if we ended it.
func (s *session) reason() error {
	if why := s.why.Load(); why != nil {
		return *why
	}
	return nil
}

// run connects again and again until ctx ends.
func (c *cloud) run(ctx context.Context) {
	failures, settle := 0, time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		s, err := c.connect(ctx, settle)
		settle = 0
		if errors.As(err, new(notSubscribed)) {
			settle = settling
		}
		if err == nil {
			c.metrics.connected.Set(1)
			c.log.Info("connected to the cloud", "cloud", c.config.Cloud, "url", c.config.URL.Redacted())
			select {
			case c.sessions <- s:
			case <-s.lost:
			case <-ctx.Done():
			}
			select {
			case <-s.lost:
				if ctx.Err() == nil {
					c.metrics.limited(c.log, "cloud lost", "lost the connection to the cloud; reconnecting", "held", time.Since(began).Round(time.Second), "err", s.reason())
				}
			case <-ctx.Done():
			}
			s.end()
			s.client.Disconnect(250)
			c.metrics.connected.Set(0)
			s.mu.Lock()
			worked := s.worked
			s.mu.Unlock()
			if worked && time.Since(began) > longLife {
				failures = 0
			}
			failures++
			if failures >= 3 && time.Since(began) < longLife {
				c.metrics.limited(c.log, "cloud short", "the cloud ends each connection soon; perhaps another program uses the same identity, or the cloud does not take what is posted", "connections", failures)
			}
		} else {
			failures++
		}
		c.pause(ctx, max(failures, int(c.ended.Load())), refusedIdentity(err))
	}
}

// pauseAfter returns how long to wait after so many failures in a row: never less than the five seconds that some
// platforms want between two attempts.
func pauseAfter(failures int, refused bool) time.Duration {
	least := backoffLeast << min(max(failures-1, 0), 10)
	if refused {
		least = max(least, backoffRefused)
	}
	least = min(least, backoffMost*2/3)
	return least + rand.N(least/2)
}

// pause waits before the next attempt, longer each time, and longest for who is not let in.
func (c *cloud) pause(ctx context.Context, failures int, refused bool) {
	timer := time.NewTimer(pauseAfter(failures, refused) / time.Duration(max(1, c.config.Hurry)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// refusedIdentity reports whether an attempt ended because of who we are. Some platforms say so, others just
// close the connection instead of answering.
func refusedIdentity(err error) bool {
	var code codeError
	return errors.As(err, &code) && code.identity() || errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) || errors.Is(err, packets.ErrorRefusedNotAuthorised) ||
		errors.Is(err, packets.ErrorRefusedIDRejected) || errors.Is(err, io.EOF)
}

// advice says what to look at after a failed attempt to connect.
func (c *cloud) advice(err error) string {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return "it does not take the client id, which is made of DLT645_UPLINK_PRODUCT and DLT645_UPLINK_DEVICE, or is DLT645_UPLINK_CLIENT_ID; uplink sign shows it"
	case refusedIdentity(err) && c.traits.Clock > 0:
		return "check DLT645_UPLINK_PRODUCT, DLT645_UPLINK_DEVICE and DLT645_UPLINK_SECRET (uplink sign shows what is sent), and this host's clock, " +
			time.Now().Format(time.RFC3339) + ": it may be " + c.traits.Clock.String() + " from the platform's at most"
	case refusedIdentity(err):
		return "check DLT645_UPLINK_PRODUCT, DLT645_UPLINK_DEVICE and DLT645_UPLINK_SECRET; uplink sign shows what is sent"
	case errors.As(err, &certificate):
		return "name the platform's authority in DLT645_UPLINK_CA_FILE, and check this host's clock, " + time.Now().Format(time.RFC3339)
	}
	return "check DLT645_UPLINK_URL, and that this host reaches it"
}

// dial opens a connection as the library does, over a proxy if the environment names one. It takes no packet
// larger than largestFromCloud: the library would make room for whatever a header claims.
func (c *cloud) dial(u *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	var connection net.Conn
	var err error
	switch u.Scheme {
	case "ws":
		connection, err = mqtt.NewWebsocket(u.String(), nil, o.ConnectTimeout, nil, o.WebsocketOptions)
	case "wss":
		connection, err = mqtt.NewWebsocket(u.String(), o.TLSConfig, o.ConnectTimeout, nil, o.WebsocketOptions)
	default:
		connection, err = proxy.FromEnvironmentUsing(&net.Dialer{Timeout: o.ConnectTimeout}).Dial("tcp", u.Host)
	}
	if err != nil {
		return nil, err
	}
	if u.Scheme == "ssl" {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLSConfig != nil {
			config = o.TLSConfig.Clone()
		}
		if config.ServerName == "" {
			config.ServerName = u.Hostname()
		}
		secure := tls.Client(connection, config)
		ctx, cancel := context.WithTimeout(context.Background(), o.ConnectTimeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = connection.Close()
			return nil, err
		}
		connection = secure
	}
	return &bounded{Conn: connection, most: largestFromCloud}, nil
}

// pacers keep to the limits of a cloud. Messages are spread over the second: as many as a whole second has in one go, and
// in the second after them as many again, would be twice what it takes.
func pacers(t dialect.Traits) (messages, bytes *rate.Limiter) {
	messages = rate.NewLimiter(rate.Limit(t.PerSecond), max(1, t.PerSecond/10))
	bytes = rate.NewLimiter(rate.Inf, 0)
	if t.Rate > 0 {
		bytes = rate.NewLimiter(rate.Limit(t.Rate), t.Bytes)
	}
	return messages, bytes
}

// notSubscribed is why a connection was of no use that the cloud had let in.
type notSubscribed struct{ error }

func (e notSubscribed) Unwrap() error { return e.error }

// connect makes a session: connected and, some time to settle later, subscribed.
func (c *cloud) connect(ctx context.Context, settle time.Duration) (*session, error) {
	login := c.dialect.Login(time.Now())
	s := &session{
		lost: make(chan struct{}), waiting: map[string]chan dialect.Reply{}, start: time.Now(),
	}
	s.pace, s.flow = pacers(c.traits)
	options := mqtt.NewClientOptions().AddBroker(brokerURL(c.config.URL)).
		SetClientID(login.ClientID).SetUsername(login.Username).SetPassword(login.Password).
		SetProtocolVersion(4).SetCleanSession(true).SetKeepAlive(login.KeepAlive).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(connectPatience).SetWriteTimeout(connectPatience).
		SetCustomOpenConnectionFn(c.dial).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			s.why.Store(&err)
			s.end()
		}).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.receive(s, m.Topic(), m.Payload(), m.Retained()) })
	if c.config.TLS != nil {
		options.SetTLSConfig(c.config.TLS)
	}
	s.client = mqtt.NewClient(options)
	if err := wait(ctx, s.client.Connect(), connectPatience); err != nil {
		advice := c.advice(err)
		if ctx.Err() == nil {
			c.metrics.limited(c.log, "cloud connect", "the cloud cannot be reached, or does not let this gateway in; trying again", "url", c.config.URL.Redacted(), "err", err, "advice", advice)
		}
		s.client.Disconnect(0)
		return nil, err
	}
	if topics := c.dialect.Subscriptions(); len(topics) > 0 {
		select {
		case <-time.After(settle / time.Duration(max(1, c.config.Hurry))):
		case <-ctx.Done():
		}
		if err := c.subscribe(ctx, s, topics); err != nil {
			if ctx.Err() == nil {
				c.metrics.limited(c.log, "cloud subscribe", "the cloud does not grant a subscription; trying again", "err", err)
			}
			s.client.Disconnect(0)
			return nil, notSubscribed{err}
		}
	}
	s.began = time.Now()
	return s, nil
}

// mostTopics is how many subscriptions go in one packet: some platforms take no more.
const mostTopics = 8

// subscribe asks for the topics, some at a time. A topic that is refused is told and done without,
// unless all are.
func (c *cloud) subscribe(ctx context.Context, s *session, topics []string) error {
	granted := 0
	for len(topics) > 0 {
		part := topics[:min(len(topics), mostTopics)]
		topics = topics[len(part):]
		filters := map[string]byte{}
		for _, topic := range part {
			filters[topic] = 1
		}
		token := s.client.SubscribeMultiple(filters, nil)
		if err := wait(ctx, token, subscribePatience); err != nil {
			return err
		}
		for topic, qos := range token.(*mqtt.SubscribeToken).Result() {
			if qos >= 0x80 {
				c.metrics.limited(c.log, "refused "+topic, "the cloud refuses a subscription; what comes there is not heard", "topic", topic)
				continue
			}
			granted++
		}
	}
	if granted == 0 {
		return errors.New("it refuses all of them")
	}
	return nil
}

// brokerURL writes a URL with the schemes of the library.
func brokerURL(u *url.URL) string {
	schemes := map[string]string{"mqtt": "tcp", "mqtts": "ssl", "ws": "ws", "wss": "wss"}
	copied := *u
	copied.Scheme = schemes[u.Scheme]
	return copied.String()
}

// wait waits for a token.
func wait(ctx context.Context, token mqtt.Token, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("no answer within " + patience.String())
	}
}

// receive takes a message of the cloud. It never waits.
func (c *cloud) receive(s *session, topic string, payload []byte, retained bool) {
	if retained {
		return // a command out of the store is no command
	}
	defer func() {
		if fault := recover(); fault != nil {
			c.metrics.limited(c.log, "dialect fault", "a message of the cloud could not be read", "topic", clip(topic), "fault", fault)
		}
	}()
	replies, calls := c.dialect.Receive(topic, payload)
	unsure := ""
	if len(calls) > 0 {
		unsure = ambiguous(payload)
	}
	for _, r := range replies {
		s.mu.Lock()
		waiting := s.waiting[r.ID]
		delete(s.waiting, r.ID)
		s.mu.Unlock()
		if waiting != nil {
			waiting <- r // it has room for the one
		}
	}
	for _, call := range calls {
		if len(call.ID) > longestID || len(call.RawID) > longestID {
			c.metrics.limited(c.log, "call id", "a call from the cloud has an id that is too long to be one; it is not answered", "topic", clip(topic), "bytes", len(call.ID))
			continue
		}
		call.Unsure = cmp.Or(unsure, call.Unsure)
		c.Uplink.calls.begin(s, call, time.Now())
	}
}

// A posted is a message on its way to the cloud.
type posted struct {
	token mqtt.Token
	reply chan dialect.Reply
	post  dialect.Post
}

// send publishes one post, at the cloud's pace.
func (s *session) send(ctx context.Context, p dialect.Post) (*posted, error) {
	pacing, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.lost:
			cancel()
		case <-pacing.Done():
		}
	}()
	size := len(p.Payload)
	if most := s.flow.Burst(); most > 0 {
		size = min(size, most) // one that is larger goes when it has the whole of it
	}
	if s.pace.Wait(pacing) != nil || s.flow.WaitN(pacing, size) != nil {
		return nil, errLost
	}
	sent := &posted{post: p}
	if p.Reply != "" {
		sent.reply = make(chan dialect.Reply, 1)
		s.mu.Lock()
		s.waiting[p.Reply] = sent.reply
		s.mu.Unlock()
	}
	sent.token = s.client.Publish(p.Topic, p.QoS, false, p.Payload)
	return sent, nil
}

// errLost means that the connection ended, errUnanswered that the cloud has acknowledged a message
// and says nothing more.
var (
	errLost       = errors.New("the connection to the cloud ended")
	errUnanswered = errors.New("the cloud does not answer")
)

// awaitPosted waits until the cloud has a post. reply is what it said, if the dialect awaits that.
func (s *session) awaitPosted(ctx context.Context, p *posted, patience time.Duration) (reply *dialect.Reply, err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.token.Done():
		if p.token.Error() != nil {
			return nil, errLost
		}
	case <-s.lost:
		return nil, errLost
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, errLost // a broker that does not acknowledge is as good as gone
	}
	if p.reply != nil {
		select {
		case r := <-p.reply:
			reply = &r
		case <-s.lost:
			return nil, errLost
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			s.mu.Lock()
			delete(s.waiting, p.post.Reply)
			s.mu.Unlock()
			return nil, errUnanswered
		}
	}
	s.mu.Lock()
	s.worked = true
	s.mu.Unlock()
	return reply, nil
}
