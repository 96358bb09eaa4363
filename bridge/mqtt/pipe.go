package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

const (
	// pipeTimeout is how long a broker may take to let a pipe in, and pipeWrite how long the system to take what is
	// sent: half a minute of silence makes a bus count as stuck.
	pipeTimeout = 10 * time.Second
	pipeWrite   = 5 * time.Second

	pipeLargest = 64 << 10 // bytes of a packet that may come
)

// A Pipe is a pair of topics, one to send to and one to hear from, as a way to a single device. It has
// connections of its own to the broker, one at a time, which its user opens; a connection that is lost stays
// lost. What is retained in the topic, and what the broker has kept, is not heard.
type Pipe struct {
	Broker   *Broker
	ClientID string // must be no other client's; who comes later takes it from who has it
	In, Out  string
	QoS      byte          // of both, 0 or 1: with 1 the broker says whether anybody takes a message
	Expiry   time.Duration // after which the broker need not deliver a message any more; whole seconds
	Apart    string        // how two clients of one id may come about, for whoever wonders

	mu       sync.Mutex
	stayAway time.Time // until when not to connect
}

// Open connects and subscribes. It tries the addresses of the broker in order; an error has a method Lasting, which
// reports whether it is useless to try again. hear is given what comes from then on, and lost
// is told, once, why the connection has ended, unless it is closed.
func (p *Pipe) Open(ctx context.Context, hear func(message []byte), lost func(error)) (*PipeConnection, error) {
	p.mu.Lock()
	pause := time.Until(p.stayAway)
	p.mu.Unlock()
	if pause > 0 {
		return nil, fmt.Errorf("%w; trying again in %v", p.takenOver(), pause.Round(time.Second))
	}
	var failures []error
	lasting := true // as long as every broker has refused
	for _, u := range p.Broker.URLs {
		c, err := p.open(ctx, u, hear, lost)
		if err == nil {
			return c, nil
		}
		var r *refusal
		lasting = lasting && errors.As(err, &r) && r.lasting
		failures = append(failures, fmt.Errorf("broker %s: %w", u.Redacted(), err))
	}
	return nil, &refusal{errors.Join(failures...), lasting}
}

// A refusal says why a broker does not let a pipe in.
type refusal struct {
	error
	lasting bool
}

// Lasting reports whether it will be the same until somebody does something about it, such as another password.
func (r *refusal) Lasting() bool { return r.lasting }

func (r *refusal) Unwrap() error { return r.error }

func (p *Pipe) takenOver() error {
	return fmt.Errorf("another client has taken the client id %s of this connection: %s", p.ClientID, p.Apart)
}

func (p *Pipe) open(ctx context.Context, u *url.URL, hear func([]byte), lost func(error)) (*PipeConnection, error) {
	ctx, cancel := context.WithTimeout(ctx, pipeTimeout)
	defer cancel()
	connection, err := p.Broker.dialTransport(ctx, u)
	if err != nil {
		return nil, advised(err, false)
	}
	s := newStream(&patientConn{connection}, pipeLargest, func(error) {}) // the reader is told as well
	c := &PipeConnection{pipe: p, lost: lost}
	c.client = paho.NewClient(paho.ClientConfig{
		Conn:          s,
		ClientID:      p.ClientID,
		PacketTimeout: pipeTimeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			if !m.Packet.Retain {
				hear(m.Packet.Payload)
			}
			s.handled()
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { c.end(p.thrownOut(d)) },
		OnClientError: func(err error) {
			c.end(fmt.Errorf("the connection to the broker is lost: %w", err))
		},
	})
	largest, quota := uint32(pipeLargest), uint16(100)
	connack, err := c.client.Connect(ctx, &paho.Connect{
		ClientID: p.ClientID, KeepAlive: keepAlive, CleanStart: true,
		Username: p.Broker.Username, UsernameFlag: p.Broker.Username != "", Password: []byte(p.Broker.Password), PasswordFlag: p.Broker.Password != "",
		Properties: &paho.ConnectProperties{MaximumPacketSize: &largest, ReceiveMaximum: &quota},
	})
	if err != nil {
		if connack != nil {
			return nil, refusedBy(connack)
		}
		return nil, advised(err, true)
	}
	c.qos = p.QoS
	if best := connack.Properties; best != nil && best.MaximumQoS != nil {
		c.qos = min(c.qos, *best.MaximumQoS)
	}
	granted, err := c.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{
		Topic: p.In, QoS: c.qos, NoLocal: true, RetainHandling: 2, // none of the retained messages there are
	}}})
	switch {
	case err == nil:
		return c, nil
	case granted != nil:
		err = fmt.Errorf("the broker does not grant the subscription to %s (%02XH): the bridge's account must be allowed to read it", p.In, granted.Reasons)
		err = &refusal{err, bytes.Equal(granted.Reasons, []byte{packets.SubackNotauthorized})}
	default:
		err = fmt.Errorf("subscribe to %s: %w", p.In, err)
	}
	c.Close()
	return nil, err
}

// thrownOut says why the broker has ended a connection.
func (p *Pipe) thrownOut(d *paho.Disconnect) error {
	if d.ReasonCode != packets.DisconnectSessionTakenOver {
		return fmt.Errorf("the broker has ended the connection (%02XH)", d.ReasonCode)
	}
	p.mu.Lock()
	p.stayAway = time.Now().Add(stayAwayTakeover)
	p.mu.Unlock()
	return p.takenOver()
}

// advised adds to an error what to do about it.
func advised(err error, open bool) error {
	if advice := adviceFor(err, open); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

// refusedBy says why a broker has not let us in.
func refusedBy(connack *paho.Connack) error {
	words := ""
	if connack.Properties != nil {
		words = connack.Properties.ReasonString
	}
	reason, advice := refusalOf(connack.ReasonCode, words)
	code := connack.ReasonCode
	return &refusal{
		fmt.Errorf("the broker refuses the connection: %s: %s", reason, advice),
		code == packets.ConnackBadUsernameOrPassword || code == packets.ConnackNotAuthorized || code == packets.ConnackInvalidClientID || code == packets.ConnackBanned,
	}
}

// A PipeConnection is one connection of a Pipe.
type PipeConnection struct {
	pipe   *Pipe
	client *paho.Client
	qos    byte

	mu   sync.Mutex
	lost func(error) // nil: it is told, or nobody wants to know
}

// end tells once why the connection has ended.
func (c *PipeConnection) end(err error) {
	c.mu.Lock()
	lost := c.lost
	c.lost = nil
	c.mu.Unlock()
	if lost != nil {
		lost(err)
	}
}

// Send publishes a message. An error says that the broker has not taken it or, with QoS 1, that nobody has subscribed to it.
func (c *PipeConnection) Send(ctx context.Context, message []byte) error {
	p := c.pipe
	properties := &paho.PublishProperties{}
	if seconds := uint32(p.Expiry / time.Second); seconds > 0 {
		properties.MessageExpiry = &seconds
	}
	response, err := c.client.Publish(ctx, &paho.Publish{Topic: p.Out, Payload: message, QoS: c.qos, Properties: properties})
	switch {
	case response != nil && (response.ReasonCode == packets.PubackNotAuthorized):
		return fmt.Errorf("the broker does not let the bridge's account publish to %s", p.Out)
	case err != nil && response != nil:
		return fmt.Errorf("the broker does not take a message for %s (%02XH): %w", p.Out, response.ReasonCode, err)
	case err != nil:
		return fmt.Errorf("publish to %s: %w", p.Out, err)
	case response.ReasonCode == packets.PubackNoMatchingSubscribers:
		return fmt.Errorf("nobody has subscribed to %s: who should is not connected to this broker, or listens to another topic", p.Out)
	}
	return nil
}

// Close ends the connection.
func (c *PipeConnection) Close() {
	c.mu.Lock()
	c.lost = nil
	c.mu.Unlock()
	_ = c.client.Disconnect(&paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}) // it is closed anyhow
}

// A patientConn is a connection that fails where what is written does not get away.
type patientConn struct{ net.Conn }

func (c *patientConn) Write(data []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(pipeWrite)); err != nil {
		return 0, err
	}
	return c.Conn.Write(data)
}
